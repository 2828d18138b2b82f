"""Functions of TensorFlow on the items of a pipeline: single samples as well as batches of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapRule:
    """A function: its arguments, and the text over those that are translated."""

    signature: str
    text: str
    dtype: str = ""
    """The type of what it returns, "" for that of its first argument."""
    helper: str = ""
    numbers: bool = False
    """Whether TensorFlow computes something else of whole numbers, so that the type has to be known."""
    draws: bool = False
    """Whether it draws random numbers."""
    fixed: tuple[tuple[str, object], ...] = ()
    """Arguments that are translated for one value alone."""


def reduced(text: str) -> MapRule:
    return MapRule("input_tensor, axis=None, keepdims=False, name=None", text, numbers=True)


RULES = {
    "tensorflow.expand_dims": MapRule("input, axis, name=None", "{input}.unsqueeze({axis})"),
    "tensorflow.squeeze": MapRule("input, axis, name=None", "{input}.squeeze({axis})"),
    "tensorflow.reshape": MapRule("tensor, shape, name=None", "{tensor}.reshape({shape})"),
    "tensorflow.transpose": MapRule("a, perm, conjugate=False, name=None", "{a}.permute({perm})"),
    "tensorflow.identity": MapRule("input, name=None", "{input}"),
    "tensorflow.one_hot": MapRule(
        "indices, depth, name=None", "F.one_hot({indices}.long(), {depth}).float()", "float32"
    ),
    "keras.ops.one_hot": MapRule("x, num_classes", "F.one_hot({x}.long(), {num_classes}).float()", "float32"),
    "keras.utils.to_categorical": MapRule("x, num_classes", "F.one_hot({x}.long(), {num_classes}).float()", "float32"),
    "tensorflow.clip_by_value": MapRule(
        "t, clip_value_min, clip_value_max, name=None", "{t}.clamp({clip_value_min}, {clip_value_max})"
    ),
    "tensorflow.reduce_mean": reduced("{input_tensor}.mean({axis}, keepdim={keepdims})"),
    "tensorflow.reduce_sum": reduced("{input_tensor}.sum({axis}, keepdim={keepdims})"),
    "tensorflow.reduce_max": reduced("{input_tensor}.amax({axis}, keepdim={keepdims})"),
    "tensorflow.reduce_min": reduced("{input_tensor}.amin({axis}, keepdim={keepdims})"),
    "tensorflow.math.log1p": MapRule("x, name=None", "{x}.log1p()"),
    **{
        f"tensorflow.{home}{name}": MapRule("x, name=None", f"{{x}}.{name}()")
        for name in ("abs", "exp", "log", "sqrt", "square")
        for home in ("", "math.")
    },
    "tensorflow.image.flip_left_right": MapRule("image", "{image}.flip(-2)"),
    "tensorflow.image.flip_up_down": MapRule("image", "{image}.flip(-3)"),
    "tensorflow.image.random_flip_left_right": MapRule(
        "image, seed=None", "random_flip({image}, axis=-2)", helper="random_flip", draws=True
    ),
    "tensorflow.image.random_flip_up_down": MapRule(
        "image, seed=None", "random_flip({image}, axis=-3)", helper="random_flip", draws=True
    ),
    "tensorflow.image.random_brightness": MapRule(
        "image, max_delta, seed=None",
        "{image} + torch.empty(()).uniform_(-{max_delta}, {max_delta})",
        numbers=True,
        draws=True,
    ),
    "tensorflow.image.random_contrast": MapRule(
        "image, lower, upper, seed=None",
        "random_contrast({image}, {lower}, {upper})",
        helper="random_contrast",
        numbers=True,
        draws=True,
    ),
    "tensorflow.image.adjust_brightness": MapRule("image, delta", "{image} + {delta}", numbers=True),
    "tensorflow.image.per_image_standardization": MapRule(
        "image", "standardize_image({image})", "float32", "standardize_image"
    ),
    "tensorflow.image.rgb_to_grayscale": MapRule(
        "images, name=None", "rgb_to_grayscale({images})", helper="rgb_to_grayscale", numbers=True
    ),
    "tensorflow.image.grayscale_to_rgb": MapRule("images, name=None", "torch.cat([{images}] * 3, dim=-1)"),
    "tensorflow.image.resize": MapRule(
        "images, size, method='bilinear', preserve_aspect_ratio=False, antialias=False, name=None",
        "resize_images({images}, {size})",
        "float32",
        "resize_images",
        fixed=(("method", "bilinear"), ("preserve_aspect_ratio", False), ("antialias", False)),
    ),
    "tensorflow.image.convert_image_dtype": MapRule(
        "image, dtype, saturate=False, name=None",
        "to_float_image({image})",
        "float32",
        "to_float_image",
        fixed=(("dtype", "float32"), ("saturate", False)),
    ),
}
"""Functions by the names that they have today."""

"""Functions on images: patches, resizing, blocks of pixels as channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, same
from transpiler.ir.model import ApiValue, Args, Lowering, Step
from transpiler.ir.shape import Layout, TensorType, product
from transpiler.rules.base import compact, per_axis, show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    example,
    home_of,
    is_float,
    leaf_of,
    one,
    size_of,
    size_text,
    tensor,
)
from transpiler.rules.spatial import DATA_FORMATS, is_one, pad_argument, same_pads, same_size, valid_size


def channels_last(a: Args) -> bool:
    """Whether the program holds the channels of this image last."""
    value = a.lower("data_format") if "data_format" in a else None
    value = {"nhwc": "channels_last", "nchw": "channels_first"}.get(value, value)
    if value not in DATA_FORMATS:
        raise Declined("K2T102", f"the data format {show(value)} is unknown")
    return not DATA_FORMATS[value]


def image(a: Args) -> Operand:
    """The argument `x`, which has to be a batch of images."""
    x = tensor(a)
    if x.rank != 4:
        raise Declined("K2T104", f"a batch of images is needed, the tensor has {x.rank} axes")
    return x


class Picture(OpRule):
    """A rule that works on images in torch's own order."""

    batched = True

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.FIRST if channels_last(a) else Layout.KERAS

    def sizes(self, a: Args) -> tuple[Any, Any, Any]:
        """Height, width and channels."""
        shape = image(a).shape
        return shape[1:] if channels_last(a) else (*shape[2:], shape[1])

    def result(self, a: Args, height: Any, width: Any, channels: Any, steps: Sequence[Step]) -> Lowering:
        x = image(a)
        if channels_last(a):
            return Lowering(list(steps), [TensorType((x.shape[0], height, width, channels), x.dtype, Layout.FIRST)])
        return Lowering(list(steps), [TensorType((x.shape[0], channels, height, width), x.dtype)])


class ExtractPatches(Picture):
    """The patches under a moving window, each flattened into the channels."""

    names = ("ops.image.extract_patches", "tensorflow.image.extract_patches", "ops.extract_patches")
    signature = "x, size, strides=None, dilation_rate=1, padding='valid', data_format=None"
    signatures = {"tensorflow.image.extract_patches": "x, size, strides, dilation_rate, padding"}
    renames = {"images": "x", "sizes": "size", "rates": "dilation_rate"}
    examples = (
        example("ops.image.extract_patches(x, (2, 3))", x=(2, 4, 6, 3)),
        example("ops.image.extract_patches(x, 2, strides=1)", x=(2, 4, 5, 3)),
        example("ops.image.extract_patches(x, 2, dilation_rate=2, strides=1)", x=(2, 5, 6, 3)),
        example("ops.image.extract_patches(x, 3, strides=2, padding='same')", x=(2, 5, 6, 3)),
        example(
            "tf.image.extract_patches(x, sizes=[1, 2, 2, 1], strides=[1, 2, 2, 1], rates=[1, 1, 1, 1], padding='VALID')",
            x=(2, 4, 6, 3),
        ),
    )

    def pair(self, path: str, a: Args, name: str) -> tuple[Any, Any]:
        value = a.get(name)
        if home_of(path) == "tensorflow":
            value = a.const(name)
            if len(value) != 4 or value[0] != 1 or value[3] != 1:
                raise Declined("K2T102", f"{name}={show(value)} is not translated")
            value = value[1:3]
        height, width = per_axis(value, 2)
        return height, width

    def lower(self, path: str, a: Args) -> Lowering:
        if not channels_last(a):
            raise Declined("K2T103", "patches of images with channels first are not translated")
        height, width, channels = self.sizes(a)
        size, dilation = self.pair(path, a, "size"), self.pair(path, a, "dilation_rate")
        strides = size if a.strides is None else self.pair(path, a, "strides")
        if a.strides is None and home_of(path) == "ops" and not all(map(is_one, dilation)):
            raise Declined("K2T103", "dilated patches without strides= are not translated")
        steps = []
        if a.lower("padding") == "same":
            pads = [same_pads(*v) for v in zip((height, width), size, strides, dilation)]
            if None in pads:
                raise Declined("K2T103", "the padding of these patches is not known")
            if any(p != (0, 0) for p in pads):
                steps.append(Step(fn=f"F.pad({{0}}, {code_of(pad_argument(pads))})"))  # type: ignore[arg-type]
            rows, columns = (same_size(d, s) for d, s in zip((height, width), strides))
        else:
            rows, columns = (valid_size(*v) for v in zip((height, width), size, strides, dilation))
        if rows is None or columns is None or channels is None:
            raise Declined("K2T104", "patches of images of open size are not translated")
        kernel = code_of(compact(size))
        options = f", stride={code_of(compact(strides))}"
        options += "" if all(map(is_one, dilation)) else f", dilation={code_of(compact(dilation))}"
        # torch puts the channels before the cells of a patch
        fn = f"F.unfold({{0}}, {kernel}{options})"
        turned = f"{{0}}.unflatten(1, ({code_of(channels)}, -1)).transpose(1, 3).flatten(2)"
        grid = f"{{0}}.unflatten(1, ({code_of(rows)}, {code_of(columns)}))"
        steps += [Step(fn=fn), Step(fn=turned), Step(fn=grid)]
        shape = (image(a).shape[0], rows, columns, product((*size, channels)))
        return Lowering(steps, [TensorType(shape, image(a).dtype)])


class ResizeImages(Picture):
    """`K.resize_images`: whole multiples of the size."""

    names = ("backend.resize_images",)
    signature = "x, height_factor, width_factor, data_format, interpolation='nearest'"
    examples = (
        example("K.resize_images(x, 2, 3, 'channels_last')", x=(2, 3, 4, 3)),
        example("K.resize_images(x, 2, 2, 'channels_last', interpolation='bilinear')", x=(2, 3, 4, 3)),
        example("K.resize_images(x, 2, 2, data_format='channels_first')", x=(2, 3, 4, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        height, width, channels = self.sizes(a)
        mode = a.lower("interpolation")
        if mode not in ("nearest", "bilinear") or any(type(f) is float for f in (a.height_factor, a.width_factor)):
            raise Declined("K2T102", f"{show(mode)} resizing of Keras by this factor has no exact counterpart in torch")
        factors = (a.height_factor, a.width_factor)
        options = "" if mode == "nearest" else f", mode='{mode}'"
        step = Step(fn=f"F.interpolate({{0}}, scale_factor={code_of(compact(factors))}{options})")
        rows, columns = (None if d is None else d * f for d, f in zip((height, width), factors))
        return self.result(a, rows, columns, channels, [step])


class ResizeVolumes(OpRule):
    """`K.resize_volumes`: each element repeated along three axes."""

    batched = True
    names = ("backend.resize_volumes",)
    signature = "x, depth_factor, height_factor, width_factor, data_format"
    examples = (
        example("K.resize_volumes(x, 2, 1, 3, 'channels_last')", x=(2, 2, 3, 2, 3)),
        example("K.resize_volumes(x, 2, 2, 2, data_format='channels_first')", x=(2, 2, 3, 2, 3)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.FIRST if channels_last(a) else Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        x, factors = tensor(a), (a.depth_factor, a.height_factor, a.width_factor)
        if x.rank != 5 or any(type(f) is float for f in factors):
            raise Declined("K2T104", "a batch of volumes and whole factors are needed")
        last = channels_last(a)
        grown = tuple(None if d is None else d * f for d, f in zip(x.shape[1:4] if last else x.shape[2:], factors))
        shape = (x.shape[0], *grown, x.shape[-1]) if last else (*x.shape[:2], *grown)
        text = f"F.interpolate({{0}}, scale_factor={code_of(compact(factors))})"
        return one(text, shape, x.dtype, Layout.FIRST if last else Layout.KERAS)


V1_RESIZE = {"resize_bilinear": "bilinear", "resize_nearest_neighbor": "nearest", "resize_images": "", "resize": ""}
"""TensorFlow 1's functions, and the method that the name says."""
V1_GRIDS = {
    ("bilinear", True, False): "mode='bilinear', align_corners=True",
    ("bilinear", False, True): "mode='bilinear'",
    ("nearest", False, False): "mode='nearest'",
    ("nearest", False, True): "mode='nearest-exact'",
}
"""(method, align_corners, half_pixel_centers) → the same grid of pixels in torch."""


class Resize(Picture):
    """`tf.image.resize`, `ops.image.resize`: pixels by their centres."""

    names = ("tensorflow.image.resize", "ops.image.resize")
    signature = "x, size, method='bilinear', preserve_aspect_ratio=False, antialias=False"
    signatures = {
        "ops.image.resize": "x, size, method='bilinear', antialias=False, crop_to_aspect_ratio=False, "
        "pad_to_aspect_ratio=False, fill_mode='constant', fill_value=0.0, data_format=None"
    }
    renames = {"images": "x", "interpolation": "method", "image": "x"}
    examples = (
        example("tf.image.resize(x, (5, 7))", x=(2, 3, 4, 3)),
        example("tf.image.resize(x, [6, 5], method='nearest')", x=(2, 3, 4, 3)),
        example("ops.image.resize(x, (6, 8), interpolation='nearest')", x=(2, 3, 4, 3)),
        example("tf.image.resize(x, tf.shape(y)[1:3])", x=(2, 3, 4, 3), y=(2, 6, 5, 1)),
        example("tf.image.resize(x, (6, 8), tf.image.ResizeMethod.BILINEAR)", x=(2, 3, 4, 3)),
        example("tf.image.resize(x, (2, 3))", x=(2, 5, 7, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        for name in ("preserve_aspect_ratio", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"):
            if name in a and a.const(name):
                raise Declined("K2T102", f"resize({name}=True) is not translated")
        method = method_of(a)
        x = image(a)
        if method not in ("nearest", "bilinear") or not is_float(x.dtype):
            raise Declined("K2T102", f"{show(method)} resizing of Keras has no exact counterpart in torch")
        rows, columns = a.size if isinstance(a.size, (list, tuple)) else per_axis(a.size, 2)
        height, width, channels = self.sizes(a)
        if same(height, rows) and same(width, columns):
            return Lowering([], [x.type])
        size = f"({size_text(rows)}, {size_text(columns)})"
        mode = "nearest-exact" if method == "nearest" else method
        step = Step(fn=f"F.interpolate({{0}}, size={size}, mode='{mode}')")
        return self.result(a, size_of(rows), size_of(columns), channels, [step])


class ResizeV1(Picture):
    """TensorFlow 1's resizing, on the grids of pixels that torch has too."""

    names = tuple(
        f"tensorflow.{home}image.{leaf}"
        for leaf, method in V1_RESIZE.items()
        for home in (("", "compat.v1.") if method else ("compat.v1.",))
    )
    signature = "x, size, align_corners=False, half_pixel_centers=False"
    signatures = {
        f"tensorflow.compat.v1.image.{leaf}": "x, size, method='bilinear', align_corners=False, preserve_aspect_ratio=False"
        for leaf in ("resize", "resize_images")
    }
    renames = {"images": "x"}
    examples = (
        example("tf.compat.v1.image.resize_bilinear(x, (5, 7), align_corners=True)", x=(2, 3, 4, 3)),
        example("tf.compat.v1.image.resize_bilinear(x, (5, 7), half_pixel_centers=True)", x=(2, 3, 4, 3)),
        example("tf.compat.v1.image.resize_nearest_neighbor(x, (5, 7))", x=(2, 3, 4, 3)),
        example("tf.compat.v1.image.resize_nearest_neighbor(x, (2, 9), half_pixel_centers=True)", x=(2, 3, 4, 3)),
        example("tf.compat.v1.image.resize_images(x, (7, 3), tf.image.ResizeMethod.NEAREST_NEIGHBOR)", x=(2, 3, 5, 3)),
        example("tf.compat.v1.image.resize(x, (7, 3), align_corners=True)", x=(2, 3, 5, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        method = V1_RESIZE[leaf_of(path)] or method_of(a)
        if "preserve_aspect_ratio" in a and a.const("preserve_aspect_ratio"):
            raise Declined("K2T102", "resize(preserve_aspect_ratio=True) is not translated")
        half = "half_pixel_centers" in a and bool(a.const("half_pixel_centers"))
        grid = V1_GRIDS.get((method, bool(a.const("align_corners")), half))
        if grid is None or not is_float(image(a).dtype):
            raise Declined("K2T102", f"{leaf_of(path)} on this grid of pixels has no exact counterpart in torch")
        rows, columns = a.size
        step = Step(fn=f"F.interpolate({{0}}, size=({size_text(rows)}, {size_text(columns)}), {grid})")
        return self.result(a, size_of(rows), size_of(columns), self.sizes(a)[2], [step])


def method_of(a: Args) -> str:
    """The `method` of a resizing by its name today."""
    method = a.method.leaf.lower() if isinstance(a.method, ApiValue) else a.lower("method")
    return {"nearest_neighbor": "nearest"}.get(method, method)


class PixelBlocks(Picture):
    """Blocks of pixels from channels, or into channels; the place in the block counts before the channel."""

    names = tuple(f"{h}.{f}" for f in ("depth_to_space", "space_to_depth") for h in ("tensorflow", "tensorflow.nn", "ops", "ops.nn", "tensorflow.compat.v1"))  # fmt: skip
    signature = "x, block_size, data_format='NHWC'"
    renames = {"input": "x"}
    examples = (
        example("tf.nn.depth_to_space(x, 2)", x=(2, 3, 4, 12)),
        example("tf.nn.space_to_depth(x, block_size=2)", x=(2, 4, 6, 3)),
        example("tf.nn.depth_to_space(x, 3)", x=(2, 2, 2, 18)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        height, width, channels = self.sizes(a)
        b, area = a.const("block_size"), a.const("block_size") ** 2
        if None in (height, width, channels):
            raise Declined("K2T104", "blocks of images of open size are not translated")
        if leaf_of(path) == "depth_to_space":
            depth = channels // area
            fn = f"F.pixel_shuffle({{0}}.unflatten(1, ({area}, {code_of(depth)})).transpose(1, 2).flatten(1, 2), {b})"
            return self.result(a, height * b, width * b, depth, [Step(fn=fn)])
        fn = f"F.pixel_unshuffle({{0}}, {b}).unflatten(1, ({code_of(channels)}, {area})).transpose(1, 2).flatten(1, 2)"
        return self.result(a, height // b, width // b, channels * area, [Step(fn=fn)])


class LocalResponse(Picture):
    """Local response normalisation over neighbouring channels; torch's alpha is that of the whole window."""

    names = ("tensorflow.nn.lrn", "tensorflow.nn.local_response_normalization", "tensorflow.compat.v1.nn.lrn")
    signature = "x, depth_radius=5, bias=1, alpha=1, beta=0.5"
    renames = {"input": "x"}
    examples = (
        example("tf.nn.lrn(tf.cast(x, 'float32'), alpha=1e-2, beta=0.75)", x=(2, 3, 4, 16)),
        example("tf.nn.local_response_normalization(tf.cast(x, 'float32'), depth_radius=2, bias=2.0)", x=(2, 3, 4, 8)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = image(a)
        radius, alpha = a.const("depth_radius"), a.const("alpha")
        size = 2 * radius + 1
        values = f"{size}, alpha={code_of(alpha * size)}, beta={code_of(a.beta)}, k={code_of(a.bias)}"
        return one(f"F.local_response_norm({{0}}, {values})", x.shape, x.dtype, x.type.layout)


class Grayscale(OpRule):
    """`tf.image.rgb_to_grayscale`."""

    names = ("tensorflow.image.rgb_to_grayscale",)
    renames = {"images": "x"}
    examples = (example("tf.image.rgb_to_grayscale(tf.cast(x, 'float32'))", x=(2, 3, 4, 3)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not is_float(x.dtype):
            raise Declined("K2T103", "rgb_to_grayscale of integers is not translated")
        fn = "{0} @ {0}.new_tensor([[0.2989], [0.587], [0.114]])"
        return one(fn, (*x.shape[:-1], 1), x.dtype)

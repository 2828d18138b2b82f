"""Strategies that draw calls of functions on tensors: axes, shapes, indices and layouts, family by family."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.rules.ops.base import Example

Drawn = tuple[Example, str]
OPS: dict[str, SearchStrategy[Drawn]] = {}

REDUCTIONS = (
    "sum",
    "mean",
    "max",
    "min",
    "prod",
    "std",
    "var",
    "logsumexp",
    "amax",
    "amin",
    "nansum",
    "nanmean",
    "median",
)
LEGACY = ("sum", "mean", "max", "min", "prod", "std", "var", "logsumexp")
ALONG = ("cumsum", "cumprod", "sort", "argsort", "softmax", "log_softmax", "argmax", "argmin", "flip", "diff")
UNARY = (
    "abs", "exp", "expm1", "log1p", "sin", "cos", "tan", "tanh", "sinh", "arctan", "arcsinh", "square", "negative", "sign", "floor",
    "ceil", "round", "sigmoid", "relu", "relu6", "silu", "elu", "selu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "mish",
    "isfinite", "isnan", "erf", "reciprocal", "sqrt", "rsqrt", "exp2", "sinc", "cbrt", "deg2rad", "hard_tanh", "soft_shrink",
    "tanh_shrink", "celu", "squareplus", "log_sigmoid",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "arctan2", "hypot", "logaddexp", "fmax", "fmin", "greater", "less",
    "equal", "not_equal", "heaviside",
)  # fmt: skip


def family(strategy: Any) -> Any:
    OPS[strategy.__name__] = st.composite(strategy)()
    return strategy


def tensor(draw: Any, rank: int) -> tuple[str, tuple[int, ...]]:
    """A tensor of a rank and its shape; an image may be one that is held with its channels first.

    The batch is larger than all sizes: Keras 3 takes (5, 1) for a bias of (5, 5).
    """
    shape = (7, *draw(st.lists(st.integers(1, 5), min_size=rank - 1, max_size=rank - 1)))
    return ("keras.layers.MaxPooling2D(1)(x)" if rank == 4 and draw(st.booleans()) else "x"), shape


def axis_of(draw: Any, rank: int) -> int:
    return draw(st.integers(1, rank - 1)) - draw(st.sampled_from((0, rank)))


def axes_of(draw: Any, rank: int) -> Any:
    """One axis, or several."""
    if draw(st.booleans()):
        return axis_of(draw, rank)
    return tuple(draw(st.lists(st.integers(1, rank - 1), min_size=1, max_size=rank - 1, unique=True)))


@family
def reduction(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    keep = ", keepdims=True" if draw(st.booleans()) else ""
    old = draw(st.integers(0, 2)) == 0
    name, axes = draw(st.sampled_from(LEGACY if old else REDUCTIONS)), axes_of(draw, rank)
    if name == "std" and 1 in shape:  # where it is zero, torch's gradient is zero and TensorFlow's NaN
        name = "var"
    code = f"{'K' if old else 'ops'}.{name}({x}, axis={axes}{keep})"
    return Example(code, {"x": shape}), draw(st.sampled_from((KERAS2, KERAS3))) if old else KERAS3


@family
def along_an_axis(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    return Example(f"ops.{draw(st.sampled_from(ALONG))}({x}, axis={axis_of(draw, rank)})", {"x": shape}), KERAS3


@family
def elementwise(draw: Any) -> Drawn:
    x, shape = tensor(draw, draw(st.integers(2, 4)))
    name = draw(st.sampled_from(UNARY))
    x = f"abs({x}) + 0.5" if name in ("sqrt", "rsqrt", "reciprocal", "log1p") else x
    return Example(f"ops.{name}({x})", {"x": shape}), KERAS3


@family
def pairs(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    other = tuple(1 if i and draw(st.integers(0, 3)) == 0 else d for i, d in enumerate(shape))
    return Example(f"ops.{draw(st.sampled_from(BINARY))}({x}, y)", {"x": shape, "y": other}), KERAS3


@family
def shapes(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    axis, axis2 = axis_of(draw, rank), axis_of(draw, rank)
    order = (0, *draw(st.permutations(range(1, rank))))
    pads = (
        (0, 0),
        *draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=rank - 1, max_size=rank - 1)),
    )
    calls = (
        f"ops.transpose({x}, {order})",
        f"ops.swapaxes({x}, {axis}, {axis2})",
        f"ops.moveaxis({x}, {axis}, {axis2})",
        f"ops.expand_dims({x}, {draw(st.integers(1, rank))})",
        f"ops.roll({x}, {draw(st.integers(-3, 3))}, axis={axis})",
        f"ops.repeat({x}, {draw(st.integers(1, 3))}, axis={axis})",
        f"ops.tile({x}, {(1, *draw(st.lists(st.integers(1, 3), min_size=rank - 1, max_size=rank - 1)))})",
        f"ops.concatenate([{x}, 2.0 * x], axis={axis})",
        f"ops.stack([{x}, 2.0 * x], axis={draw(st.integers(1, rank))})",
        f"ops.pad({x}, {pads})",
        f"ops.pad({x}, {pads}, mode='constant', constant_values=0.5)",
        f"ops.reshape({x}, (-1, *{shape[1:][::-1]}))",
        f"ops.take({x}, {draw(st.integers(0, shape[axis] - 1))}, axis={axis})",
        f"ops.take({x}, [0, {shape[axis] - 1}, 0], axis={axis})",
        f"ops.split({x}, [{draw(st.integers(0, shape[axis]))}], axis={axis})[{draw(st.integers(0, 1))}]",
        f"ops.squeeze(ops.expand_dims({x}, {abs(axis)}), {abs(axis)})",
    )
    return Example(draw(st.sampled_from(calls)), {"x": shape}), KERAS3


@family
def indexing(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    parts = [":"]
    for size in shape[1:]:
        low, step = draw(st.integers(-size, size - 1)), draw(st.sampled_from(("", "", ":2", ":3")))
        kinds = (
            ":",
            str(draw(st.integers(-size, size - 1))),
            f"{low}:{step}",
            f":{draw(st.integers(1, size))}{step}",
            "None, :",
        )
        parts.append(draw(st.sampled_from(kinds)))
    if draw(st.integers(0, 3)) == 0:
        parts = ["...", parts[-1]]
    return Example(f"({x})[{', '.join(parts)}]", {"x": shape}), KERAS3


@family
def contraction(draw: Any) -> Drawn:
    b, i, j, k = (draw(st.integers(1, 4)) for _ in range(4))
    calls = (
        ("ops.matmul(x, y)", (b, i, j), (b, j, k)),
        ("ops.einsum('bij,bjk->bik', x, y)", (b, i, j), (b, j, k)),
        ("ops.einsum('bij,bkj->bki', x, y)", (b, i, j), (b, k, j)),
        ("ops.einsum('bij,bij->bj', x, y)", (b, i, j), (b, i, j)),
        ("K.batch_dot(x, y, axes=(2, 1))", (b, i, j), (b, j, k)),
        ("ops.matmul(x, ops.transpose(y, (0, 2, 1)))", (b, i, j), (b, k, j)),
    )
    code, x, y = draw(st.sampled_from(calls))
    return Example(code, {"x": x, "y": y}), KERAS3


LOSSES = (
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "huber", "kl_divergence", "cosine_similarity",
    "categorical_hinge", "hinge", "squared_hinge", "binary_crossentropy", "categorical_crossentropy", "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
)  # fmt: skip


@family
def losses(draw: Any) -> Drawn:
    """Of shares that reach zero; of probabilities that come from logits or do not."""
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    name = draw(st.sampled_from(LOSSES))
    said = draw(
        st.sampled_from(("abs(tf.tanh(y))", "K.sigmoid(4.0 * y)", "K.softmax(y)", "tf.nn.relu(tf.tanh(y)) + 1e-3"))
    )
    more = draw(st.sampled_from(("", "", ", label_smoothing=0.2", ", from_logits=True"))) if "entropy" in name else ""
    wanted = f"K.softmax({x})" if name == "categorical_crossentropy" else f"abs(tf.tanh({x}))"
    generation = draw(st.sampled_from((KERAS2, KERAS3)))
    return Example(f"keras.losses.{name}({wanted}, {said}{more})", {"x": shape, "y": shape}), generation


@family
def draws(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x, shape = tensor(draw, rank)
    name = draw(st.sampled_from(("random_normal", "random_uniform", "truncated_normal", "random_bernoulli")))
    limits = ", p=0.25" if "bern" in name else draw(st.sampled_from(("", ", 0.5, 2.0", ", -1.0, 1.0")))
    sizes = ", ".join(draw(st.sampled_from((f"K.shape(x)[{i}]", str(d)))) for i, d in enumerate(shape) if i)
    whole = draw(st.sampled_from(("K.shape(x)", f"(K.shape(x)[0], {sizes})")))
    return Example(f"{x} * K.{name}({whole}{limits})", {"x": shape}), draw(st.sampled_from((KERAS2, KERAS3)))

"""Strategies that draw layers of Keras: arguments, ranks, sizes and layouts that nobody thought of, family by family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from transpiler.ir.model import KERAS2, KERAS3


@dataclass(frozen=True)
class Case:
    """A constructor call, the shapes of its inputs, and how they are compared.

    `channels_first` cases have no kernels in TensorFlow on a CPU: Keras runs the same layer with the channels last.
    """

    code: str
    shapes: tuple[tuple[int, ...], ...]
    generation: str = KERAS3
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def channels_first(self) -> bool:
        return "'channels_first'" in self.code


FAMILIES: dict[str, SearchStrategy[Case]] = {}
ACTIVATIONS = (
    None,
    "relu",
    "tanh",
    "sigmoid",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "softmax",
    "hard_sigmoid",
    "silu",
)
NAMES = {1: "1D", 2: "2D", 3: "3D"}


def family(strategy: Callable[..., Any]) -> Callable[..., Any]:
    """Registers a composite strategy under its name."""
    made = st.composite(strategy)
    FAMILIES[strategy.__name__] = made()
    return made


def constructor(name: str, *args: Any, **kwargs: Any) -> str:
    """The text of a call; arguments that are `...` are left out."""
    parts = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items() if v is not ...]
    return f"{name}({', '.join(parts)})"


def activation(draw: Any, data_format: Any = ...) -> Any:
    """An activation, if any; shares along the last axis are not those along the channels."""
    found = given(draw, *ACTIVATIONS)
    return "relu" if found == "softmax" and data_format == "channels_first" else found


def given(draw: Any, *values: Any) -> Any:
    """One of some values, or no argument at all."""
    return draw(st.sampled_from((..., *values)))


def sizes(draw: Any, rank: int, low: int, high: int) -> Any:
    """One number, or one for each axis."""
    if draw(st.booleans()):
        return draw(st.integers(low, high))
    return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))


def image(draw: Any, rank: int, channels: int, low: int = 5, high: int = 9) -> tuple[int, ...]:
    """A batch of sequences, images or volumes, channels last."""
    high = high if rank < 3 else 6
    return (draw(st.integers(1, 3)), *draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)), channels)


def placed(shape: tuple[int, ...], data_format: Any) -> tuple[int, ...]:
    """A shape with its channels where `data_format` has them."""
    return (shape[0], shape[-1], *shape[1:-1]) if data_format == "channels_first" else shape


generations = st.sampled_from((KERAS3, KERAS3, KERAS2))
ranks = st.integers(1, 3)


# Without strides in volumes: TensorFlow's kernel for float64 leaves out the first cells where they exceed the window.
@family
def convolution(draw: Any) -> Case:
    rank, groups = draw(ranks), draw(st.sampled_from((1, 1, 2)))
    channels = groups * draw(st.integers(1, 3))
    data_format = given(draw, "channels_last", "channels_first")
    code = constructor(
        f"Conv{NAMES[rank]}",
        groups * draw(st.integers(1, 3)),
        sizes(draw, rank, 1, 4),
        strides=... if rank == 3 or draw(st.booleans()) else sizes(draw, rank, 1, 3),
        padding=given(draw, "valid", "same", "SAME", *(("causal",) if rank == 1 else ())),
        data_format=data_format,
        dilation_rate=... if draw(st.booleans()) else sizes(draw, rank, 1, 2),
        groups=groups if groups > 1 else ...,
        activation=activation(draw, data_format),
        use_bias=given(draw, False),
    )
    return Case(code, (placed(image(draw, rank, channels), data_format),), draw(generations))


@family
def separable_convolution(draw: Any) -> Case:
    rank, depthwise = draw(st.integers(1, 2)), draw(st.booleans())
    data_format = given(draw, "channels_last", "channels_first")
    code = constructor(
        f"{'Depthwise' if depthwise else 'Separable'}Conv{NAMES[rank]}",
        *(() if depthwise else (draw(st.integers(1, 4)),)),
        sizes(draw, rank, 1, 4),
        strides=... if draw(st.booleans()) else draw(st.integers(1, 3)),
        padding=given(draw, "valid", "same"),
        data_format=data_format,
        dilation_rate=... if draw(st.booleans()) else draw(st.integers(1, 2)),
        depth_multiplier=given(draw, 1, 2),
        activation=activation(draw, data_format),
        use_bias=given(draw, False),
    )
    return Case(code, (placed(image(draw, rank, draw(st.integers(1, 3))), data_format),), draw(generations))


@family
def transposed_convolution(draw: Any) -> Case:
    rank = draw(ranks)
    data_format = given(draw, "channels_last", "channels_first")
    code = constructor(
        f"Conv{NAMES[rank]}Transpose",
        draw(st.integers(1, 3)),
        sizes(draw, rank, 3 if rank == 3 else 1, 4),  # not less than a stride in volumes: see `convolution`
        strides=... if draw(st.booleans()) else sizes(draw, rank, 1, 3),
        padding=given(draw, "valid", "same"),
        output_padding=... if draw(st.booleans()) else sizes(draw, rank, 0, 1),
        data_format=data_format,
        dilation_rate=... if draw(st.booleans()) else draw(st.integers(1, 2)),
        activation=activation(draw, data_format),
        use_bias=given(draw, False),
    )
    shape, single = image(draw, rank, draw(st.integers(1, 3)), 2, 5), "dilation_rate=2" in code
    code = f"{code[:-1]}, dtype='float32')" if single else code  # dilated, it has no kernel for float64
    return Case(code, (placed(shape, data_format),), draw(generations), {"dtype": "float32"} if single else {})


@family
def pooling(draw: Any) -> Case:
    rank = draw(st.integers(1, 2))
    data_format = given(draw, "channels_last", "channels_first")
    code = constructor(
        f"{draw(st.sampled_from(('Max', 'Average')))}Pooling{NAMES[rank]}",
        *(() if draw(st.booleans()) else (sizes(draw, rank, 1, 4),)),
        strides=... if draw(st.booleans()) else sizes(draw, rank, 1, 4),
        padding=given(draw, "valid", "same"),
        data_format=data_format,
    )
    return Case(code, (placed(image(draw, rank, draw(st.integers(1, 3))), data_format),), draw(generations))


@family
def global_pooling(draw: Any) -> Case:
    rank, adaptive = draw(ranks), draw(st.integers(0, 3)) == 0
    kind = draw(st.sampled_from(("Max", "Average")))
    if adaptive:  # not the maximum: TensorFlow's gradient of it reads memory that nobody wrote, or ends the process
        code = constructor(f"AdaptiveAveragePooling{NAMES[min(rank, 2)]}", sizes(draw, min(rank, 2), 1, 4))
        return Case(code, (image(draw, min(rank, 2), draw(st.integers(1, 3))),))
    data_format = given(draw, "channels_last", "channels_first")
    code = constructor(f"Global{kind}Pooling{NAMES[rank]}", data_format=data_format, keepdims=given(draw, True, False))
    return Case(code, (placed(image(draw, rank, draw(st.integers(1, 3))), data_format),), draw(generations))


@family
def resampling(draw: Any) -> Case:
    rank = draw(ranks)
    kind = draw(st.sampled_from(("UpSampling", "ZeroPadding", "Cropping")))
    data_format = given(draw, "channels_last", "channels_first") if rank > 1 else ...
    options: dict[str, Any] = {}
    if kind == "UpSampling":
        amount = sizes(draw, rank, 1, 3) if rank > 1 else draw(st.integers(1, 3))
        if rank == 2:
            options["interpolation"] = given(draw, "nearest", "bilinear")
    elif draw(st.booleans()):
        amount = draw(st.integers(0, 2))
    elif rank == 1:
        amount = tuple(draw(st.lists(st.integers(0, 2), min_size=2, max_size=2)))
    else:
        pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
        amount = draw(st.one_of(st.tuples(*[st.integers(0, 2)] * rank), st.tuples(*[pairs] * rank)))
    code = constructor(f"{kind}{NAMES[rank]}", amount, data_format=data_format, **options)
    return Case(code, (placed(image(draw, rank, draw(st.integers(1, 3))), data_format),), draw(generations))


@family
def normalization(draw: Any) -> Case:
    rank = draw(st.integers(2, 5))
    shape = (draw(st.integers(2, 3)), *draw(st.lists(st.integers(2, 4), min_size=rank - 1, max_size=rank - 1)))
    axis = draw(st.integers(1, rank - 1)) - draw(st.sampled_from((0, rank)))
    kind = draw(st.sampled_from(("Batch", "Layer", "Layer", "RMS", "Unit")))
    if kind == "Batch":
        code = constructor(
            "BatchNormalization",
            axis=given(draw, axis),
            epsilon=given(draw, 1e-3, 0.1),
            center=given(draw, False),
            scale=given(draw, False),
        )
        return Case(code, (shape,), draw(generations), {"training": draw(st.booleans())})
    if kind == "RMS":
        return Case(constructor("RMSNormalization", axis=given(draw, axis), epsilon=given(draw, 1e-2)), (shape,))
    several = tuple(sorted(draw(st.sets(st.integers(1, rank - 1), min_size=1))))
    if kind == "Unit":
        return Case(constructor("UnitNormalization", axis=given(draw, axis, several)), (shape,), draw(generations))
    code = constructor(
        "LayerNormalization",
        axis=given(draw, axis, several),
        epsilon=given(draw, 1e-6, 0.1),
        center=given(draw, False),
        scale=given(draw, False),
    )
    return Case(code, (shape,), draw(generations))


@family
def group_normalization(draw: Any) -> Case:
    groups, rank = draw(st.sampled_from((1, 2, 3, -1))), draw(st.integers(1, 3))
    shape = image(draw, rank, abs(groups) * draw(st.integers(1, 3)), 2, 4)
    code = constructor(
        "GroupNormalization",
        groups,
        axis=given(draw, -1, rank + 1),
        epsilon=given(draw, 1e-5),
        center=given(draw, False),
        scale=given(draw, False),
    )
    return Case(code, (shape,), draw(generations))


@family
def dense(draw: Any) -> Case:
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    code = constructor(
        "Dense", draw(st.integers(1, 5)), activation=given(draw, *ACTIVATIONS), use_bias=given(draw, False)
    )
    return Case(code, (shape,), draw(generations))


@family
def activation_layer(draw: Any) -> Case:
    rank = draw(st.integers(2, 4))
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(2, 4), min_size=rank - 1, max_size=rank - 1)))
    axis = draw(st.integers(1, rank - 1)) - draw(st.sampled_from((0, rank)))
    some = draw(st.lists(st.integers(1, rank - 1), unique=True, max_size=rank - 1))
    code = draw(
        st.sampled_from(
            (
                constructor("Softmax", axis=given(draw, axis)),
                constructor("PReLU", shared_axes=given(draw, some)),
                constructor("ELU", alpha=given(draw, 0.5, 2.0)),
                constructor(
                    "ReLU",
                    max_value=given(draw, None, 1.0, 6),
                    negative_slope=given(draw, 0.0, 0.25),
                    threshold=given(draw, 0.0, 0.5),
                ),
                constructor("LeakyReLU", *draw(st.sampled_from(((), (0.25,), (0.5,))))),
                constructor("Activation", draw(st.sampled_from(ACTIVATIONS[1:]))),
            )
        )
    )
    return Case(code, (shape,), draw(generations))


@family
def reshaping(draw: Any) -> Case:
    rank = draw(st.integers(2, 4))
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(1, 4), min_size=rank - 1, max_size=rank - 1)))
    order = draw(st.permutations(range(1, rank)))
    target = list(shape[1:][::-1])
    if draw(st.booleans()):
        target[draw(st.integers(0, rank - 2))] = -1
    if draw(st.booleans()):
        target.insert(draw(st.integers(0, rank - 1)), 1)
    choices = [
        constructor("Flatten", data_format=given(draw, "channels_last")),
        constructor("Reshape", tuple(target)),
        constructor("Permute", tuple(order)),
    ]
    if rank == 2:
        choices.append(constructor("RepeatVector", draw(st.integers(1, 3))))
    return Case(draw(st.sampled_from(choices)), (shape,), draw(generations))


@family
def merging(draw: Any) -> Case:
    rank, count = draw(st.integers(2, 4)), draw(st.integers(2, 3))
    # Not the size of an axis: Keras 3 then takes (5, 1) for a bias of (5, 5).
    shape = [5, *draw(st.lists(st.integers(1, 4), min_size=rank - 1, max_size=rank - 1))]
    kind = draw(st.sampled_from(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")))
    shapes = [list(shape) for _ in range(2 if kind in ("Subtract", "Dot") else count)]
    options: dict[str, Any] = {}
    if kind == "Concatenate":
        axis = draw(st.integers(1, rank - 1))
        for s in shapes:
            s[axis] = draw(st.integers(1, 4))
        options["axis"] = axis - draw(st.sampled_from((0, rank)))
    elif kind == "Dot":
        options = {"axes": draw(st.integers(1, rank - 1)), "normalize": given(draw, True)}
    else:
        for s in shapes[1:]:
            for axis in range(1, rank):
                s[axis] = draw(st.sampled_from((s[axis], s[axis], 1)))
        if draw(st.booleans()) and rank > 2:
            shapes[1] = [shapes[1][0], *shapes[1][2:]]
    return Case(constructor(kind, **options), tuple(map(tuple, shapes)), draw(generations))


@family
def recurrent(draw: Any) -> Case:
    kind = draw(st.sampled_from(("LSTM", "GRU", "SimpleRNN")))
    options = {"activation": given(draw, "tanh", "relu", None, "softsign")}
    if kind != "SimpleRNN":
        options["recurrent_activation"] = given(draw, "sigmoid", "hard_sigmoid", "tanh")
    if kind == "GRU":
        options["reset_after"] = given(draw, True, False)
    if kind == "LSTM":
        options["unit_forget_bias"] = given(draw, False)
    options |= {
        "use_bias": given(draw, False),
        "return_sequences": given(draw, True),
        "go_backwards": given(draw, True),
        "unroll": given(draw, True),
    }
    outside = {"return_state": given(draw, True)}
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 4)))
    more = masked(draw)
    if more:  # graphs of one step at a time forget the steps of a mask where they go backwards
        outside["zero_output_for_mask"] = given(draw, True)
    if draw(st.integers(0, 2)) == 0:
        inner = constructor(kind, draw(st.integers(1, 4)), **{**options, "go_backwards": ...})
        merge = given(draw, "concat", "sum", "mul", "ave", None)
        code = f"Bidirectional({inner}{'' if merge is ... else f', merge_mode={merge!r}'})"
        return Case(code, (shape,), draw(generations), more)
    return Case(constructor(kind, draw(st.integers(1, 4)), **options, **outside), (shape,), draw(generations), more)


def masked(draw: Any) -> dict[str, Any]:
    """Whether the input of a layer is masked, as an option of the comparison."""
    return {"masks": (0,)} if draw(st.booleans()) else {}


@family
def cells(draw: Any) -> Case:
    def cell() -> str:
        kind = draw(st.sampled_from(("LSTM", "GRU", "SimpleRNN")))
        options = {"activation": given(draw, "tanh", "relu"), "use_bias": given(draw, False)}
        if kind == "GRU":
            options["reset_after"] = given(draw, True, False)
        return constructor(f"{kind}Cell", draw(st.integers(1, 4)), dropout=given(draw, 0.3), **options)

    several = [cell() for _ in range(draw(st.integers(1, 3)))]
    one = several[0] if len(several) == 1 else f"[{', '.join(several)}]"
    options = {
        "return_sequences": given(draw, True),
        "go_backwards": given(draw, True),
        "return_state": given(draw, True),
        "zero_output_for_mask": given(draw, True),
    }
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 4)))
    code = constructor("RNN", **options).replace("RNN(", f"RNN({one}, ").replace(", )", ")")
    return Case(code, (shape,), draw(generations), {"training": False, **masked(draw)})


@family
def convolutional_recurrent(draw: Any) -> Case:
    rank = draw(st.integers(1, 2))
    code = constructor(
        f"ConvLSTM{NAMES[rank]}",
        draw(st.integers(1, 3)),
        sizes(draw, rank, 1, 3),
        strides=... if draw(st.booleans()) else draw(st.integers(1, 2)),
        padding=given(draw, "valid", "same"),
        activation=given(draw, "tanh", "relu"),
        recurrent_activation=given(draw, "sigmoid", "hard_sigmoid"),
        use_bias=given(draw, False),
        return_sequences=given(draw, True),
        go_backwards=given(draw, True),
        return_state=given(draw, True),
        dropout=given(draw, 0.2),
        recurrent_dropout=given(draw, 0.2),
    )
    shape = image(draw, rank, draw(st.integers(1, 2)), 4, 6)
    more = {"training": False, **masked(draw)}
    return Case(code, ((shape[0], draw(st.integers(1, 3)), *shape[1:]),), draw(generations), more)


@family
def attention(draw: Any) -> Case:
    kind = draw(st.sampled_from(("Attention", "AdditiveAttention")))
    batch, steps, keys, size = (draw(st.integers(1, 4)) for _ in range(4))
    shapes = [(batch, steps, size), (batch, keys, draw(st.integers(1, 4)) if draw(st.integers(0, 4)) == 0 else size)]
    if draw(st.booleans()):
        shapes.append((batch, keys, size))
    score = given(draw, "dot", "concat") if kind == "Attention" else ...
    code = constructor(kind, use_scale=given(draw, True, False), score_mode=score, dropout=given(draw, 0.2))
    masks = tuple(sorted(draw(st.sets(st.integers(0, 1)))))
    return Case(code, tuple(shapes), draw(generations), {"training": False, **({"masks": masks} if masks else {})})


@family
def heads(draw: Any) -> Case:
    grouped = draw(st.booleans())
    generation = KERAS3 if grouped else draw(generations)
    batch, steps, keys = (draw(st.integers(1, 4)) for _ in range(3))
    shapes = [(batch, n, draw(st.integers(1, 5))) for n in (steps, keys, keys)][: draw(st.integers(2, 3))]
    options = {"dropout": given(draw, 0.2), "use_bias": given(draw, False)}
    if generation == KERAS3:
        options["sliding_window"] = given(draw, 1, 2)
    count = draw(st.integers(1, 3))
    if grouped:
        code = constructor(
            "GroupQueryAttention", draw(st.integers(1, 3)), count * draw(st.integers(1, 2)), count, **options
        )
    else:
        value, output = given(draw, 2), given(draw, 3)
        code = constructor(
            "MultiHeadAttention", count, draw(st.integers(1, 3)), value_dim=value, output_shape=output, **options
        )
    named = ("query", "value", "key")[: len(shapes)]
    more: dict[str, Any] = {"training": False, "named": named}
    if generation == KERAS3:
        more["masks"] = tuple(sorted(draw(st.sets(st.integers(0, len(shapes) - 1)))))
    if draw(st.booleans()):
        more["flags"] = {"use_causal_mask": True}
    return Case(code, tuple(shapes), generation, more)


@family
def preprocessing(draw: Any) -> Case:
    channels = draw(st.integers(1, 3))
    shape = image(draw, 2, channels, 4, 8)
    numbers = st.lists(st.sampled_from((0.5, 1.0, 2.0, 4.0)), min_size=channels, max_size=channels)
    code = draw(
        st.sampled_from(
            (
                constructor("Rescaling", draw(st.sampled_from((0.5, 2.0))), offset=given(draw, -1.0, 0.5)),
                constructor("Normalization", mean=draw(numbers), variance=draw(numbers)),
                constructor("Normalization", mean=draw(numbers), variance=draw(numbers), invert=given(draw, True)),
                constructor("CenterCrop", draw(st.integers(1, 4)), draw(st.integers(1, 4))),
                constructor("Discretization", bin_boundaries=[-1.0, 0.0, 0.5]),
                constructor(
                    "Resizing",
                    draw(st.integers(2, 9)),
                    draw(st.integers(2, 9)),
                    interpolation=draw(st.sampled_from(("bilinear", "nearest"))),
                ),
            )
        )
    )
    if "bilinear" in code:  # TensorFlow computes it in float32
        return Case(f"{code[:-1]}, dtype='float32')", (shape,), draw(generations), {"dtype": "float32"})
    return Case(code, (shape,), draw(generations))


@family
def embedding(draw: Any) -> Case:
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(1, 4), min_size=1, max_size=2)))
    return Case(constructor("Embedding", 5, draw(st.integers(1, 4))), (shape,), draw(generations), {"ids": 5})


@family
def regularization(draw: Any) -> Case:
    rank = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(("Dropout", "SpatialDropout", "GaussianNoise", "GaussianDropout", "AlphaDropout")))
    name = f"{kind}{NAMES[rank]}" if kind == "SpatialDropout" else kind
    code = constructor(name, draw(st.sampled_from((0.0, 0.25, 0.5))))
    return Case(code, (image(draw, rank, draw(st.integers(1, 3))),), draw(generations), {"training": False})


@family
def time_distributed(draw: Any) -> Case:
    inner = draw(st.sampled_from(("Dense(3)", "Conv2D(2, 3)", "Flatten()", "GlobalAveragePooling2D()", "LSTM(2)")))
    rank = {"Dense(3)": draw(st.integers(3, 4)), "LSTM(2)": 4}.get(inner, 5)
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(3, 5), min_size=rank - 1, max_size=rank - 1)))
    return Case(f"TimeDistributed({inner})", (shape,), draw(generations))

"""A conversion holds at argument values that it did not see.

Each program is converted once, for one entry; the result is then used at others. There it must compute what a flat
conversion of those very arguments does, with the same weights, or refuse where a parameter was fixed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest
from held import assert_same, build, convert, load, write

from transpiler.diagnostics import Severity
from transpiler.pipeline import convert_file

HEAD = """
import keras
from keras import layers
from keras.layers import *
from keras.models import Model, Sequential
"""


@dataclass(frozen=True)
class Case:
    """A program, the entry it is converted for, others it must serve, and those that it may refuse."""

    source: str
    seen: str
    held: tuple[str, ...]
    tier: str = "structure"
    refused: tuple[str, ...] = ()


CASES: dict[str, Case] = {}


def case(name: str, source: str, seen: str, *held: str, tier: str = "structure", refused: tuple[str, ...] = ()) -> None:
    CASES[name] = Case(HEAD + source, seen, held, tier, refused)


case(
    "residual blocks in a loop over range",
    """
def block(x, filters, strides=1):
    y = Conv2D(filters, 3, strides=strides, padding="same")(x)
    y = BatchNormalization()(y)
    y = Conv2D(filters, 3, padding="same")(ReLU()(y))
    if strides != 1 or x.shape[-1] != filters:
        x = Conv2D(filters, 1, strides=strides, padding="same")(x)
    return ReLU()(Add()([x, y]))

def build(shape=(16, 16, 3), depth=2, width=4, classes=5):
    inputs = keras.Input(shape)
    x = Conv2D(width, 3, padding="same")(inputs)
    for stage in range(3):
        for i in range(depth):
            x = block(x, width * 2 ** stage, strides=2 if stage > 0 and i == 0 else 1)
    x = GlobalAveragePooling2D()(x)
    return Model(inputs, Dense(classes)(x))
""",
    "build()",
    "build(depth=1)", "build(depth=5)", "build(depth=0)", "build((17, 13, 1), 2, 3, 7)", "build(width=1)",
)  # fmt: skip
case(
    "filters double in a loop",
    """
def build(shape=(16, 16, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    for i in range(depth):
        x = Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = MaxPooling2D()(x)
        filters *= 2
    x = Conv2D(filters, 1)(x)
    return Model(inputs, Dense(filters + 1)(Flatten()(x)))
""",
    "build()",
    "build(depth=0)", "build(depth=1)", "build((33, 31, 2), depth=4, filters=3)",
)  # fmt: skip
case(
    "conditional parts",
    """
def conv(x, filters, bn=True, act="relu", dropout=0.0):
    x = Conv2D(filters, 3, padding="same", use_bias=not bn)(x)
    if bn:
        x = BatchNormalization()(x)
    if act:
        x = Activation(act)(x)
    if dropout > 0:
        x = Dropout(dropout)(x)
    return x

def build(shape=(8, 8, 3), bn=True, dropout=0.2, include_top=True, classes=4, pooling=None):
    inputs = keras.Input(shape)
    x = conv(inputs, 4, bn, dropout=dropout)
    x = conv(x, 6, bn=bn)
    if include_top:
        x = GlobalAveragePooling2D()(x)
        x = Dense(classes, activation="softmax")(x)
    elif pooling == "avg":
        x = GlobalAveragePooling2D()(x)
    elif pooling == "max":
        x = GlobalMaxPooling2D()(x)
    return Model(inputs, x)
""",
    "build()",
    "build(bn=False)", "build(dropout=0)", "build(include_top=False)", "build(include_top=False, pooling='avg')",
    "build((9, 7, 1), include_top=False, pooling='max', bn=False, dropout=0.5)", "build(classes=2)",
)  # fmt: skip
case(
    "the seen side lacks the top",
    """
def build(shape=(8, 8, 3), include_top=False, classes=4):
    inputs = keras.Input(shape)
    x = Conv2D(4, 3, activation="relu")(inputs)
    if include_top:
        x = Flatten()(x)
        x = Dense(classes)(x)
    return Model(inputs, x)
""",
    "build()",
    "build(include_top=True)", "build((11, 6, 2), True, 9)",
)  # fmt: skip
case(
    "early return",
    """
def squeeze(x, ratio):
    if ratio == 0:
        return x
    s = GlobalAveragePooling2D(keepdims=True)(x)
    s = Conv2D(x.shape[-1] // ratio, 1, activation="relu")(s)
    s = Conv2D(x.shape[-1], 1, activation="sigmoid")(s)
    return Multiply()([x, s])

def build(channels=3, ratio=2):
    inputs = keras.Input((8, 8, channels))
    x = Conv2D(8, 3)(inputs)
    x = squeeze(x, ratio)
    return Model(inputs, squeeze(x, 4))
""",
    "build()",
    "build(ratio=0)", "build(5, 4)", "build(ratio=8)",
)  # fmt: skip
case(
    "u-net with a list of skips over a literal",
    """
def double(x, f):
    for _ in range(2):
        x = Conv2D(f, 3, padding="same", activation="relu")(x)
    return x

def build(shape=(16, 16, 1), base=2, classes=2):
    inputs = keras.Input(shape)
    skips = []
    x = inputs
    for m in [1, 2, 4]:
        x = double(x, base * m)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    x = double(x, base * 8)
    for m, skip in zip([4, 2, 1], reversed(skips)):
        x = UpSampling2D(2)(x)
        x = Concatenate()([x, skip])
        x = double(x, base * m)
    return Model(inputs, Conv2D(classes, 1, activation="sigmoid")(x))
""",
    "build()",
    "build((24, 32, 3), 3, 1)", "build(base=1)",
)  # fmt: skip
case(
    "u-net of open depth",
    """
def build(shape=(32, 32, 1), depth=2, base=2):
    inputs = x = keras.Input(shape)
    skips = []
    for i in range(depth):
        x = Conv2D(base * 2 ** i, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    x = Conv2D(base * 2 ** depth, 3, padding="same")(x)
    for i in reversed(range(depth)):
        x = Conv2DTranspose(base * 2 ** i, 2, strides=2)(x)
        x = concatenate([x, skips[i]])
        x = Conv2D(base * 2 ** i, 3, padding="same", activation="relu")(x)
    return Model(inputs, Conv2D(1, 1)(x))
""",
    "build()",
    "build((16, 32, 3), base=3)",
    "build(depth=3)",
    "build(depth=1)",
    "build(depth=0)",
)
case(
    "dense blocks: channels grow by concatenation",
    """
def conv_block(x, growth):
    y = BatchNormalization()(x)
    y = Conv2D(growth, 3, padding="same")(ReLU()(y))
    return Concatenate()([x, y])

def dense_block(x, blocks, growth):
    for i in range(blocks):
        x = conv_block(x, growth)
    return x

def transition(x, reduction):
    x = Conv2D(int(x.shape[-1] * reduction), 1)(x)
    return AveragePooling2D(2)(x)

def build(shape=(16, 16, 3), blocks=(2, 3), growth=4, reduction=0.5):
    inputs = keras.Input(shape)
    x = Conv2D(2 * growth, 3, padding="same")(inputs)
    for n in blocks:
        x = dense_block(x, n, growth)
        x = transition(x, reduction)
    return Model(inputs, Dense(3)(Flatten()(x)))
""",
    "build()",
    "build(blocks=(1,))", "build(blocks=(4, 0, 2), growth=3)", "build((20, 17, 1), (2, 2), 6, 0.75)", "build(blocks=())",
)  # fmt: skip
case(
    "two sizes through strided same convolutions",
    """
def build(shape=(15, 12, 3), filters=4, strides=2, kernel=3):
    inputs = keras.Input(shape)
    x = Conv2D(filters, kernel, strides=strides, padding="same")(inputs)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    x = Conv2D(filters, kernel, padding="valid")(x)
    x = AveragePooling2D(2, padding="same")(x)
    return Model(inputs, Dense(2)(Flatten()(x)))
""",
    "build()",
    "build((16, 16, 3))", "build((17, 14, 1))", "build((31, 30, 2), strides=1)", "build((40, 41, 3), strides=3)",
    "build(strides=1, kernel=2)", "build((33, 32, 3), kernel=5)",
)  # fmt: skip
case(
    "open sizes",
    """
def build(size=None, channels=3, filters=4):
    inputs = keras.Input((size, size, channels))
    x = Conv2D(filters, 3, strides=2, padding="same")(inputs)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    x = UpSampling2D(2)(x)
    return Model(inputs, Conv2D(2, 1)(x))
""",
    "build()",
    "build(12)", "build(13)", "build(filters=5, channels=1)",
)  # fmt: skip
case(
    "a known size seen, open ones held back",
    """
def build(size=12, channels=3, filters=4):
    inputs = keras.Input((size, size, channels))
    x = Conv2D(filters, 3, strides=2, padding="same")(inputs)
    x = AveragePooling2D(3, strides=2, padding="same")(x)
    return Model(inputs, Conv2D(2, 1)(x))
""",
    "build()",
    "build(13)", "build(None)",
)  # fmt: skip
case(
    "a loop over a parameter, zipped and counted",
    """
def build(shape=(20, 3), widths=(4, 6), kernels=(3, 5), names=True):
    inputs = x = keras.Input(shape)
    for i, (w, k) in enumerate(zip(widths, kernels)):
        x = Conv1D(w, k, padding="same", activation="relu", dilation_rate=2 ** i, name=f"conv_{i}")(x)
        x = MaxPooling1D(2)(x)
    x = Flatten()(x)
    return Model(inputs, Dense(widths[-1])(x))
""",
    "build()",
    "build(widths=(5,), kernels=(1,))", "build((33, 2), (2, 3, 4), (3, 2, 3))",
)  # fmt: skip
case(
    "an mlp of any depth",
    """
def build(features=6, hidden=(8, 4), classes=3, dropout=0.1, activation="relu"):
    inputs = keras.Input((features,))
    x = inputs
    for units in hidden:
        x = Dense(units, activation=activation)(x)
        if dropout:
            x = Dropout(dropout)(x)
    return Model(inputs, Dense(classes, activation="softmax" if classes > 1 else "sigmoid")(x))
""",
    "build()",
    "build(hidden=())", "build(9, (5,), 1)", "build(hidden=[3, 3, 3], dropout=None)", "build(activation='tanh')", "build(activation=None)",
)  # fmt: skip
case(
    "a recurrent stack",
    """
def build(timesteps=5, features=3, units=(4, 6), cell="lstm", bidirectional=False):
    inputs = x = keras.Input((timesteps, features))
    for i, u in enumerate(units):
        last = i == len(units) - 1
        layer = LSTM(u, return_sequences=not last) if cell == "lstm" else GRU(u, return_sequences=not last)
        if bidirectional:
            layer = Bidirectional(layer)
        x = layer(x)
    return Model(inputs, Dense(2)(x))
""",
    "build()",
    "build(7, 2)", "build(cell='gru')", "build(units=(3,))", "build(units=(2, 3, 4), bidirectional=True)",
)  # fmt: skip
case(
    "embedding and convolutions",
    """
def build(vocab=10, length=12, dim=4, kernels=(2, 3)):
    inputs = keras.Input((length,), dtype="int32")
    x = Embedding(vocab, dim)(inputs)
    pooled = [GlobalMaxPooling1D()(Conv1D(5, k, activation="relu")(x)) for k in kernels]
    x = Concatenate()(pooled)
    return Model(inputs, Dense(2)(x))
""",
    "build()",
    "build(20, 9, 3)",
    "build(kernels=(3,))",
    "build(kernels=(2, 3, 4))",
)
case(
    "a nested function and a function passed in",
    """
def stack(x, n, unit):
    for i in range(n):
        x = unit(x, 4 * (i + 1))
    return x

def build(shape=(12, 12, 3), n=2, kernel=3):
    def unit(x, filters):
        x = Conv2D(filters, kernel, padding="same")(x)
        return ReLU()(x)

    inputs = keras.Input(shape)
    x = stack(inputs, n, unit)
    x = unit(x, 5)
    return Model(inputs, GlobalAveragePooling2D()(x))
""",
    "build()",
    "build(n=1)", "build(n=4, kernel=2)", "build((7, 9, 1), n=0)",
)  # fmt: skip
case(
    "a closure that returns a function",
    """
def conv_unit(filters, kernel=3, strides=1):
    def apply(x):
        x = Conv2D(filters, kernel, strides=strides, padding="same")(x)
        return LeakyReLU()(x)
    return apply

def build(shape=(12, 13, 3), base=4, deep=True):
    inputs = keras.Input(shape)
    x = conv_unit(base, strides=2)(inputs)
    x = conv_unit(base * 2)(x)
    if deep:
        x = conv_unit(base * 2, 1)(x)
    return Model(inputs, Flatten()(x))
""",
    "build()",
    "build(deep=False)", "build((9, 8, 1), base=3)",
)  # fmt: skip
case(
    "methods of a plain class",
    """
class Net:
    def __init__(self, width=4, depth=2, bn=True):
        self.width, self.depth, self.bn = width, depth, bn

    def conv(self, x, filters):
        x = Conv2D(filters, 3, padding="same", use_bias=not self.bn)(x)
        if self.bn:
            x = BatchNormalization()(x)
        return ReLU()(x)

    def build(self, shape=(8, 8, 3)):
        inputs = x = keras.Input(shape)
        for i in range(self.depth):
            x = self.conv(x, self.width * (i + 1))
        return Model(inputs, Flatten()(x))
""",
    "Net().build()",
    "Net(3).build((9, 5, 1))", "Net(depth=4).build()", "Net(bn=False).build()", "Net(depth=0).build()",
)  # fmt: skip
case(
    "a static helper function",
    """
def round_filters(filters, multiplier, divisor=8):
    filters *= multiplier
    new = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    if new < 0.9 * filters:
        new += divisor
    return int(new)

def build(channels=3, alpha=1.0):
    inputs = keras.Input((16, 16, channels))
    x = Conv2D(round_filters(12, alpha), 3)(inputs)
    x = Conv2D(round_filters(20, alpha, 4), 3)(x)
    return Model(inputs, x)
""",
    "build()",
    "build(alpha=0.5)", "build(1, 1.75)",
)  # fmt: skip
case(
    "inverted residuals with a decision by channels",
    """
def inverted(x, filters, stride, expand):
    channels = x.shape[-1]
    y = x
    if expand != 1:
        y = Conv2D(channels * expand, 1, use_bias=False)(y)
        y = BatchNormalization()(y)
        y = ReLU(6.0)(y)
    y = DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
    y = BatchNormalization()(y)
    y = Conv2D(filters, 1, use_bias=False)(y)
    if stride == 1 and channels == filters:
        return Add()([x, y])
    return y

def build(shape=(16, 16, 3), alpha=1, settings=((1, 4, 1, 1), (2, 6, 2, 2))):
    inputs = keras.Input(shape)
    x = Conv2D(4 * alpha, 3, strides=2, padding="same")(inputs)
    for expand, filters, n, stride in settings:
        for i in range(n):
            x = inverted(x, filters * alpha, stride if i == 0 else 1, expand)
    return Model(inputs, GlobalAveragePooling2D()(x))
""",
    "build()",
    "build((15, 17, 1), 2)", "build(settings=((6, 3, 3, 1),))", "build(settings=((1, 4, 0, 1), (3, 4, 2, 1)))",
)  # fmt: skip
case(
    "a transposed decoder of flattened size",
    """
def build(latent=6, size=8, channels=1, base=4):
    inputs = keras.Input((latent,))
    x = Dense(size // 4 * (size // 4) * base)(inputs)
    x = Reshape((size // 4, size // 4, base))(x)
    x = Conv2DTranspose(base, 3, strides=2, padding="same", activation="relu")(x)
    x = Conv2DTranspose(channels, 3, strides=2, padding="same")(x)
    return Model(inputs, x)
""",
    "build()",
    "build(3, 12, 3)", "build(size=16, base=2)",
)  # fmt: skip
case(
    "an autoencoder of several outputs",
    """
def build(shape=(10,), units=(6, 3), both=True):
    inputs = x = keras.Input(shape)
    for u in units:
        x = Dense(u, activation="tanh")(x)
    code = x
    for u in units[::-1]:
        x = Dense(u, activation="tanh")(x)
    out = Dense(shape[0])(x)
    return Model(inputs, [out, code] if both else out)
""",
    "build()",
    "build((7,), (5,))", "build(units=(4, 3, 2))",
    tier="specialised",
    refused=("build(both=False)",),
)  # fmt: skip
case(
    "a shared layer and a siamese pair",
    """
def build(shape=(6,), units=4, classes=2):
    a, b = keras.Input(shape), keras.Input(shape)
    shared = Dense(units, activation="relu")
    x = Concatenate()([shared(a), shared(b)])
    return Model([a, b], Dense(classes)(x))
""",
    "build()",
    "build((3,), 7, 1)",
)  # fmt: skip
case(
    "a nested model used twice",
    """
def encoder(shape, units):
    inputs = keras.Input(shape)
    return Model(inputs, Dense(units, activation="relu")(Dense(units * 2)(inputs)))

def build(features=6, units=4):
    base = encoder((features,), units)
    a, b = keras.Input((features,)), keras.Input((features,))
    return Model([a, b], Subtract()([base(a), base(b)]))
""",
    "build()",
    "build(5, 3)",
)  # fmt: skip
case(
    "a sequential model",
    """
def build(shape=(12, 12, 3), filters=(4, 8), classes=3, batchnorm=False):
    model = Sequential()
    model.add(keras.Input(shape))
    for f in filters:
        model.add(Conv2D(f, 3, activation="relu"))
        if batchnorm:
            model.add(BatchNormalization())
        model.add(MaxPooling2D(2))
    model.add(Flatten())
    model.add(Dense(classes, activation="softmax"))
    return model
""",
    "build()",
    "build((15, 14, 1), classes=5)",
    "build(filters=(3,))",
    "build(batchnorm=True)",
)  # fmt: skip
case(
    "a sequential model that branches in a loop add to",
    """
def build(depth=3, n=4, pool=True, drop=0.0, head="dense"):
    m = Sequential()
    m.add(keras.Input((16, 16, 3)))
    for i in range(depth):
        m.add(Conv2D(n * (i + 1), 3, padding="same", activation="relu"))
        if pool and i < 2:
            m.add(MaxPooling2D(2))
        elif drop > 0:
            m.add(Dropout(drop))
    if head == "dense":
        m.add(Flatten())
        m.add(Dense(6))
    else:
        m.add(GlobalAveragePooling2D())
    m.add(Dense(2, activation="softmax"))
    return m
""",
    "build()",
    "build(depth=4, n=3)",
    "build(pool=False, drop=0.5)",
    "build(depth=2, head='mean')",
)  # fmt: skip
case(
    "a sequential model that a helper adds to",
    """
def block(m, n, norm):
    m.add(Dense(n))
    if norm:
        m.add(BatchNormalization())
    m.add(ReLU())

def build(depth=2, n=4, norm=True):
    m = Sequential()
    m.add(keras.Input((5,)))
    for i in range(depth):
        block(m, n + i, norm)
    m.add(Dense(2))
    return m
""",
    "build()",
    "build(norm=False)",
    "build(n=6)",
    tier="specialised",
    refused=("build(depth=3)",),
)  # fmt: skip
case(
    "two sequential models side by side",
    """
def build(n=4, deep=True):
    a, b = Sequential(), Sequential()
    a.add(keras.Input((5,)))
    b.add(keras.Input((5,)))
    for i in range(2):
        a.add(Dense(n))
        if deep:
            b.add(Dense(n + 1))
    b.add(Dense(n))
    x = keras.Input((5,))
    return Model(x, Dense(1)(Add()([a(x), b(x)])))
""",
    "build()",
    tier="flat",
    refused=("build(n=3)", "build(deep=False)"),
)  # fmt: skip
case(
    "keyword arguments passed on",
    """
def conv(x, filters, *args, **kwargs):
    x = Conv2D(filters, *args, **kwargs)(x)
    return ReLU()(x)

def build(channels=3, filters=4, kernel=3):
    inputs = keras.Input((9, 9, channels))
    x = conv(inputs, filters, kernel, padding="same")
    x = conv(x, filters * 2, kernel, strides=2)
    return Model(inputs, conv(x, filters, 1))
""",
    "build()",
    "build(1, 5, 2)",
)  # fmt: skip
case(
    "a dictionary of variants",
    """
CONFIGS = {"a": (1, 4), "b": (2, 6), "c": (3, 2)}

def build(variant="b", classes=3):
    depth, width = CONFIGS[variant]
    inputs = x = keras.Input((8, 8, 3))
    for _ in range(depth):
        x = Conv2D(width, 3, padding="same")(x)
    return Model(inputs, Dense(classes)(GlobalMaxPooling2D()(x)))
""",
    "build()",
    "build('a')", "build('c', 1)",
)  # fmt: skip
case(
    "arithmetic on tensors and scaled residuals",
    """
def res(x, scale):
    y = Conv2D(x.shape[-1], 3, padding="same")(x)
    return x + y * scale

def build(channels=3, scale=0.5, n=2, shift=1.0):
    inputs = x = keras.Input((8, 8, channels))
    for _ in range(n):
        x = res(x, scale)
    return Model(inputs, (x - shift) / 2.0)
""",
    "build()",
    "build(2, 0.1, 3, 3.0)", "build(n=0)", "build(n=1)",
)  # fmt: skip
case(
    "a running sum of channels and a variable read after the loop",
    """
def build(shape=(8, 8, 3), n=3, growth=2):
    inputs = x = keras.Input(shape)
    total = shape[-1]
    for i in range(n):
        y = Conv2D(growth, 3, padding="same")(x)
        x = Concatenate()([x, y])
        total += growth
    x = Conv2D(total // 2, 1)(x)
    return Model(inputs, Dense(x.shape[-1] + n)(GlobalAveragePooling2D()(x)))
""",
    "build()",
    "build(n=0)", "build(n=1, growth=5)", "build((6, 7, 4), 5, 1)",
)  # fmt: skip
case(
    "previous channels carried in a variable",
    """
def build(shape=(8, 8, 3), widths=(4, 4, 6)):
    inputs = x = keras.Input(shape)
    previous = x
    for w in widths:
        x = Conv2D(w, 3, padding="same")(x)
        skip = Conv2D(w, 1)(previous)
        x = Add()([x, skip])
        previous = x
    return Model(inputs, x)
""",
    "build()",
    "build(widths=(5,))", "build((5, 9, 1), (2, 3, 4, 5))", "build(widths=())",
)  # fmt: skip
case(
    "a while loop",
    """
def build(size=16, base=2):
    inputs = x = keras.Input((size, size, 3))
    filters = base
    while filters < 16:
        x = Conv2D(filters, 3, strides=2, padding="same")(x)
        filters = filters * 2
    return Model(inputs, Conv2D(filters, 1)(x))
""",
    "build()",
    "build(19)",
    tier="specialised",
    refused=("build(base=4)",),
)
case(
    "first iteration differs",
    """
def build(shape=(16, 16, 3), n=3, filters=4):
    inputs = x = keras.Input(shape)
    for i in range(n):
        stride = 1 if i == 0 else 2
        if i > 0:
            x = BatchNormalization()(x)
        x = Conv2D(filters, 3, strides=stride, padding="same")(x)
        if i == n - 1:
            x = Conv2D(filters * 3, 1)(x)
    return Model(inputs, Flatten()(x))
""",
    "build()",
    "build(n=1)", "build((15, 13, 2), 2, 5)", "build(n=4)", "build(n=0)",
)  # fmt: skip
case(
    "strings decide",
    """
def norm(x, kind):
    if kind == "batch":
        return BatchNormalization()(x)
    elif kind == "layer":
        return LayerNormalization()(x)
    elif kind is None:
        return x
    raise ValueError("unknown norm: %s" % kind)

def build(kind="batch", channels=3):
    inputs = keras.Input((6, 6, channels))
    x = norm(Conv2D(4, 3)(inputs), kind)
    return Model(inputs, norm(x, "layer"))
""",
    "build()",
    "build('layer')", "build(None)", "build(channels=1)",
)  # fmt: skip
case(
    "the input's rank is open",
    """
def build(shape=(8, 8, 3), units=4):
    inputs = keras.Input(shape)
    x = Flatten()(inputs)
    return Model(inputs, Dense(units)(x))
""",
    "build()",
    "build((5, 4, 1), 2)",
)  # fmt: skip
case(
    "parameters with None as a default",
    """
def build(shape=(8, 8, 3), filters=None, classes=None):
    inputs = keras.Input(shape)
    if filters is None:
        filters = shape[-1] * 2
    classes = classes or 5
    x = Conv2D(filters, 3)(inputs)
    return Model(inputs, Dense(classes)(Flatten()(x)))
""",
    "build()",
    "build(filters=7)", "build((6, 9, 2), classes=2)",
)  # fmt: skip
case(
    "two names swapped in a loop",
    """
def build(n=2, a=3, b=5):
    inputs = x = keras.Input((8,))
    for _ in range(n):
        x = Dense(a)(x)
        a, b = b, a
    return Model(inputs, Dense(a + 10 * b)(x))
""",
    "build()",
    "build(1)", "build(3)", "build(0, 2, 4)",
)  # fmt: skip
case(
    "fibonacci widths",
    """
def build(n=3):
    inputs = x = keras.Input((8,))
    a, b = 1, 2
    for i in range(n):
        x = Dense(a)(x)
        a, b = b, a + b
    return Model(inputs, Dense(b)(x))
""",
    "build()",
    "build(1)", "build(6)", "build(0)",
)  # fmt: skip
case(
    "a value from before the loop is kept",
    """
def build(n=3, f=2):
    inputs = x = keras.Input((8,))
    old = f
    for i in range(n):
        f = f + i
        x = Dense(f)(x)
        x = Dense(old)(x)
        old = f
    return Model(inputs, Dense(old * 2 + f)(x))
""",
    "build()",
    "build(1)", "build(5, 3)", "build(0)",
)  # fmt: skip
case(
    "two loops one after the other",
    """
def build(n=2, m=3, f=4):
    inputs = x = keras.Input((9, 9, 3))
    for i in range(n):
        x = Conv2D(f * (i + 1), 3, padding="same")(x)
    y = x
    for i in range(m):
        x = Conv2D(f, 3, padding="same")(x)
    return Model(inputs, Concatenate()([x, y]))
""",
    "build()",
    "build(0, 0)", "build(1, 0)", "build(0, 1)", "build(4, 2, 1)",
)  # fmt: skip
case(
    "a branch inside a loop changes the channels",
    """
def build(n=3, f=4, wide=True):
    inputs = x = keras.Input((9, 8, 3))
    for i in range(n):
        if wide and i % 2:
            x = Conv2D(f * 2, 3, padding="same")(x)
        else:
            x = Conv2D(f, 1)(x)
        x = BatchNormalization()(x)
    return Model(inputs, Dense(2)(Flatten()(x)))
""",
    "build()",
    "build(2)", "build(1)", "build(0)", "build(4, 3, False)",
)  # fmt: skip
case(
    "data format and axes",
    """
def build(shape=(8, 6, 4), groups=2):
    inputs = keras.Input(shape)
    x = Conv2D(shape[-1] * groups, 3, groups=groups)(inputs)
    x = LayerNormalization(axis=[1, 2, 3])(x)
    x = Permute((3, 1, 2))(x)
    x = Reshape((-1, x.shape[-1]))(x)
    return Model(inputs, Dense(3)(x))
""",
    "build()",
    "build((9, 7, 6), 3)",
)  # fmt: skip
case(
    "a mutable default and a list argument changed",
    """
def build(filters=[4, 8], extra=2):
    inputs = x = keras.Input((8, 8, 3))
    filters = list(filters) + [extra]
    for f in filters:
        x = Conv2D(f, 1)(x)
    return Model(inputs, x)
""",
    "build()",
    "build([3])", "build([5, 6, 7], 1)",
)  # fmt: skip
case(
    "blocks of a closure over a changed variable",
    """
def build(n=2, f=4):
    inputs = x = keras.Input((8, 8, 3))
    width = f
    def unit(x):
        return Conv2D(width, 3, padding="same")(x)
    x = unit(x)
    width = width * n
    x = unit(x)
    return Model(inputs, x)
""",
    "build()",
    "build(3)", "build(1, 5)",
)  # fmt: skip
case(
    "recursion on a number",
    """
def down(x, depth, f):
    x = Conv2D(f, 3, padding="same", activation="relu")(x)
    if depth == 0:
        return x
    y = MaxPooling2D(2)(x)
    y = down(y, depth - 1, f * 2)
    y = UpSampling2D(2)(y)
    return Concatenate()([x, y])

def build(depth=2, f=2, size=16):
    inputs = keras.Input((size, size, 3))
    return Model(inputs, down(inputs, depth, f))
""",
    "build()",
    "build(size=24)", "build(1)", "build(0, 3)", "build(3)",
)  # fmt: skip

case(
    "a layer added on one side",
    """
def build(bn=True, n=8):
    m = Sequential()
    m.add(keras.Input((8,8,3)))
    m.add(Conv2D(n,3))
    if bn:
        m.add(BatchNormalization())
    m.add(Flatten())
    m.add(Dense(2))
    return m
""",
    "build()",
    "build(False)",
)  # fmt: skip
case(
    "a list filled on both sides",
    """
def build(a=True, n=8):
    i = keras.Input((8,8,3))
    outs = []
    x = Conv2D(n,3)(i)
    if a:
        outs.append(Conv2D(2,1)(x))
    else:
        outs.append(Conv2D(3,1)(x))
    outs.append(x)
    return Model(i, Concatenate()(outs))
""",
    "build()",
    "build(False)", "build(False, 3)",
)  # fmt: skip
case(
    "a list filled on one side",
    """
def build(a=True, n=8):
    i = keras.Input((8,8,3))
    x = Conv2D(n,3)(i)
    outs = [x]
    if a:
        outs.append(Conv2D(2,1)(x))
    outs.append(Conv2D(4,1)(x))
    return Model(i, Concatenate()(outs))
""",
    "build()",
    "build(False)", "build(False, 3)",
)  # fmt: skip
case(
    "a helper that fills a list of the function around",
    """
def build(n=4):
    i = keras.Input((8,8,3))
    skips = []
    def down(x, f):
        x = Conv2D(f,3,padding="same")(x)
        skips.append(x)
        return MaxPooling2D(2)(x)
    x = down(i, n)
    x = down(x, n*2)
    x = UpSampling2D(2)(x)
    x = Concatenate()([x, skips.pop()])
    x = UpSampling2D(2)(x)
    x = Concatenate()([x, skips.pop()])
    return Model(i, x)
""",
    "build()",
    "build(3)",
)  # fmt: skip
case(
    "a helper that fills its argument",
    """
def down(x, f, skips):
    x = Conv2D(f,3,padding="same")(x)
    skips.append(x)
    return MaxPooling2D(2)(x)

def build(n=4):
    i = keras.Input((8,8,3))
    skips = []
    x = down(i, n, skips)
    x = down(x, n*2, skips)
    x = UpSampling2D(2)(x)
    x = Concatenate()([x, skips[1]])
    x = UpSampling2D(2)(x)
    x = Concatenate()([x, skips[0]])
    return Model(i, x)
""",
    "build()",
    "build(3)",
)  # fmt: skip
case(
    "an object that counts",
    """
class Counter:
    def __init__(self): self.n = 1
    def next(self):
        self.n += 1
        return self.n

def conv(x, c):
    return Conv2D(c.next(), 3, padding="same")(x)

def build(k=3):
    i = keras.Input((8,8,3))
    c = Counter()
    x = conv(i, c)
    x = conv(x, c)
    for _ in range(k):
        x = conv(x, c)
    for _ in range(3):
        x = Conv2D(c.next(), 1)(x)
    return Model(i, x)
""",
    "build()",
    tier="specialised",
    refused=("build(2)",),
)  # fmt: skip
case(
    "a global variable that counts",
    """
N = 0

def conv(x):
    global N
    N += 1
    return Conv2D(N, 3, padding="same")(x)

def build(k=3):
    global N
    N = 0
    i = keras.Input((8,8,3))
    x = conv(i)
    x = conv(x)
    for _ in range(k):
        x = conv(x)
    return Model(i, x)
""",
    "build()",
    tier="specialised",
    refused=("build(2)",),
)  # fmt: skip
case(
    "a variable of the closure that counts",
    """
def build(k=3):
    i = keras.Input((8,8,3))
    w = 2
    def conv(x):
        nonlocal w
        w = w + 1
        return Conv2D(w, 3, padding="same")(x)
    x = conv(i)
    x = conv(x)
    for _ in range(k):
        x = conv(x)
    return Model(i, x)
""",
    "build()",
    tier="specialised",
    refused=("build(2)",),
)  # fmt: skip
case(
    "a closure over a number that changes",
    """
def build(f=4):
    i = x = keras.Input((8, 8, 3))
    w = 4
    def unit(x):
        return Conv2D(w, 3, padding="same")(x)
    x = unit(x)
    w = 8
    x = unit(x)
    return Model(i, Conv2D(f,1)(x))
""",
    "build()",
    "build(3)",
)  # fmt: skip
case(
    "a closure over a tensor",
    """
def build(f=4):
    i = x = keras.Input((8, 8, 3))
    y = Conv2D(f,1)(x)
    def unit(x):
        return Add()([Conv2D(f, 3, padding="same")(x), y])
    x = unit(x)
    y = Conv2D(f,1)(x)
    x = unit(x)
    return Model(i, x)
""",
    "build()",
    "build(3)",
)  # fmt: skip
case(
    "an attribute and a parameter of one name",
    """
class Net:
    def __init__(self, filters=4): self.filters = filters
    def conv(self, x, filters):
        x = Conv2D(filters, 3)(x)
        return Conv2D(self.filters, 3)(x)
    def build(self, k=5):
        i = keras.Input((9,9,3))
        return Model(i, self.conv(i, k))
""",
    "Net().build()",
    "Net(3).build(2)",
)  # fmt: skip
case(
    "a list used up in a loop",
    """
def build(a=4,k=3):
    i = x = keras.Input((9,9,3))
    ws = [1, 2, 3, 4]
    for j in range(3):
        x = Conv2D(ws.pop(), 1)(x)
    cfg = (a, 2, 3)
    for j in range(k):
        x = Conv2D(cfg[0], 1)(x)
        cfg = cfg[1:] + (j+1,)
    return Model(i, x)
""",
    "build()",
    "build(2)",
    tier="specialised",
)  # fmt: skip
case(
    "features noted in a dictionary",
    """
def stem(x, f, feats):
    x = Conv2D(f, 3)(x)
    feats["stem"] = x
    return Conv2D(f, 1)(x)

def build(f=4):
    i = keras.Input((9,9,3))
    feats = {}
    x = stem(i, f, feats)
    return Model(i, Add()([x, feats["stem"]]))
""",
    "build()",
    "build(2)",
)  # fmt: skip
case(
    "a layer made before a loop and called in it",
    """
def build(f=4, n=3):
    i = x = keras.Input((9,9,f))
    conv = Conv2D(f, 3, padding="same")
    for _ in range(n):
        x = conv(x)
    for _ in range(2):
        x = BatchNormalization()(conv(x))
    return Model(i, x)
""",
    "build()",
    tier="flat",
    refused=("build(2, 2)",),
)  # fmt: skip
case(
    "a helper with a layer of the function around",
    """
def build(f=4):
    i = keras.Input((9,9,f))
    conv = Conv2D(f, 3, padding="same")
    def twice(x):
        return ReLU()(Conv2D(f, 1)(conv(x)))
    return Model(i, twice(twice(i)))
""",
    "build()",
    tier="flat",
    refused=("build(2)",),
)  # fmt: skip
case(
    "layers made in a comprehension",
    """
def build(f=4, n=2):
    i = x = keras.Input((9,9,3))
    convs = [Conv2D(f * (k+1), 3) for k in range(n)]
    for c in convs:
        x = c(x)
    return Model(i, x)
""",
    "build()",
    "build(2)",
    tier="specialised",
    refused=("build(3, 3)",),
)  # fmt: skip
case(
    "a helper that returns two tensors",
    """
def split(x, f):
    a = Conv2D(f, 1)(x)
    b = Conv2D(f * 2, 1)(x)
    return a, b

def build(f=4):
    i = keras.Input((9,9,3))
    a, b = split(i, f)
    c, d = split(b, f + 1)
    return Model(i, Concatenate()([a, b, c, d]))
""",
    "build()",
    "build(2)",
)  # fmt: skip
case(
    "a name with leading zeros as a key",
    """
WID = {"c01": 3, "c02": 5, "c03": 7}

def build(n=2):
    i = x = keras.Input((9,9,3))
    for k in range(n):
        x = Conv2D(WID[f"c{k+1:02d}"], 1)(x)
    return Model(i, x)
""",
    "build()",
    "build(3)",
)  # fmt: skip
case(
    "keyword arguments completed",
    """
def conv(x, filters, **kw):
    kw.setdefault("padding", "same")
    return Conv2D(filters, 3, **kw)(x)

def build(f=2, stride=1):
    i = x = keras.Input((9,8,3))
    x = conv(x, f, strides=stride)
    x = conv(x, f, padding="valid", activation="relu")
    return Model(i, x)
""",
    "build()",
    "build(3)",
    tier="specialised",
    refused=("build(3,2)",),
)  # fmt: skip
case(
    "integers from divisions",
    """
def build(f=8, r=2):
    i = x = keras.Input((9,8,3))
    x = Conv2D(int(f / r), 1)(x)
    x = Conv2D(int(f * 0.5) + 1, 1)(x)
    x = Conv2D(f if r > 1 else f * 2, 1)(x)
    x = Conv2D(max(f // 3, 1), (1, r))(x)
    return Model(i, x)
""",
    "build()",
    "build(9,3)", "build(5,1)",
)  # fmt: skip
case(
    "one helper at several strides",
    """
def conv(x, f, k, s):
    return Conv2D(f, k, strides=s, padding="same")(x)

def build(shape=(16, 15, 3), k=3):
    i = x = keras.Input(shape)
    x = conv(x, 4, k, 2)
    x = conv(x, 4, 1, 2)
    x = conv(x, 4, (3, 2), 1)
    x = conv(x, 4, 3, 3)
    return Model(i, x)
""",
    "build()",
    "build((17,18,2),2)", "build((20,21,2),5)",
)  # fmt: skip
case(
    "pooling chosen by a text",
    """
def pool(x, kind, size=3):
    if kind == "max":
        return MaxPooling2D(size, 2, padding="same")(x)
    return AveragePooling2D(size, 2, padding="same")(x)

def build(shape=(16, 15, 3), kind="max"):
    i = x = keras.Input(shape)
    x = pool(x, kind)
    x = pool(x, "avg", 2)
    x = Conv2D(3,1)(x)
    return Model(i, Flatten()(pool(x, kind, 2)))
""",
    "build()",
    "build((17,18,2),'avg')", "build((20,21,2))",
)  # fmt: skip
case(
    "a loop left early",
    """
def build(n=3, stop=2):
    i = x = keras.Input((9,8,3))
    for k in range(n):
        if k == stop:
            break
        x = Conv2D(k+1, 1)(x)
    return Model(i, x)
""",
    "build()",
    tier="flat",
    refused=("build(4,1)",),
)  # fmt: skip
case(
    "a loop over a dictionary",
    """
def build(cfg={"a": 2, "b": 3}, act="relu"):
    i = x = keras.Input((9,8,3))
    for name, f in cfg.items():
        x = Conv2D(f, 1, name=name, activation=act)(x)
    return Model(i, x)
""",
    "build()",
    "build({'z': 4})",
)  # fmt: skip
case(
    "a sum over iterations",
    """
def build(n=3, f=2):
    i = x = keras.Input((9,8,3))
    tot = 0
    for k in range(n):
        tot += f * k + 1
        x = Conv2D(tot, 1)(x)
    return Model(i, Dense(tot)(x))
""",
    "build()",
    "build(1)", "build(5,1)", "build(2)",
)  # fmt: skip
case(
    "a parameter that is changed",
    """
def build(filters=[2, 3], extra=4):
    i = x = keras.Input((9, 8, 3))
    filters.append(extra)
    for f in filters:
        x = Conv2D(f, 1)(x)
    return Model(i, x)
""",
    "build([2, 3])",
    tier="specialised",
    refused=("build([5])", "build([2, 3], 7)"),
)
case(
    "a list filled after an early return",
    """
def build(shape=(9, 8, 3), top=True, f=2):
    i = keras.Input(shape)
    x = Conv2D(f, 3)(i)
    if not top:
        return Model(i, x)
    parts = [x]
    parts.append(Conv2D(f, 1)(x))
    return Model(i, Dense(3)(Flatten()(Concatenate()(parts))))
""",
    "build()",
    "build((7, 6, 1), f=3)", "build(top=False)",
)  # fmt: skip

case(
    "sides of a chain of tests",
    """
def build(kind="a", f=4):
    i = keras.Input((9,8,3))
    if kind == "a":
        x = Conv2D(f, 3)(i)
        g = f
    elif kind == "b":
        x = Conv2D(f*2, 3, strides=2)(i)
        g = 2
    else:
        x = i
        g = 1
    x = Conv2D(g, 1)(x)
    return Model(i, Dense(2)(Flatten()(x)))
""",
    "build()",
    "build('b')", "build('c', 3)",
)  # fmt: skip
case(
    "names used again after a loop",
    """
def build(n=2, f=4):
    i = x = keras.Input((9,8,3))
    for k in range(n):
        y = Conv2D(f, 3, padding="same")(x)
        y = BatchNormalization()(y)
        x = Concatenate()([x, y])
    y = Conv2D(f * n, 1)(x)
    for k in range(n):
        y = Conv2D(k + 1, 1)(y)
    return Model(i, Concatenate()([x, y]))
""",
    "build()",
    "build(1)", "build(4,2)",
)  # fmt: skip
case(
    "sizes halved in some iterations",
    """
def build(n=4, f=4):
    i = x = keras.Input((16,15,3))
    for k in range(n):
        if k % 2 == 0:
            x = Conv2D(f + k, 3, padding="same")(x)
        else:
            x = MaxPooling2D(2)(x)
    return Model(i, Dense(2)(Flatten()(x)))
""",
    "build()",
    "build(1)", "build(2)", "build(5,2)",
)  # fmt: skip
case(
    "strides for each axis",
    """
def build(kernel=(3, 2), strides=(2, 1), dil=1):
    i = keras.Input((16,15,3))
    x = Conv2D(4, kernel, strides=strides, padding="same")(i)
    x = MaxPooling2D(kernel, strides=strides, padding="same")(x)
    return Model(i, Dense(2)(Flatten()(x)))
""",
    "build()",
    "build((2,5),(1,3))",
)  # fmt: skip
case(
    "tests joined by and, or, not",
    """
def build(a=True, b=False, n=2):
    i = keras.Input((16,15,3))
    use = a and not b
    x = Conv2D(4 if use else 6, 3, use_bias=not use)(i)
    if use or n > 3:
        x = BatchNormalization()(x)
    if not (a and b):
        x = Conv2D(n, 1)(x)
    return Model(i, x)
""",
    "build()",
    "build(False)", "build(True,True)", "build(True,True,4)", "build(False,True,5)",
)  # fmt: skip
case(
    "a test within a side",
    """
def build(a=True, b=True):
    i = keras.Input((16,15,3))
    x = Conv2D(4,1)(i)
    if a:
        if b:
            x = Conv2D(5,1)(x)
        else:
            x = Conv2D(6,1)(x)
            x = ReLU()(x)
        x = BatchNormalization()(x)
    return Model(i, Conv2D(2,1)(x))
""",
    "build()",
    "build(False)", "build(True,False)", "build(False,False)",
)  # fmt: skip
case(
    "defaults from the top level",
    """
ACT = "relu"
DEF = {"padding": "same", "use_bias": False}

def conv(x, f, k=3, act=ACT):
    x = Conv2D(f, k, **DEF)(x)
    return Activation(act)(x)

def build(f=4, act="tanh"):
    i = keras.Input((9,8,3))
    return Model(i, conv(conv(i, f), f + 1, 1, act))
""",
    "build()",
    "build(3,'sigmoid')",
)  # fmt: skip
case(
    "lists computed from parameters",
    """
def build(width=2, layers_=[1, 2], mult=1.0):
    widths = [int(w * mult) for w in [4, 8]] * 2
    i = x = keras.Input((9,8,3))
    for w, n in zip(widths, layers_):
        for _ in range(n):
            x = Conv2D(w * width, 1)(x)
    return Model(i, x)
""",
    "build()",
    "build(3)", "build(2,[2,0])", "build(1,[1,1,2],0.5)",
)  # fmt: skip
case(
    "squeeze and excite",
    """
def se(x, r=4):
    c = x.shape[-1]
    s = GlobalAveragePooling2D()(x)
    s = Dense(max(1, c // r), activation="relu")(s)
    s = Dense(c, activation="sigmoid")(s)
    s = Reshape((1, 1, c))(s)
    return Multiply()([x, s])

def build(f=8, shape=(9,8,3)):
    i = keras.Input(shape)
    x = se(Conv2D(f, 3)(i))
    h, w = x.shape[1], x.shape[2]
    x = AveragePooling2D((h, w))(x)
    return Model(i, Flatten()(x))
""",
    "build()",
    "build(3)", "build(6,(12,7,2))",
)  # fmt: skip
case(
    "reshapes by sizes of the input",
    """
def build(shape=(8, 6, 4), heads=2):
    i = keras.Input(shape)
    h, w, c = shape
    x = Reshape((h * w, c))(i)
    x = Dense(heads * 3)(x)
    x = Reshape((h, w, heads, 3))(x)
    x = Permute((3, 1, 2, 4))(x)
    return Model(i, Flatten()(x))
""",
    "build()",
    "build((5,7,3),3)",
)  # fmt: skip
case(
    "a temporal convolution network",
    """
def block(x, f, k, d):
    y = Conv1D(f, k, dilation_rate=d, padding="causal", activation="relu")(x)
    y = SpatialDropout1D(0.1)(y)
    if x.shape[-1] != f:
        x = Conv1D(f, 1)(x)
    return Add()([x, y])

def build(steps=20, feats=2, f=4, k=3, dilations=(1,2,4)):
    i = x = keras.Input((steps, feats))
    for d in dilations:
        x = block(x, f, k, d)
    return Model(i, Dense(1)(x))
""",
    "build()",
    "build(11,4)", "build(dilations=(1,))", "build(9,1,3,2,[1,2])",
)  # fmt: skip
case(
    "skips in a dictionary",
    """
def build(shape=(16,16,1), base=2, depth=3):
    i = x = keras.Input(shape)
    skips = {}
    for d in range(depth):
        x = Conv2D(base * 2**d, 3, padding="same")(x)
        skips[d] = x
        x = MaxPooling2D()(x)
    for d in range(depth)[::-1]:
        x = UpSampling2D()(x)
        x = Concatenate()([x, skips[d]])
        x = Conv2D(base * 2**d, 3, padding="same")(x)
    return Model(i, x)
""",
    "build()",
    "build((24,8,2),3)",
    tier="specialised",
)  # fmt: skip
case(
    "functions composed",
    """
from functools import partial, reduce
conv3 = partial(Conv2D, kernel_size=3, padding="same")

def compose(*fs):
    return reduce(lambda f, g: lambda x: g(f(x)), fs)

def build(f=4, n=2):
    i = keras.Input((9,8,3))
    x = compose(conv3(f), BatchNormalization(), conv3(f * n))(i)
    return Model(i, x)
""",
    "build()",
    "build(3,3)",
)  # fmt: skip
case(
    "a method that counts",
    """
class Builder:
    def __init__(self, widths=(4, 6), bn=True):
        self.widths = widths
        self.bn = bn
        self.count = 0
    def block(self, x, w):
        self.count += 1
        x = Conv2D(w + self.count, 3, padding="same")(x)
        return BatchNormalization()(x) if self.bn else x
    def __call__(self, channels=3):
        i = x = keras.Input((9,8,channels))
        for w in self.widths:
            x = self.block(x, w)
        return Model(i, x)

def build(widths=(4, 6), bn=True):
    return Builder(widths, bn)()
""",
    "build()",
    refused=("build((3,))",),
)  # fmt: skip
case(
    "a shortcut where sizes differ",
    """
def shortcut(a, b):
    if a.shape[1] != b.shape[1] or a.shape[-1] != b.shape[-1]:
        s = int(round(a.shape[1] / b.shape[1]))
        a = Conv2D(b.shape[-1], 1, strides=s)(a)
    return Add()([a, b])

def build(f=4, s=2, shape=(8,8,3)):
    i = keras.Input(shape)
    x = Conv2D(f, 3, padding="same", strides=s)(i)
    x = shortcut(i, x)
    return Model(i, shortcut(x, Conv2D(f, 3, padding="same")(x)))
""",
    "build()",
    "build(3,1)", "build(5,2,(12,12,5))",
)  # fmt: skip
case(
    "a model built on another's output",
    """
def conv(x, f):
    return ReLU()(Conv2D(f, 3)(x))

def backbone(shape=(12,12,3), f=4):
    i = keras.Input(shape)
    return Model(i, conv(conv(i, f), f*2))

def build(shape=(12,12,3), f=4, classes=2):
    b = backbone(shape, f)
    x = GlobalAveragePooling2D()(b.output)
    return Model(b.input, Dense(classes)(x))
""",
    "build()",
    "build((9,10,1),3,5)",
)  # fmt: skip
case(
    "lengths and truth of lists",
    """
def build(hidden=[4, 3], drop=[]):
    i = x = keras.Input((7,))
    for k, h in enumerate(hidden):
        x = Dense(h)(x)
        if k < len(drop):
            x = Dropout(drop[k])(x)
        if k == len(hidden) - 1:
            x = BatchNormalization()(x)
    if drop:
        x = Dense(9)(x)
    return Model(i, x)
""",
    "build()",
    "build([5])", "build([2,3,4],[0.1,0.2])",
)  # fmt: skip
case(
    "tensors added in place",
    """
def build(n=2, f=3):
    i = keras.Input((6,6,f))
    x = i
    for _ in range(n):
        x += Conv2D(f, 3, padding="same")(x)
    y = x * 2.0 - 1.0
    return Model(i, y / (1.0 + f))
""",
    "build()",
    "build(3,2)", "build(0)",
)  # fmt: skip
case(
    "a layer class chosen by a text",
    """
def build(rnn="lstm", norm=True, f=4):
    i = keras.Input((6,f))
    L = LSTM if rnn == "lstm" else GRU
    x = L(f)(i)
    n = BatchNormalization() if norm else LayerNormalization()
    act = ReLU() if f > 2 else Activation("tanh")
    return Model(i, act(n(x)))
""",
    "build()",
    "build('gru')", "build(norm=False)", "build(f=2)",
)  # fmt: skip
case(
    "a conversion that may raise",
    """
def build(f=4, size="3"):
    try:
        k = int(size)
    except ValueError:
        k = 1
    i = keras.Input((6,6,3))
    return Model(i, Conv2D(f, k)(i))
""",
    "build()",
    tier="specialised",
    refused=("build(3,'x')",),
)  # fmt: skip
case(
    "slices of a parameter",
    """
def build(widths=(4, 6, 8)):
    i = x = keras.Input((6,6,3))
    for w in widths[:-1]:
        x = Conv2D(w, 1)(x)
    for a, b in zip(widths[:-1], widths[1:]):
        x = Conv2D(a + b, 1)(x)
    return Model(i, Conv2D(widths[-1], 1)(x))
""",
    "build()",
    "build((3,))", "build([5,2])", "build((1,2,3,4))",
)  # fmt: skip
case(
    "a text among others",
    """
def build(kinds=("conv", "pool"), f=4):
    i = x = keras.Input((8,8,3))
    for k in kinds:
        if k == "conv":
            x = Conv2D(f, 3, padding="same")(x)
        elif k in ("pool", "max"):
            x = MaxPooling2D(2)(x)
    if "conv" in kinds:
        x = Conv2D(f * 2, 1)(x)
    return Model(i, x)
""",
    "build()",
    "build(('pool',))", "build(['conv','conv'],3)", "build(('max','conv'))",
)  # fmt: skip
case(
    "padding where a size is odd",
    """
def down(x, f):
    if x.shape[1] % 2:
        x = ZeroPadding2D(((0,1),(0,1)))(x)
    return Conv2D(f, 3, strides=2)(x)

def build(size=17, f=3):
    i = keras.Input((size,size,2))
    return Model(i, down(down(i, f), f * 2))
""",
    "build()",
    "build(16)", "build(23,2)",
)  # fmt: skip

case(
    "a custom layer in a loop",
    """
class SE(layers.Layer):
    def __init__(self, ratio=4, **kw):
        super().__init__(**kw)
        self.ratio = ratio
    def build(self, shape):
        c = shape[-1]
        self.a = layers.Dense(max(c // self.ratio, 1), activation="relu")
        self.b = layers.Dense(c, activation="sigmoid")
    def call(self, x):
        s = keras.ops.mean(x, axis=(1, 2), keepdims=True)
        return x * self.b(self.a(s))

def build(f=8, r=4, n=2):
    i = x = keras.Input((9,8,3))
    for k in range(n):
        x = Conv2D(f * (k + 1), 3)(x)
        x = SE(r)(x)
    return Model(i, SE(ratio=2)(x))
""",
    "build()",
    "build(6,2,1)", "build(4,8,3)",
)  # fmt: skip
case(
    "a custom layer that is shared",
    """
class Scale(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.d = layers.Dense(units)
    def call(self, x):
        return self.d(x) * 2.0

def build(units=3, n=2):
    i = x = keras.Input((units,))
    s = Scale(units)
    for k in range(2):
        x = s(x)
    for k in range(n):
        x = Scale(units + k)(x)
    return Model(i, x)
""",
    "build()",
    tier="specialised",
    refused=("build(4,1)",),
)  # fmt: skip
case(
    "a return inside a loop",
    """
def pick(x, ks, f):
    for k in ks:
        if k == 3:
            return Conv2D(f, 3)(x)
        x = Conv2D(f, 1)(x)
    return x

def build(ks=(1, 3, 1), f=3):
    i = keras.Input((9,8,3))
    return Model(i, pick(i, ks, f))
""",
    "build()",
    tier="specialised",
    refused=("build((1,1))",),
)  # fmt: skip
case(
    "towers for each input",
    """
def tower(x, units, act):
    for u in units:
        x = Dense(u, activation=act)(x)
    return x

def build(dims=(3, 5), units=(4,), act="relu", join="concat"):
    ins = [keras.Input((d,)) for d in dims]
    ts = [tower(t, units, act) for t in ins]
    if join == "concat":
        x = Concatenate()(ts)
    else:
        x = Add()(ts)
    return Model(ins, Dense(1)(x))
""",
    "build()",
    "build(join='add')", "build((3,5),(2,3),'tanh')",
)  # fmt: skip
case(
    "rates and slopes",
    """
def build(rate=0.3, sd=0.1, alpha=0.2, f=4):
    i = keras.Input((9,8,3))
    x = Conv2D(f, 3)(i)
    x = GaussianNoise(sd)(x)
    x = LeakyReLU(negative_slope=alpha)(x)
    x = SpatialDropout2D(rate)(x)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5 if f > 3 else 1e-4)(x)
    x = Dense(f, use_bias=rate > 0.1)(x)
    return Model(i, x)
""",
    "build()",
    "build(0.0,0.0,0.1)", "build(0.05,f=2)",
)  # fmt: skip
case(
    "a test on channels after a loop",
    """
def build(n=2, f=4, out=8):
    i = x = keras.Input((9,8,3))
    for k in range(n):
        x = Conv2D(f * 2**k, 3, padding="same")(x)
    if x.shape[-1] != out:
        x = Conv2D(out, 1)(x)
    if x.shape[1] > 8:
        x = MaxPooling2D()(x)
    return Model(i, x)
""",
    "build()",
    "build(1)", "build(3,2)", "build(0)", "build(2,4,5)",
)  # fmt: skip
case(
    "a tensor carried from the iteration before",
    """
def build(n=4, f=3):
    i = x = keras.Input((9,8,3))
    prev = None
    for k in range(n):
        y = Conv2D(f, 3, padding="same")(x)
        if prev is not None:
            y = Add()([y, prev])
        prev = y
        x = ReLU()(y)
    return Model(i, x)
""",
    "build()",
    tier="specialised",
    refused=("build(1)",),
)  # fmt: skip
case(
    "a helper that returns a number as well",
    """
def conv(x, f):
    x = Conv2D(f, 3)(x)
    return x, f * 2

def build(f=3):
    i = keras.Input((12,12,3))
    x, f = conv(i, f)
    x, f = conv(x, f)
    return Model(i, Conv2D(f, 1)(x))
""",
    "build()",
    "build(2)",
)  # fmt: skip
case(
    "functions found by name",
    """
def block_conv(x, f): return Conv2D(f, 3, padding="same")(x)

def block_sep(x, f): return SeparableConv2D(f, 3, padding="same")(x)

def build(kind="conv", f=4, n=2):
    i = x = keras.Input((9,8,3))
    fn = globals()["block_" + kind]
    for k in range(n):
        x = fn(x, f)
    return Model(i, x)
""",
    "build()",
    "build('conv',3,1)",
    refused=("build('sep')",),
)  # fmt: skip
case(
    "functions found in a dictionary",
    """
def a(x, f): return Conv2D(f, 3, padding="same")(x)

def b(x, f): return Conv2D(f * 2, 1)(x)
BLOCKS = {"a": a, "b": b}

def build(seq="ab", f=4):
    i = x = keras.Input((9,8,3))
    for k in seq:
        x = BLOCKS[k](x, f)
    return Model(i, x)
""",
    "build()",
    tier="specialised",
    refused=("build('ba')",),
)  # fmt: skip
case(
    "one-dimensional sizes",
    """
def build(size=17, k=3, s=2):
    i = keras.Input((size, 3))
    x = Conv1D(4, k, strides=s)(i)
    x = Cropping1D((1, 1))(x)
    x = ZeroPadding1D(2)(x)
    x = UpSampling1D(2)(x)
    return Model(i, Dense(2)(Flatten()(x)))
""",
    "build()",
    "build(20,4,3)", "build(9,1,1)",
)  # fmt: skip
case(
    "a transposed convolution in a loop",
    """
def up(x, f, k=3, s=2):
    return Conv2DTranspose(f, k, strides=s, padding="same")(x)

def build(n=2, f=8, k=3, size=4):
    i = x = keras.Input((size, size, 3))
    for j in range(n):
        x = up(x, f // 2**j, k)
    x = up(x, 1, 2, 1)
    return Model(i, Dense(2)(Flatten()(x)))
""",
    "build()",
    tier="specialised",
    refused=("build(1,4,4)",),
)  # fmt: skip
case(
    "a parameter changed by a branch and a loop",
    """
def build(f=4, wide=False, n=2):
    if wide:
        f = f * 4
        n += 1
    i = x = keras.Input((9,8,3))
    for k in range(n):
        x = Conv2D(f, 1)(x)
        f = f + 1
    return Model(i, Conv2D(f, 1)(x))
""",
    "build()",
    "build(wide=True)", "build(2,True,0)", "build(3,n=0)",
)  # fmt: skip
case(
    "an encoder used twice",
    """
def enc(shape, f):
    i = keras.Input(shape)
    x = Conv2D(f, 3)(i)
    return Model(i, GlobalAveragePooling2D()(x), name="enc")

def build(f=4):
    e = enc((9,9,3), f)
    a = keras.Input((9,9,3)); b = keras.Input((9,9,3))
    return Model([a,b], Dot(axes=1)([e(a), e(b)]))
""",
    "build()",
    "build(2)",
)  # fmt: skip
case(
    "axes passed on",
    """
def h(x, f, axis=-1):
    x = Conv2D(f, 3)(x)
    x = BatchNormalization(axis=axis)(x)
    return Permute((2, 1, 3))(x)

def build(f=4, shape=(9,8,3)):
    i = keras.Input(shape)
    return Model(i, h(h(i, f), f + 1, axis=3))
""",
    "build()",
    "build(2,(7,9,1))",
)  # fmt: skip
case(
    "sums and lengths",
    """
def build(ks=(3, 5), f=4):
    i = keras.Input((9,8,3))
    outs = [Conv2D(f, k, padding="same")(i) for k in [1, 3]]
    x = Concatenate()(outs)
    x = Conv2D(sum(ks) + len(ks) * f - min(ks), 1)(x)
    return Model(i, x)
""",
    "build()",
    "build((2,))", "build([1,2,3],2)",
)  # fmt: skip
case(
    "depths by number",
    """
def build(depth=18):
    cfg = {18: (2, 2), 34: (3, 4)}
    if (n := sum(cfg[depth])) > 4:
        k = 1
    else:
        k = 3
    i = x = keras.Input((9,8,3))
    for a in cfg[depth]:
        for _ in range(a):
            x = Conv2D(n, k, padding="same")(x)
    return Model(i, x)
""",
    "build()",
    "build(34)",
)  # fmt: skip

case(
    "a loop in a loop beside another tensor",
    """
def build(a=3, widths=(2, 3)):
    i = keras.Input((5,))
    x, y = Dense(3)(i), Dense(a)(i)
    for _ in widths:
        for _ in (1, 2):
            y = Dense(a * 2)(y)
            x = Dense(x.shape[-1])(x)
    return Model(i, [x, y])
""",
    "build()",
    "build(2, (1,))", "build(widths=(1, 1, 1))",
)  # fmt: skip
case(
    "a loop whose variable outlives it within another",
    """
def build(b=2, c=4, widths=(2, 3)):
    i = keras.Input((5,))
    x, y = Dense(3)(i), Dense(b)(i)
    for _ in range(b):
        y = Dense(b + 2)(y)
        for _ in widths:
            x = Dense(c + 1)(x)
    return Model(i, [Dense(2)(x), y])
""",
    "build()",
    "build(c=5)",
    "build(b=1)",
    "build(widths=(1,))",
    "build(widths=())",
)
case(
    "a number changed on one side",
    """
def build(a=3, b=2, c=4):
    i = keras.Input((5,))
    x, y = Dense(3)(i), Dense(a)(i)
    if b > 5:
        y = Dense(x.shape[-1])(y)
    else:
        c = (c + 3) % 7 + 1
        x = Dense(c * 2)(x)
    return Model(i, [Dense(a)(x), Dense(b + c)(y)])
""",
    "build()",
    "build(b=6)", "build(1, 1, 1)", "build(4, 7, 2)",
)  # fmt: skip
case(
    "a number set before the layers of an iteration",
    """
def build(n=2, a=3, b=2, c=4):
    i = keras.Input((5,))
    x, y = Dense(3)(i), Dense(a)(i)
    for _ in range(n):
        c = min(b + 3, 9)
        if c % 2:
            x = Concatenate()([x, y])
    return Model(i, [Dense(a)(x), Dense(b + c)(y)])
""",
    "build()",
    "build(1, b=1)", "build(3, 2, 4)", "build(0)",
)  # fmt: skip


QUICK = 2
"""Entries of a case that every run tests, besides the one seen."""


def held_back() -> list[object]:
    """A case and an entry to use its conversion at; the later ones are slow."""
    found: list[object] = []
    for name, case in CASES.items():
        for i, entry in enumerate((case.seen, *case.held)):
            found.append(pytest.param(name, entry, marks=[pytest.mark.slow] if i > QUICK else []))
    return found


case(
    "attributes that a method sets while it builds",
    """
class Net:
    def __init__(self, units=4, depth=None, rate=0.5):
        self.units, self.depth, self.rate = units, depth, rate

    def build(self, input_dim):
        if isinstance(self.units, list):
            self._units = self.units
            if self.depth is not None and len(self.units) != self.depth:
                raise ValueError("depth")
        else:
            self._units = [self.units] * (2 if self.depth is None else self.depth)
        if self.rate is None:
            self.rate = 0.1
        self._rate = self.rate if self.rate > 0.2 else 0
        inputs = x = keras.Input((input_dim,))
        for units in self._units:
            x = Dense(units, activation="tanh")(x)
            last = x
        x = Dropout(self.rate)(Dropout(self._rate)(last))
        return Model(inputs, Dense(int(self._rate * 10) + 1)(x))
""",
    "Net().build(6)",
    "Net([3, 5, 2]).build(4)", "Net(3, 3, None).build(5)", "Net([2], 1, 0.1).build(3)", "Net(7).build(2)",
)  # fmt: skip
case(
    "a kind of layer chosen by name and wrapped",
    """
def build(kind="lstm", units=4, both=True):
    if kind == "lstm":
        cell = LSTM
    elif kind == "gru":
        cell = GRU
    else:
        cell = SimpleRNN
    inputs = x = keras.Input((6, 3))
    x = Bidirectional(cell(units, return_sequences=True))(x)
    if both:
        x = Bidirectional(cell(units), merge_mode="sum")(x)
    else:
        x = cell(units)(x)
    return Model(inputs, Dense(2)(x))
""",
    "build()",
    "build('gru')", "build('simple', 3)", "build('lstm', 2, False)", "build('gru', 5, False)",
)  # fmt: skip
case(
    "variables of the function that share names",
    """
def build(n=3, wide=False, k=None):
    a = n * 2
    b = a + 1
    sizes = [a, b]
    if wide:
        if k is None:
            a = 5
        else:
            a = k
        c = a
    else:
        c = n
    n = c + 1
    inputs = x = keras.Input((8,))
    for units in sizes:
        x = Dense(units)(x)
    x = Dense(a)(x)
    x = Dense(c)(x)
    return Model(inputs, Dense(n)(x))
""",
    "build()",
    "build(4)", "build(2, True)", "build(2, True, 7)", "build(1, False, 9)",
)  # fmt: skip


TEXTS: dict[str, dict] = {}


def converted(name: str, folder: Path) -> dict:
    """The names of the converted program; converted once."""
    if name not in TEXTS:
        conversion = convert(CASES[name].source, CASES[name].seen, folder)
        TEXTS[name] = {"text": conversion.modules[0].text, "tier": conversion.entries[0].tier}
    return TEXTS[name]


@pytest.mark.parametrize(("name", "entry"), held_back())
def test_the_result_holds_at_other_arguments(name: str, entry: str, tmp_path: Path):
    text = converted(name, tmp_path)["text"]
    assert_same(load(text), CASES[name].source, entry, tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_the_tier(name: str, tmp_path: Path):
    assert converted(name, tmp_path)["tier"] == CASES[name].tier


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, c in CASES.items() for e in c.refused])
def test_what_was_fixed_is_refused(name: str, entry: str, tmp_path: Path):
    names = load(converted(name, tmp_path)["text"])
    with pytest.raises(NotImplementedError, match="K2T30[12]"):
        build(names, entry)


DECLINED = {
    "a method that counts": "K2T203",
}
"""Programs of which a part is not translated when no entry is named."""


@pytest.mark.parametrize("name", CASES)
def test_a_whole_file_needs_no_keras(name: str, tmp_path: Path):
    conversion = convert_file(write(CASES[name].source, tmp_path))
    errors = [f.code for f in conversion.findings if f.severity >= Severity.ERROR]
    assert errors[:1] == ([DECLINED[name]] if name in DECLINED else [])
    if not errors:
        text = conversion.modules[0].text
        assert "keras" not in "".join(
            ast.unparse(n) for n in ast.parse(text).body if "import" in type(n).__name__.lower()
        )
        build(load(text), CASES[name].seen)


def test_a_script_with_other_names_for_its_tensors(tmp_path: Path):
    source = """
inputs = keras.Input((9, 8, 3))
x = inputs
parts = []
for i, width in enumerate((4, 6)):
    x = Conv2D(width, 3, padding="same", name=f"conv{i:02d}")(x)
    parts.append(GlobalAveragePooling2D()(x))
model = Model(inputs, Concatenate()(parts))
"""
    conversion = convert_file(write(HEAD + source, tmp_path))
    assert not [f for f in conversion.findings if f.severity >= Severity.ERROR]
    names = load(conversion.modules[0].text)
    assert [tuple(p.shape) for p in names["model"].parameters()] == [(4, 3, 3, 3), (4,), (6, 4, 3, 3), (6,)]

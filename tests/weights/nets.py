"""Models of every kind, for files of weights."""

import keras
from keras import layers


class Block(layers.Layer):
    """Variables of its own, trained or not, between layers in a list and in attributes."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.denses = [layers.Dense(units), layers.Dense(units, name="second")]
        self.out = layers.Dense(units)
        self._norm = layers.BatchNormalization()

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")
        self.s = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="s")
        self.t = self.add_weight(shape=(shape[-1],), initializer="zeros", name=f"{self.name}_t")

    def call(self, x):
        x = x * self.w + self.s * self.t
        for dense in self.denses:
            x = dense(x)
        return self._norm(self.out(x))


class Net(keras.Model):
    """A subclassed model: attributes on either side of `layers` in the alphabet, lists in lists, a variable of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.out = layers.Dense(3)
        self.conv = layers.Dense(4)
        self._private = layers.Dense(4)
        self.blocks = [Block(4), [Block(4)]]
        self.v = self.add_weight(shape=(4,), initializer="ones", name="v")

    def call(self, x):
        x = self._private(self.conv(x))
        for block in (self.blocks[0], self.blocks[1][0]):
            x = block(x)
        return self.out(x * self.v)


class Graph(keras.Model):
    """A subclass that has a graph."""

    def __init__(self, units):
        inputs = keras.Input((6,))
        hidden = layers.Dense(4, activation="relu")(inputs)
        super().__init__(inputs, layers.Dense(units)(layers.Dense(4)(hidden)))


def plain():
    i = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, name="stem")(i)
    for _ in range(2):
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
        x = layers.Add()([x, layers.ReLU()(y)])
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return keras.Model(i, layers.Dense(2, activation="softmax", name="predictions")(x))


def out_of_order():
    """Layers that are made in another order than Keras lists them in; a shared one; several inputs and outputs."""
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    conv = layers.Conv2D(4, 3, padding="same")
    x, y = layers.BatchNormalization(scale=False)(conv(a)), conv(b)
    late = layers.Conv2D(4, 1)
    early = layers.Conv2D(4, 1)
    x = layers.Add()([late(layers.ReLU()(early(y))), x])
    g = layers.GlobalAveragePooling2D()(x)
    return keras.Model([a, b], [layers.Dense(2)(g), g])


def operators():
    """Layers that are made in another order than they are listed in, with operators between them."""
    i = keras.Input((8, 8, 3))
    x = i
    for _ in range(2):
        skip = layers.BatchNormalization(name=f"skip{_}")(layers.Conv2D(4, 1)(x))
        y = layers.BatchNormalization(name=f"first{_}")(layers.Conv2D(4, 3, padding="same")(x))
        y = layers.BatchNormalization(name=f"second{_}")(layers.Conv2D(4, 3, padding="same")(y))
        x = (-y + skip * 2.0)[:, 1:]
    return keras.Model(i, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def nested():
    j = keras.Input((5,))
    inner = keras.Model(j, layers.Dense(3, name="mine")(layers.Dense(5)(layers.Dense(5)(j))), name="inner")
    deep = keras.Sequential([layers.Dense(4), layers.BatchNormalization(), keras.Sequential([layers.Dense(4)])])
    i = keras.Input((6,))
    x = layers.Dense(5)(i)
    return keras.Model(i, [deep(inner(x)), layers.Dense(4)(x)])


def frozen_base():
    i = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(i)
    x = layers.BatchNormalization()(x)
    x = layers.BatchNormalization(name="last")(layers.Conv2D(4, 3)(x))
    base = keras.Model(i, layers.GlobalAveragePooling2D()(x), name="base")
    base.trainable = False
    j = keras.Input((8, 8, 3))
    return keras.Model(j, layers.Dense(2)(base(j, training=False)))


def wrapped():
    i = keras.Input((5, 6))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(i)
    x = layers.TimeDistributed(layers.Dense(6))(x)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="second")(x)
    return keras.Model(i, layers.RNN([layers.GRUCell(3), layers.LSTMCell(4)])(x))


def attention():
    i = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 8)(i)
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 3)(x, x))
    x = layers.Attention(use_scale=True)([x, x])
    return keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def recurrent():
    i = keras.Input((5, 4))
    x = layers.GRU(4, return_sequences=True, reset_after=False)(i)
    x = layers.SimpleRNN(4, return_sequences=True, use_bias=False)(x)
    x = layers.LSTM(3, return_sequences=True, activation="relu")(x)
    return keras.Model(i, layers.GRU(4)(x))


def custom():
    i = keras.Input((6,))
    x = Block(6)(Block(6)(i))
    return keras.Model(i, Block(6, name="third")(x))


def assorted():
    i = keras.Input((8, 8, 4))
    x = layers.SeparableConv2D(4, 3)(i)
    x = layers.PReLU(shared_axes=[1, 2])(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))
    x = layers.Conv2DTranspose(3, 2, strides=2)(x)
    x = layers.GroupNormalization(3)(layers.Dropout(0.3)(x))
    x = layers.GaussianNoise(0.2)(layers.Conv2D(6, 3, groups=3, dilation_rate=2)(x))
    return keras.Model(i, layers.EinsumDense("abcd,de->abce", (None, None, 5), bias_axes="e")(x))


def trained():
    """Compiled and trained: files have what the optimizer and the metrics hold as well."""
    i = keras.Input((6,))
    x = layers.Dense(4, activation="relu")(i)
    return keras.Model(i, layers.Dense(1)(layers.BatchNormalization()(x)))


def sequence():
    return keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.ReLU(), layers.Dense(4), layers.Dense(2)])

"""Semantic segmentation of street scenes: an inverted-residual encoder, atrous pooling and a light decoder.

The encoder has five stages; the decoder takes its features at two resolutions. There is a second head that
classifies the whole scene, and a small network that only classifies, from the same blocks.
"""

import keras
from keras import layers

STAGES = (
    # filters, repeats, stride, expansion, kernel size
    (16, 1, 1, 1, 3),
    (24, 2, 2, 4, 3),
    (40, 2, 2, 4, 5),
    (80, 3, 2, 4, 3),
    (112, 2, 1, 6, 5),
)
ATROUS_RATES = (2, 4, 6)
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-3


def round_filters(filters, width=1.0, divisor=8):
    """Scales a number of filters, and rounds it to a multiple of `divisor`."""
    filters = filters * width
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * filters:
        rounded += divisor
    return int(rounded)


def conv_bn(x, filters, kernel_size, strides=1, dilation=1, activation="swish", name=None):
    """Convolution without bias, normalisation, activation."""
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=None if name is None else name + "_conv",
    )(x)
    x = layers.BatchNormalization(
        momentum=BN_MOMENTUM, epsilon=BN_EPSILON, name=None if name is None else name + "_bn"
    )(x)
    if activation is not None:
        x = layers.Activation(activation)(x)
    return x


def depthwise_bn(x, kernel_size, strides=1, activation="swish"):
    x = layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
    )(x)
    x = layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON)(x)
    return layers.Activation(activation)(x)


def squeeze_excite(x, ratio=4):
    """Weighs the channels by what the whole image holds."""
    channels = x.shape[-1]
    s = layers.GlobalAveragePooling2D()(x)
    s = layers.Dense(channels // ratio, activation="relu")(s)
    s = layers.Dense(channels, activation="sigmoid")(s)
    s = layers.Reshape((1, 1, channels))(s)
    return layers.Multiply()([x, s])


def inverted_residual(x, filters, kernel_size=3, strides=1, expansion=4, dropout=0.0):
    """Expand, convolve each channel, weigh the channels, project."""
    inputs = x
    in_channels = x.shape[-1]
    if expansion != 1:
        x = conv_bn(x, in_channels * expansion, 1)
    x = depthwise_bn(x, kernel_size, strides=strides)
    x = squeeze_excite(x)
    x = conv_bn(x, filters, 1, activation=None)
    if strides == 1 and in_channels == filters:
        if dropout > 0:
            x = layers.Dropout(dropout)(x)
        x = layers.Add()([inputs, x])
    return x


def stage(x, filters, repeats, strides, expansion, kernel_size, dropout=0.0):
    for index in range(repeats):
        x = inverted_residual(
            x,
            filters,
            kernel_size=kernel_size,
            strides=strides if index == 0 else 1,
            expansion=expansion,
            dropout=dropout,
        )
    return x


def encoder(x, width=1.0, dropout=0.0):
    """Returns the features of every stage, finest first."""
    features = []
    x = conv_bn(x, round_filters(32, width), 3, strides=2, name="stem")
    for filters, repeats, strides, expansion, kernel_size in STAGES:
        x = stage(x, round_filters(filters, width), repeats, strides, expansion, kernel_size, dropout)
        features.append(x)
    return features


def atrous_pooling(x, filters=96, rates=ATROUS_RATES):
    """Looks at several scales side by side (Chen et al., 2017)."""
    branches = [conv_bn(x, filters, 1, activation="relu")]
    for rate in rates:
        branches.append(conv_bn(x, filters, 3, dilation=rate, activation="relu"))
    x = layers.Concatenate()(branches)
    x = conv_bn(x, filters, 1, activation="relu", name="atrous_projection")
    return layers.Dropout(0.1)(x)


def decoder(x, skip, filters=48):
    """Joins coarse and fine features at the resolution of the fine ones."""
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    skip = conv_bn(skip, filters // 2, 1, activation="relu")
    x = layers.Concatenate(axis=-1)([x, skip])
    for _ in range(2):
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON)(x)
        x = layers.ReLU()(x)
    return x


def scene_head(x, num_scenes):
    """Classifies the whole image."""
    average = layers.GlobalAveragePooling2D()(x)
    largest = layers.GlobalMaxPooling2D()(x)
    x = layers.Concatenate()([average, largest])
    x = layers.Dense(128, activation="swish", kernel_initializer="he_uniform")(x)
    x = layers.Dropout(0.3)(x)
    return layers.Dense(num_scenes, activation="softmax", name="scene")(x)


def build_segmentation(
    input_shape=(128, 256, 3), num_classes=19, num_scenes=6, width=1.0, dropout=0.1
):
    """The whole network: a map of class scores at full resolution, and the probabilities of the scenes.

    Args:
        input_shape: height, width and channels; the first two are multiples of 16.
        num_classes: how many kinds of things there are.
        num_scenes: how many kinds of scenes there are.
        width: scales the number of filters of the encoder.
        dropout: rate inside the residual blocks.
    """
    inputs = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(inputs)
    features = encoder(x, width=width, dropout=dropout)

    # Context from the coarsest features
    coarse = atrous_pooling(features[-1])
    scene = scene_head(coarse, num_scenes)

    # Detail from the second stage
    x = decoder(coarse, features[1])
    x = layers.Conv2D(num_classes, 1, name="scores")(x)
    scores = layers.UpSampling2D(4, interpolation="bilinear")(x)

    return keras.Model(inputs, [scores, scene], name="segmentation")


def build_classifier(input_shape=(64, 64, 3), num_classes=10, width=0.5, depth=3):
    """A small classifier from the first `depth` stages."""
    inputs = keras.Input(input_shape)
    x = conv_bn(inputs, round_filters(32, width), 3, strides=2)
    for filters, repeats, strides, expansion, kernel_size in STAGES[:depth]:
        x = stage(x, round_filters(filters, width), repeats, strides, expansion, kernel_size)
    x = conv_bn(x, 160, 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="classifier")


if __name__ == "__main__":
    build_segmentation().summary()
    build_classifier().summary()

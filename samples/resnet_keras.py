"""A residual network for 32x32 images (He et al., 2015), in the functional style."""

import keras
from keras import layers


def conv_bn(x, filters, kernel_size=3, strides=1, relu=True):
    x = layers.Conv2D(
        filters, kernel_size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def residual_block(x, filters, strides=1):
    """Two 3x3 convolutions; the shortcut is projected where the shape changes."""
    y = conv_bn(x, filters, strides=strides)
    y = conv_bn(y, filters, relu=False)
    if strides != 1 or x.shape[-1] != filters:
        x = conv_bn(x, filters, kernel_size=1, strides=strides, relu=False)
    return layers.ReLU()(layers.add([y, x]))


def build_resnet(input_shape=(32, 32, 3), depth=3, num_classes=10):
    """ResNet with three stages of `depth` blocks: depth 3 is ResNet-20. Returns logits."""
    inputs = keras.Input(input_shape)
    x = conv_bn(inputs, 16)
    for stage, filters in enumerate((16, 32, 64)):
        for i in range(depth):
            # The first block of every later stage halves the resolution.
            x = residual_block(x, filters, strides=2 if stage > 0 and i == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, outputs, name="resnet")

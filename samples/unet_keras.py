"""U-Net for binary segmentation (Ronneberger et al., 2015)."""

from tensorflow.keras import Model
from tensorflow.keras.layers import (
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dropout,
    Input,
    LeakyReLU,
    MaxPooling2D,
)


def double_conv(x, filters, dropout=0.0):
    for _ in range(2):
        x = Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
        x = BatchNormalization(momentum=0.9)(x)
        x = LeakyReLU(0.1)(x)
    if dropout > 0:
        x = Dropout(dropout)(x)
    return x


def build_unet(input_size=(128, 128, 3), base_filters=16, depth=3, dropout=0.2, num_classes=1):
    """Builds the network; both sides of the input must be divisible by 2**depth."""
    inputs = Input(shape=input_size, name="image")
    x = inputs
    skips = []

    # Contracting path
    for level in range(depth):
        x = double_conv(x, base_filters * 2**level)
        skips.append(x)
        x = MaxPooling2D()(x)

    x = double_conv(x, base_filters * 2**depth, dropout=dropout)

    # Expanding path
    for level in reversed(range(depth)):
        filters = base_filters * 2**level
        x = Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = Concatenate(axis=-1)([x, skips.pop()])
        x = double_conv(x, filters)

    activation = "sigmoid" if num_classes == 1 else "softmax"
    mask = Conv2D(num_classes, 1, activation=activation, name="mask")(x)
    return Model(inputs=inputs, outputs=mask, name="unet")

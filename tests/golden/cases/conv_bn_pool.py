from tensorflow.keras.layers import BatchNormalization, Conv2D, Input, MaxPooling2D
from tensorflow.keras.models import Model


def build(size=33):
    inputs = Input(shape=(size, size, 3))
    x = Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = BatchNormalization()(x)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    return Model(inputs, x)
# output

import keras
from keras import layers


def build(input_shape=(36, 36, 1), filters=4):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(filters, 3)(inputs)
    y = layers.Conv2D(filters, 5)(x)
    cut = x.shape[1] - y.shape[1]
    x = layers.Cropping2D((cut // 2, cut - cut // 2))(x)
    y = layers.Concatenate()([x, y])
    z = layers.Conv2D(filters, 9)(y)
    cut = y.shape[1] - z.shape[1]
    y = layers.Cropping2D((cut // 2, cut - cut // 2))(y)
    return keras.Model(inputs, layers.Add()([layers.Conv2D(filters, 1)(y), z]))

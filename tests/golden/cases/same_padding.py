from keras import Input, Model, layers


def build(height=17, width=20, strides=3):
    """Sizes and strides that need other padding on the two sides."""
    image = Input((height, width, 4))
    a = layers.Conv2D(6, 3, strides=strides, padding="same")(image)
    b = layers.MaxPooling2D(2, strides=strides, padding="same")(image)
    c = layers.AveragePooling2D(3, strides=strides, padding="same")(image)
    return Model(image, layers.concatenate([a, b, c]))
# output

from keras import Input, Model, layers


def conv(filters, **options):
    def apply(x):
        x = layers.Conv2D(filters, 3, padding="same", **options)(x)
        return layers.LeakyReLU()(x)

    return apply


def build(widths=(8, 16), input_shape=(12, 12, 1)):
    inputs = Input(input_shape)
    x = inputs
    for width in widths:
        x = conv(width, use_bias=False)(x)
    return Model(inputs, layers.Flatten()(x))
# output

import keras

inputs = keras.Input((16, 16, 8))
x = keras.layers.Conv2D(16, 3, groups=4, padding="same", activation="elu")(inputs)
x = keras.layers.Conv2D(16, 3, dilation_rate=2, padding="valid")(x)
x = keras.layers.Activation("gelu")(x)
model = keras.Model(inputs, x)
# output

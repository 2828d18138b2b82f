import keras
from keras import layers

inputs = keras.Input((8, 8, 3))
x = layers.Wobble(3)(inputs)
model = keras.Model(inputs, x)
# output

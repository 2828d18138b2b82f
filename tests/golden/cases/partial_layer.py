# flags: --allow-partial
import keras
from keras import layers

inputs = keras.Input((8, 8, 3))
x = layers.Wobble(3)(inputs)
model = keras.Model(inputs, x)
# output
raise NotImplementedError("K2T101: the layer Wobble has no translation yet")
# findings
# error 5:5 K2T101 unsupported-layer: the layer Wobble has no translation yet

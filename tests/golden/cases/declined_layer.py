import keras
from keras import layers

inputs = keras.Input((8, 8, 3))
x = layers.Wobble(3)(inputs)
model = keras.Model(inputs, x)
# output
# findings
# error 4:1 K2T203 unsupported-syntax: this statement uses Keras and is not translated
# error 5:5 K2T101 unsupported-layer: the layer Wobble has no translation yet
# error 6:9 K2T201 unknown-value: the model's tensors cannot be evaluated: the layer Wobble has no translation yet

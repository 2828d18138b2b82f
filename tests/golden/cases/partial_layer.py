# flags: --allow-partial
import keras
from keras import layers

inputs = keras.Input((8, 8, 3))
x = layers.Wobble(3)(inputs)
model = keras.Model(inputs, x)
# output
raise NotImplementedError("K2T203: this statement uses Keras and is not translated")
raise NotImplementedError("K2T101: the layer Wobble has no translation yet")
raise NotImplementedError("K2T201: the model's tensors cannot be evaluated: the layer Wobble has no translation yet")
# findings
# error 4:1 K2T203 unsupported-syntax: this statement uses Keras and is not translated
# error 5:5 K2T101 unsupported-layer: the layer Wobble has no translation yet
# error 6:9 K2T201 unknown-value: the model's tensors cannot be evaluated: the layer Wobble has no translation yet

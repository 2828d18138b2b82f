import keras
from keras import layers

inputs = keras.Input((8, 8, 3))
x = layers.Wobble(3)(inputs)
model = keras.Model(inputs, x)
# output
# findings
# error 4:1 K2T203 unsupported-syntax: this statement uses Keras and is not translated
# error 5:1 K2T203 unsupported-syntax: this statement uses Keras and is not translated
# error 6:1 K2T203 unsupported-syntax: this statement uses Keras and is not translated

"""Autoencoders beside their encoders and decoders, of the same layers: dense, and with convolutions."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

rng = np.random.default_rng(0)
x = rng.random((20, 12)).astype("float32")

inputs = keras.Input(shape=(12,))
hidden = layers.Dense(8, activation="relu", kernel_initializer="identity")(inputs)
encoded = layers.Dense(4, activation="relu", kernel_initializer="identity")(hidden)
hidden = layers.Dense(8, activation="relu", kernel_initializer="identity")(encoded)
decoded = layers.Dense(12, activation="sigmoid", kernel_initializer="identity")(hidden)
autoencoder = keras.Model(inputs, decoded)
encoder = keras.Model(inputs, encoded)
encoded_input = keras.Input(shape=(4,))
decoder_layer1 = autoencoder.layers[-2]
decoder_layer2 = autoencoder.layers[-1]
decoder = keras.Model(encoded_input, decoder_layer2(decoder_layer1(encoded_input)))
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
history = autoencoder.fit(x, x, epochs=3, batch_size=5, shuffle=False, verbose=0, validation_split=0.2)
print(history.history["loss"], history.history["val_loss"])
codes = encoder.predict(x, verbose=0)
print(codes[:2], decoder.predict(codes, verbose=0)[:2])

images = rng.random((6, 8, 8, 2)).astype("float32")
image_input = keras.Input(shape=(8, 8, 2))
y = layers.Conv2D(3, 3, padding="same", activation="relu", kernel_initializer="ones")(image_input)
code = layers.MaxPooling2D(2, padding="same")(y)
up = layers.UpSampling2D(2)
last = layers.Conv2D(2, 3, padding="same", activation="sigmoid", kernel_initializer="ones", name="last")
whole = keras.Model(image_input, last(up(code)))
image_encoder = keras.Model(image_input, code)
code_input = keras.Input(shape=(4, 4, 3))
image_decoder = keras.Model(code_input, last(up(code_input)))
whole.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
whole.fit(images, images, epochs=2, batch_size=3, shuffle=False, verbose=0)
print(whole.evaluate(images, images, verbose=0))
print(image_decoder.predict(image_encoder.predict(images, verbose=0), verbose=0)[0, 0])

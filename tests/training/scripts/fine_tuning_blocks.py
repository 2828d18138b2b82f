"""Fine-tuning by the names and numbers of layers, where the head is built on the output of the application."""

import numpy as np
from keras.applications.vgg16 import VGG16
from keras.layers import Dense, Flatten
from keras.models import Model
from keras.optimizers import SGD

rng = np.random.default_rng(5)
targets = np.eye(3)[np.arange(12) % 3]
x = rng.normal(size=(12, 32, 32, 3)) + (np.arange(12) % 3)[:, None, None, None]

conv_base = VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
h = Flatten()(conv_base.output)
h = Dense(16, activation="relu")(h)
predictions = Dense(3, activation="softmax")(h)
model = Model(inputs=conv_base.input, outputs=predictions)

for layer in conv_base.layers:
    layer.trainable = False
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, targets, epochs=2, batch_size=4, verbose=0)
print(history.history["loss"], history.history["accuracy"])

conv_base.trainable = True
set_trainable = False
for layer in conv_base.layers:
    if layer.name == "block5_conv2":
        set_trainable = True
    if set_trainable:
        layer.trainable = True
    else:
        layer.trainable = False
model.compile(optimizer=SGD(0.1), loss="categorical_crossentropy")
history = model.fit(x, targets, epochs=2, batch_size=4, verbose=0)
print(history.history["loss"])

for layer in model.layers[:5]:
    layer.trainable = False
for layer in model.layers[5:]:
    layer.trainable = True
model.compile(optimizer=SGD(0.1), loss="categorical_crossentropy")
history = model.fit(x, targets, epochs=2, batch_size=4, verbose=0)
print(history.history["loss"])
model.layers[-1].trainable = False
model.compile(optimizer=SGD(0.1), loss="categorical_crossentropy")
history = model.fit(x, targets, epochs=1, batch_size=4, verbose=0)
print(history.history["loss"])

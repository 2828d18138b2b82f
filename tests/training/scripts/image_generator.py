"""A classifier fed by generators of images, with and without a number of steps."""

import numpy as np
from tensorflow import keras
from tensorflow.keras.preprocessing.image import ImageDataGenerator

rng = np.random.default_rng(1)
labels = rng.integers(0, 3, 40)
images = np.clip(rng.normal(90, 40, (40, 10, 10, 3)) + 40 * labels[:, None, None, None], 0, 255).astype("uint8")
y = keras.utils.to_categorical(labels, 3)

train_datagen = ImageDataGenerator(rescale=1.0 / 255, featurewise_center=True, samplewise_center=False)
train_datagen.fit(images[:32])
test_datagen = ImageDataGenerator(rescale=1.0 / 255)
train_flow = train_datagen.flow(images[:32], y[:32], batch_size=8, shuffle=False)

model = keras.Sequential([
    keras.Input((10, 10, 3)),
    keras.layers.Conv2D(4, 3, activation="relu"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(3, activation="softmax"),
])
model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=["accuracy"])
val_flow = test_datagen.flow(images[32:], y[32:], batch_size=3, shuffle=False)
history = model.fit(train_flow, epochs=3, validation_data=val_flow, verbose=0)
print(history.history["loss"], history.history["val_loss"], history.history["val_accuracy"])
x_train, y_train = images[:32], y[:32]
history = model.fit(
    train_datagen.flow(x_train, y_train, batch_size=8, shuffle=False), steps_per_epoch=3, epochs=4, verbose=0
)
print(history.history["loss"], history.history["accuracy"])
print(model.evaluate(val_flow, verbose=0))
print(model.predict(test_datagen.flow(images[:5], batch_size=2, shuffle=False), verbose=0))
print(model.evaluate(images[:9] / 255.0, keras.utils.to_categorical(labels[:9], 3), verbose=0))
history = model.fit(images[:9] / 255.0, keras.utils.to_categorical(labels[:9], 3), verbose=0)
print(history.history["loss"])

"""A convolutional classifier with augmentation and rescaling in the model."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

NUM_CLASSES = 4
rng = np.random.default_rng(7)
labels = rng.integers(0, NUM_CLASSES, (64, 1))
images = np.clip(rng.normal(100, 40, (64, 16, 16, 3)) + 25 * labels[:, :, None, None], 0, 255).astype("uint8")

data_augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])


def make_model(input_shape, num_classes):
    inputs = keras.Input(shape=input_shape)
    x = data_augmentation(inputs)
    x = layers.Rescaling(1.0 / 255)(x)
    for size in [8, 16]:
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.25)(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x))


model = make_model((16, 16, 3), NUM_CLASSES)
model.compile(
    optimizer=keras.optimizers.Adam(3e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
)
history = model.fit(images, labels, epochs=3, batch_size=16, validation_split=0.25, verbose=0)
print(history.history["loss"], history.history["acc"], history.history["val_loss"], history.history["val_acc"])
score = model.evaluate(images, labels, verbose=0)
print(f"loss {score[0]:.5f}, accuracy {score[1]:.4f}")

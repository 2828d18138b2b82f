"""A classifier of images that tf.data prepares: mapped before and after they are put into batches."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

SIZE = 8
AUTOTUNE = tf.data.AUTOTUNE
rng = np.random.default_rng(3)
labels = rng.integers(0, 3, 48)
images = np.clip(rng.normal(90, 40, (48, 12, 10, 3)) + 40 * labels[:, None, None, None], 0, 255).astype("uint8")
mean = images.mean(axis=(0, 1, 2)) / 255.0


def scale(image):
    return tf.cast(image, tf.float32) / 255.0


@tf.function
def prepare(image, label):
    """An image of the right size, and its class as a vector."""
    image = tf.image.resize(scale(image), (SIZE, SIZE))  # which makes floats
    image = (image - mean) * 2
    return image, tf.one_hot(label, 3)


def flipped(x, y):
    x = tf.image.flip_left_right(x)
    x.set_shape((None, SIZE, SIZE, 3))
    return tf.clip_by_value(x, -1.0, 0.9), y


everything = tf.data.Dataset.from_tensor_slices((images, labels))
train_ds = everything.take(32).map(prepare, num_parallel_calls=AUTOTUNE).cache().shuffle(32).batch(8)
train_ds = train_ds.map(flipped).prefetch(AUTOTUNE)
val_ds = tf.data.Dataset.zip((tf.data.Dataset.from_tensor_slices(images), tf.data.Dataset.from_tensor_slices(labels)))
val_ds = val_ds.skip(32).batch(4).map(lambda x, y: (tf.image.resize(tf.cast(x, "float32"), [SIZE, SIZE]) / 255, y))
val_ds = val_ds.map(lambda image, label: (image, tf.cast(label[..., tf.newaxis] == [[0, 1, 2]], tf.float32)))

model = keras.Sequential([
    keras.Input((SIZE, SIZE, 3)),
    keras.layers.Conv2D(4, 3, activation="relu"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(3, activation="softmax"),
])
model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=["accuracy"])
history = model.fit(train_ds, epochs=2, validation_data=val_ds, verbose=0)
print(history.history["loss"], history.history["val_loss"])
endless = everything.map(prepare).batch(5).repeat()
history = model.fit(endless, steps_per_epoch=6, epochs=3, validation_data=val_ds.take(2), verbose=0)
print(history.history["loss"], history.history["val_loss"])
for batch, target in train_ds.skip(1).take(2):
    print(batch.numpy().mean(), target.numpy().sum(axis=0) / 3)
print(model.predict(val_ds, verbose=0)[:2])
print(model.evaluate(everything.map(prepare).batch(7, drop_remainder=True), verbose=0))

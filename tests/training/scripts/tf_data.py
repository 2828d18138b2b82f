"""A classifier that tf.data feeds."""
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x_train = rng.normal(size=(64, 6)).astype("float32")
y_train = (x_train.sum(axis=1) > 0).astype("int64")
x_test, y_test = x_train[:20], y_train[:20]

train_ds = tf.data.Dataset.from_tensor_slices((x_train, y_train))
train_ds = train_ds.shuffle(64).batch(16)
train_ds = train_ds.prefetch(tf.data.AUTOTUNE)
test_ds = tf.data.Dataset.from_tensor_slices((x_test, y_test)).batch(10).cache()

model = tf.keras.models.Sequential([
    tf.keras.layers.Input((6,)),
    tf.keras.layers.Dense(8, activation="relu"),
    tf.keras.layers.Dense(2),
])
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss_fn, metrics=["accuracy"])
history = model.fit(train_ds, epochs=3, validation_data=test_ds, verbose=0)
print(history.history["loss"], history.history["val_accuracy"])
print(model.evaluate(test_ds, verbose=0))

"""Custom training loop over epochs with metrics objects, validation and early stopping by hand."""
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

class MLP(keras.Model):
    def __init__(self, num_classes, width=32, rate=0.2):
        super(MLP, self).__init__()
        self.flatten = layers.Flatten()
        self.d1 = layers.Dense(width, activation='relu')
        self.drop = layers.Dropout(rate)
        self.d2 = layers.Dense(num_classes)

    def call(self, x, training=False):
        x = self.flatten(x)
        x = self.d1(x)
        x = self.drop(x, training=training)
        return self.d2(x)


rng = np.random.RandomState(1)
x = rng.rand(100, 6, 6).astype('float32')
y = (x.mean(axis=(1, 2)) * 20).astype('int64') % 4
train_ds = tf.data.Dataset.from_tensor_slices((x[:80], y[:80])).batch(16)
test_ds = tf.data.Dataset.from_tensor_slices((x[80:], y[80:])).batch(10)

model = MLP(4)
loss_object = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(0.005)
train_loss = keras.metrics.Mean(name='train_loss')
train_accuracy = keras.metrics.SparseCategoricalAccuracy(name='train_accuracy')
test_loss = keras.metrics.Mean(name='test_loss')
test_accuracy = keras.metrics.SparseCategoricalAccuracy(name='test_accuracy')


@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
        loss = loss_object(labels, predictions)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.clip_by_norm(g, 1.0) for g in gradients]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    train_loss(loss)
    train_accuracy(labels, predictions)


@tf.function
def test_step(images, labels):
    predictions = model(images, training=False)
    t_loss = loss_object(labels, predictions)
    test_loss(t_loss)
    test_accuracy(labels, predictions)


best, wait = np.inf, 0
for epoch in range(5):
    train_loss.reset_state()
    train_accuracy.reset_state()
    test_loss.reset_state()
    test_accuracy.reset_state()

    for images, labels in train_ds:
        train_step(images, labels)
    for test_images, test_labels in test_ds:
        test_step(test_images, test_labels)

    print(
        f'Epoch {epoch + 1}, '
        f'Loss: {train_loss.result():0.4f}, '
        f'Accuracy: {train_accuracy.result() * 100:0.2f}, '
        f'Test Loss: {test_loss.result():0.4f}, '
        f'Test Accuracy: {test_accuracy.result() * 100:0.2f}'
    )
    current = test_loss.result().numpy()
    if current < best - 1e-3:
        best, wait = current, 0
    else:
        wait += 1
        if wait >= 2:
            print('early stop')
            break

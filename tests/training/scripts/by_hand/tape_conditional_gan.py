"""Conditional GAN on vectors with two tapes and tf.data."""
import time
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

BATCH_SIZE = 16
EPOCHS = 2
noise_dim = 8
num_classes = 3

rng = np.random.RandomState(0)
train_labels = rng.randint(0, num_classes, 64)
train_images = (rng.normal(size=(64, 8, 8, 1)) * 0.3 + train_labels[:, None, None, None] - 1).astype('float32')
train_dataset = tf.data.Dataset.from_tensor_slices((train_images, train_labels)).batch(BATCH_SIZE, drop_remainder=True)


def make_generator_model():
    noise = tf.keras.Input(shape=(noise_dim,))
    label = tf.keras.Input(shape=(1,), dtype='int32')
    emb = layers.Embedding(num_classes, 4)(label)
    emb = layers.Flatten()(emb)
    x = layers.concatenate([noise, emb])
    x = layers.Dense(4 * 4 * 8, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU()(x)
    x = layers.Reshape((4, 4, 8))(x)
    x = layers.Conv2DTranspose(1, (5, 5), strides=(2, 2), padding='same', use_bias=False, activation='tanh')(x)
    return tf.keras.Model([noise, label], x)


def make_discriminator_model():
    img = tf.keras.Input(shape=(8, 8, 1))
    label = tf.keras.Input(shape=(1,), dtype='int32')
    emb = layers.Embedding(num_classes, 64)(label)
    emb = layers.Reshape((8, 8, 1))(emb)
    x = layers.Concatenate()([img, emb])
    x = layers.Conv2D(8, (5, 5), strides=(2, 2), padding='same')(x)
    x = layers.LeakyReLU()(x)
    x = layers.Dropout(0.3)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(1)(x)
    return tf.keras.Model([img, label], x)


generator = make_generator_model()
discriminator = make_discriminator_model()
cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)


def discriminator_loss(real_output, fake_output):
    real_loss = cross_entropy(tf.ones_like(real_output), real_output)
    fake_loss = cross_entropy(tf.zeros_like(fake_output), fake_output)
    total_loss = real_loss + fake_loss
    return total_loss


def generator_loss(fake_output):
    return cross_entropy(tf.ones_like(fake_output), fake_output)


generator_optimizer = tf.keras.optimizers.Adam(1e-4)
discriminator_optimizer = tf.keras.optimizers.Adam(1e-4)


@tf.function
def train_step(images, labels):
    noise = tf.random.normal([BATCH_SIZE, noise_dim])
    labels = tf.reshape(labels, (-1, 1))
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        generated_images = generator([noise, labels], training=True)
        real_output = discriminator([images, labels], training=True)
        fake_output = discriminator([generated_images, labels], training=True)
        gen_loss = generator_loss(fake_output)
        disc_loss = discriminator_loss(real_output, fake_output)

    gradients_of_generator = gen_tape.gradient(gen_loss, generator.trainable_variables)
    gradients_of_discriminator = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
    generator_optimizer.apply_gradients(zip(gradients_of_generator, generator.trainable_variables))
    discriminator_optimizer.apply_gradients(zip(gradients_of_discriminator, discriminator.trainable_variables))
    return gen_loss, disc_loss


def train(dataset, epochs):
    for epoch in range(epochs):
        start = time.time()
        g_total, d_total, n = 0., 0., 0
        for image_batch, label_batch in dataset:
            g, d = train_step(image_batch, label_batch)
            g_total += g
            d_total += d
            n += 1
        print('epoch {} gen {:.4f} disc {:.4f}'.format(epoch + 1, g_total / n, d_total / n))


train(train_dataset, EPOCHS)
seed = tf.random.normal([4, noise_dim])
samples = generator([seed, tf.constant([[0], [1], [2], [0]])], training=False)
print(samples.shape)

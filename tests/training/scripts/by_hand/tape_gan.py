"""Two networks that are trained against each other, each with its own tape and optimizer."""
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

BATCH_SIZE = 16
EPOCHS = 3
noise_dim = 4

rng = np.random.default_rng(1)
train_images = rng.normal(size=(64, 6)).astype("float32")
all_noise = rng.normal(size=(64, noise_dim)).astype("float32")
train_dataset = tf.data.Dataset.from_tensor_slices((train_images, all_noise)).batch(BATCH_SIZE)


def make_generator_model():
    model = tf.keras.Sequential()
    model.add(layers.Input(shape=(noise_dim,)))
    model.add(layers.Dense(16))
    model.add(layers.LeakyReLU())
    model.add(layers.Dense(6, activation="tanh"))
    return model


def make_discriminator_model():
    model = tf.keras.Sequential()
    model.add(layers.Input(shape=(6,)))
    model.add(layers.Dense(16))
    model.add(layers.LeakyReLU())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(1))
    return model


generator = make_generator_model()
discriminator = make_discriminator_model()

# This method returns a helper function to compute cross entropy loss
cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)


def discriminator_loss(real_output, fake_output):
    real_loss = cross_entropy(tf.ones_like(real_output), real_output)
    fake_loss = cross_entropy(tf.zeros_like(fake_output), fake_output)
    total_loss = real_loss + fake_loss
    return total_loss


def generator_loss(fake_output):
    return cross_entropy(tf.ones_like(fake_output), fake_output)


generator_optimizer = tf.keras.optimizers.Adam(1e-3)
discriminator_optimizer = tf.keras.optimizers.Adam(1e-3)


# Notice the use of `tf.function`
# This annotation causes the function to be "compiled".
@tf.function
def train_step(images, noise):
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        generated_images = generator(noise, training=True)

        real_output = discriminator(images, training=True)
        fake_output = discriminator(generated_images, training=True)

        gen_loss = generator_loss(fake_output)
        disc_loss = discriminator_loss(real_output, fake_output)

    gradients_of_generator = gen_tape.gradient(gen_loss, generator.trainable_variables)
    gradients_of_discriminator = disc_tape.gradient(disc_loss, discriminator.trainable_variables)

    generator_optimizer.apply_gradients(zip(gradients_of_generator, generator.trainable_variables))
    discriminator_optimizer.apply_gradients(zip(gradients_of_discriminator, discriminator.trainable_variables))
    return gen_loss, disc_loss


def train(dataset, epochs):
    for epoch in range(epochs):
        for image_batch, noise_batch in dataset:
            gen_loss, disc_loss = train_step(image_batch, noise_batch)
            print("%.5f %.5f" % (gen_loss.numpy(), float(disc_loss)))
        generate(generator, epoch + 1, all_noise[:3])


def generate(model, epoch, test_input):
    # Notice `training` is set to False.
    predictions = model(test_input, training=False)
    for i in range(predictions.shape[0]):
        print(epoch, np.round(np.asarray(predictions[i, :]), 4))


train(train_dataset, EPOCHS)

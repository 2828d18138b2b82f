"""A GAN that is trained batch by batch."""
import numpy as np
from tensorflow.keras.layers import Dense, Input, LeakyReLU
from tensorflow.keras.models import Model, Sequential
from tensorflow.keras.optimizers import Adam

latent_dim = 4


def build_generator():
    model = Sequential()
    model.add(Input((latent_dim,)))
    model.add(Dense(16))
    model.add(LeakyReLU(0.2))
    model.add(Dense(6, activation="tanh"))
    return model


def build_discriminator():
    model = Sequential()
    model.add(Input((6,)))
    model.add(Dense(16))
    model.add(LeakyReLU(0.2))
    model.add(Dense(1, activation="sigmoid"))
    return model


discriminator = build_discriminator()
discriminator.compile(loss="binary_crossentropy", optimizer=Adam(0.002, 0.5), metrics=["accuracy"])
generator = build_generator()

z = Input(shape=(latent_dim,))
img = generator(z)
# For the combined model we will only train the generator
discriminator.trainable = False
valid = discriminator(img)
combined = Model(z, valid)
combined.compile(loss="binary_crossentropy", optimizer=Adam(0.002, 0.5))

rng = np.random.default_rng(2)
x_train = rng.normal(size=(64, 6)).astype("float32")
batch_size = 16
ones = np.ones((batch_size, 1))
zeros = np.zeros((batch_size, 1))
for epoch in range(4):
    imgs = x_train[epoch * batch_size : (epoch + 1) * batch_size]
    noise = rng.normal(0, 1, (batch_size, latent_dim)).astype("float32")
    gen_imgs = generator.predict(noise)
    d_loss_real = discriminator.train_on_batch(imgs, ones)
    d_loss_fake = discriminator.train_on_batch(gen_imgs, zeros)
    g_loss = combined.train_on_batch(noise, ones)
    print("%d [D loss: %f, acc.: %.2f%%] [G loss: %f]" % (epoch, d_loss_real[0], 100 * d_loss_fake[1], g_loss))

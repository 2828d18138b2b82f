import numpy as np
import tensorflow as tf
from tensorflow.keras import layers, Model
from tensorflow.keras.optimizers import RMSprop, Adam

LATENT = 8
GP_WEIGHT = 10.0
N_CRITIC = 3
BATCH = 16


def build_critic():
    inp = layers.Input(shape=(20,))
    x = layers.Dense(32)(inp)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.Dense(1)(x)
    return Model(inp, x, name="critic")


def build_generator():
    inp = layers.Input(shape=(LATENT,))
    x = layers.Dense(32, activation="relu")(inp)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(20, activation="tanh")(x)
    return Model(inp, x, name="generator")


critic = build_critic()
generator = build_generator()
c_opt = Adam(learning_rate=1e-3, beta_1=0.5, beta_2=0.9)
g_opt = Adam(learning_rate=1e-3, beta_1=0.5, beta_2=0.9)


def gradient_penalty(real, fake):
    batch_size = tf.shape(real)[0]
    alpha = tf.random.uniform([batch_size, 1], 0.0, 1.0)
    interpolated = real + alpha * (fake - real)
    with tf.GradientTape() as gp_tape:
        gp_tape.watch(interpolated)
        pred = critic(interpolated, training=True)
    grads = gp_tape.gradient(pred, [interpolated])[0]
    norm = tf.sqrt(tf.reduce_sum(tf.square(grads), axis=[1]) + 1e-12)
    return tf.reduce_mean((norm - 1.0) ** 2)


@tf.function
def train_critic(real):
    noise = tf.random.normal([tf.shape(real)[0], LATENT])
    with tf.GradientTape() as tape:
        fake = generator(noise, training=True)
        fake_logits = critic(fake, training=True)
        real_logits = critic(real, training=True)
        c_cost = tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)
        gp = gradient_penalty(real, fake)
        c_loss = c_cost + gp * GP_WEIGHT
    grad = tape.gradient(c_loss, critic.trainable_variables)
    c_opt.apply_gradients(zip(grad, critic.trainable_variables))
    return c_loss, gp


@tf.function
def train_generator():
    noise = tf.random.normal([BATCH, LATENT])
    with tf.GradientTape() as tape:
        fake = generator(noise, training=True)
        logits = critic(fake, training=True)
        g_loss = -tf.reduce_mean(logits)
    grad = tape.gradient(g_loss, generator.trainable_variables)
    g_opt.apply_gradients(zip(grad, generator.trainable_variables))
    return g_loss


rng = np.random.RandomState(5)
data = rng.normal(size=(96, 20)).astype(np.float32)
ds = tf.data.Dataset.from_tensor_slices(data).shuffle(96).batch(BATCH, drop_remainder=True)

for epoch in range(2):
    c_losses = []
    g_losses = []
    for i, real in enumerate(ds):
        c_loss, gp = train_critic(real)
        c_losses.append(c_loss.numpy())
        if (i + 1) % N_CRITIC == 0:
            g_loss = train_generator()
            g_losses.append(g_loss.numpy())
    print(f"Epoch {epoch}: critic {np.mean(c_losses):.5f} gen {np.mean(g_losses):.5f} gp {gp:.5f}")

z = tf.random.normal([3, LATENT])
print(generator(z, training=False).numpy().mean())

"""Physics-informed network for u'' = -sin(x): residual and boundary losses by nested tapes."""
import numpy as np
import tensorflow as tf

tf.random.set_seed(0)
np.random.seed(0)


class PINN(tf.keras.Model):
    def __init__(self, layers_sizes=(20, 20)):
        super().__init__()
        self.hidden = [tf.keras.layers.Dense(n, activation="tanh") for n in layers_sizes]
        self.out = tf.keras.layers.Dense(1)

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.out(x)


model = PINN()
optimizer = tf.keras.optimizers.Adam(learning_rate=1e-2)

x_col = tf.convert_to_tensor(np.linspace(0, np.pi, 32).reshape(-1, 1), dtype=tf.float32)
x_bc = tf.constant([[0.0], [np.pi]], dtype=tf.float32)
u_bc = tf.constant([[0.0], [0.0]], dtype=tf.float32)
model(x_bc)


@tf.function
def residual(x):
    with tf.GradientTape() as t2:
        t2.watch(x)
        with tf.GradientTape() as t1:
            t1.watch(x)
            u = model(x)
        u_x = t1.gradient(u, x)
    u_xx = t2.gradient(u_x, x)
    return u_xx + tf.sin(x)


@tf.function
def train_step():
    with tf.GradientTape() as tape:
        loss_r = tf.reduce_mean(tf.square(residual(x_col)))
        loss_b = tf.reduce_mean(tf.square(model(x_bc) - u_bc))
        loss = loss_r + 10.0 * loss_b
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
    return loss, loss_r, loss_b


losses = []
for epoch in range(20):
    loss, lr_, lb = train_step()
    losses.append(float(loss))
    if epoch % 5 == 0:
        print(f"epoch {epoch}: loss={loss.numpy():.5f} residual={lr_.numpy():.5f} boundary={lb.numpy():.5f}")

u_pred = model(x_col).numpy()
u_true = np.sin(x_col.numpy())
print("L2 error:", np.sqrt(np.mean((u_pred - u_true) ** 2)))
print("last loss", losses[-1])

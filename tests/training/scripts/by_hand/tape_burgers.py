"""Burgers' equation, persistent tape."""
import numpy as np
import tensorflow as tf

DTYPE = 'float32'
tf.keras.backend.set_floatx(DTYPE)
pi = tf.constant(np.pi, dtype=DTYPE)
viscosity = .01 / pi

N_0 = 10
N_r = 30
rng = np.random.RandomState(0)
t_0 = tf.zeros((N_0, 1), dtype=DTYPE)
x_0 = tf.constant(rng.uniform(-1, 1, (N_0, 1)), dtype=DTYPE)
X_0 = tf.concat([t_0, x_0], axis=1)
u_0 = -tf.sin(pi * x_0)
t_r = tf.constant(rng.uniform(0, 1, (N_r, 1)), dtype=DTYPE)
x_r = tf.constant(rng.uniform(-1, 1, (N_r, 1)), dtype=DTYPE)
X_r = tf.concat([t_r, x_r], axis=1)


def init_model(num_hidden_layers=2, num_neurons_per_layer=12):
    model = tf.keras.Sequential()
    model.add(tf.keras.Input((2,)))
    for _ in range(num_hidden_layers):
        model.add(tf.keras.layers.Dense(num_neurons_per_layer,
                                        activation=tf.keras.activations.get('tanh'),
                                        kernel_initializer='glorot_normal'))
    model.add(tf.keras.layers.Dense(1))
    return model


def get_r(model, X_r):
    # A tf.GradientTape is used to compute derivatives in TensorFlow
    with tf.GradientTape(persistent=True) as tape:
        # Split t and x to compute partial derivatives
        t, x = X_r[:, 0:1], X_r[:, 1:2]
        # Variables t and x are watched during tape
        # to compute derivatives u_t and u_x
        tape.watch(t)
        tape.watch(x)
        # Determine residual
        u = model(tf.stack([t[:, 0], x[:, 0]], axis=1))
        # Compute gradient u_x within the GradientTape
        # since we need second derivatives
        u_x = tape.gradient(u, x)
    u_t = tape.gradient(u, t)
    u_xx = tape.gradient(u_x, x)
    del tape
    return fun_r(t, x, u, u_t, u_x, u_xx)


def fun_r(t, x, u, u_t, u_x, u_xx):
    return u_t + u * u_x - viscosity * u_xx


def compute_loss(model, X_r, X_data, u_data):
    # Compute phi^r
    r = get_r(model, X_r)
    phi_r = tf.reduce_mean(tf.square(r))
    loss = phi_r
    u_pred = model(X_data)
    loss += tf.reduce_mean(tf.square(u_data - u_pred))
    return loss


def get_grad(model, X_r, X_data, u_data):
    with tf.GradientTape(persistent=True) as tape:
        # This tape is for derivatives with
        # respect to trainable variables
        tape.watch(model.trainable_variables)
        loss = compute_loss(model, X_r, X_data, u_data)

    g = tape.gradient(loss, model.trainable_variables)
    del tape
    return loss, g


model = init_model()
lr = tf.keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [1e-2, 1e-3, 5e-4])
optim = tf.keras.optimizers.Adam(learning_rate=lr)


@tf.function
def train_step():
    # Compute current loss and gradient w.r.t. parameters
    loss, grad_theta = get_grad(model, X_r, X_0, u_0)
    # Perform gradient descent step
    optim.apply_gradients(zip(grad_theta, model.trainable_variables))
    return loss


N = 30
hist = []
for i in range(N + 1):
    loss = train_step()
    # Append current loss to hist
    hist.append(loss.numpy())
    # Output current loss after 10 iterates
    if i % 10 == 0:
        print('It {:05d}: loss = {:10.8e}'.format(i, loss))
upred = model(X_r)
print(upred.numpy().mean())

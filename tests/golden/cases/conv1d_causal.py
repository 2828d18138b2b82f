import tensorflow as tf

layers = tf.keras.layers


def tcn(steps=40, features=6):
    inputs = tf.keras.Input((steps, features))
    x = inputs
    for rate in (1, 2, 4):
        x = layers.Conv1D(12, 3, padding="causal", dilation_rate=rate, groups=2 if rate > 1 else 1)(x)
        x = layers.ReLU()(x)
    return tf.keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
# output

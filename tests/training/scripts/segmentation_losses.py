"""A small U-Net for masks, with the losses and metrics that are usual for these, one after the other."""
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import backend as K
from tensorflow.keras import layers
from tensorflow.keras.losses import binary_crossentropy


def dice_coef(y_true, y_pred, smooth=1.0):
    y_true_f = K.flatten(y_true)
    y_pred_f = K.flatten(y_pred)
    intersection = K.sum(y_true_f * y_pred_f)
    return (2.0 * intersection + smooth) / (K.sum(y_true_f) + K.sum(y_pred_f) + smooth)


def dice_loss(y_true, y_pred):
    return 1 - dice_coef(y_true, y_pred)


def bce_dice_loss(y_true, y_pred):
    """Crossentropy of the pixels and overlap of the masks."""
    return 0.5 * binary_crossentropy(y_true, y_pred) + dice_loss(y_true, y_pred)


def focal_loss(gamma=2.0, alpha=0.25):
    """Lin et al., 2017."""

    def focal_loss_fixed(y_true, y_pred):
        pt_1 = tf.where(tf.equal(y_true, 1), y_pred, tf.ones_like(y_pred))
        pt_0 = tf.where(tf.equal(y_true, 0), y_pred, tf.zeros_like(y_pred))
        pt_1 = K.clip(pt_1, K.epsilon(), 1 - K.epsilon())
        pt_0 = K.clip(pt_0, K.epsilon(), 1 - K.epsilon())
        return -K.mean(alpha * K.pow(1.0 - pt_1, gamma) * K.log(pt_1)) - K.mean(
            (1 - alpha) * K.pow(pt_0, gamma) * K.log(1.0 - pt_0)
        )

    return focal_loss_fixed


def weighted_bce(positive):
    def loss(y_true, y_pred):
        weights = 1.0 + (positive - 1.0) * y_true[..., 0]
        return weights * binary_crossentropy(y_true, y_pred)

    return loss


inputs = keras.Input((16, 16, 1))
c1 = layers.Conv2D(4, 3, activation="relu", padding="same")(inputs)
p1 = layers.MaxPooling2D()(c1)
c2 = layers.Conv2D(8, 3, activation="relu", padding="same")(p1)
u1 = layers.concatenate([layers.UpSampling2D()(c2), c1])
model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(u1))

rng = np.random.default_rng(3)
x = rng.random((24, 16, 16, 1)).astype("float32")
y = (x > 0.6).astype("float32")

model.compile(optimizer="adam", loss=bce_dice_loss, metrics=[dice_coef])
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
print(history.history["loss"], history.history["dice_coef"])
print(model.evaluate(x, y, batch_size=8, verbose=0))

model.compile(optimizer="adam", loss=focal_loss(gamma=1.5), metrics=[bce_dice_loss])
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
print(history.history["loss"])
print(model.evaluate(x, y, batch_size=8, verbose=0))

rare = weighted_bce(3.0)
model.compile(optimizer="adam", loss=rare)
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
print(history.history["loss"])

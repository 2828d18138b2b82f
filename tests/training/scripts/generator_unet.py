"""A generator-fed U-Net with its own loss and metric."""

import numpy as np
from tensorflow.keras import backend as K
from tensorflow.keras.layers import Conv2D, Input, MaxPooling2D, UpSampling2D, concatenate
from tensorflow.keras.models import Model
from tensorflow.keras.optimizers import Adam

smooth = 1.0


def dice_coef(y_true, y_pred):
    y_true_f = K.flatten(y_true)
    y_pred_f = K.flatten(y_pred)
    intersection = K.sum(y_true_f * y_pred_f)
    return (2.0 * intersection + smooth) / (K.sum(y_true_f) + K.sum(y_pred_f) + smooth)


def dice_coef_loss(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


def get_unet(size=16):
    inputs = Input((size, size, 1))
    c1 = Conv2D(4, 3, activation="relu", padding="same")(inputs)
    p1 = MaxPooling2D()(c1)
    c2 = Conv2D(8, 3, activation="relu", padding="same")(p1)
    u1 = concatenate([UpSampling2D()(c2), c1])
    out = Conv2D(1, 1, activation="sigmoid")(u1)
    model = Model(inputs, out)
    model.compile(optimizer=Adam(1e-3), loss=dice_coef_loss, metrics=[dice_coef])
    return model


def batches(x, y, size):
    while True:
        for i in range(0, len(x), size):
            yield x[i : i + size], y[i : i + size]


def train():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 16, 16, 1)).astype("float32")
    y = (x > 0.3).astype("float32")
    model = get_unet()
    history = model.fit(batches(x, y, 8), steps_per_epoch=4, epochs=2, verbose=0)
    print(history.history["loss"])
    print(history.history["dice_coef"])


train()

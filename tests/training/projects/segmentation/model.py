from losses import bce_dice_loss, dice_coef
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.optimizers import Adam


def unet(shape=(16, 16, 1), rate=1e-2):
    inputs = keras.Input(shape)
    h = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(h))
    model.compile(Adam(learning_rate=rate), loss=bce_dice_loss, metrics=[dice_coef])
    return model

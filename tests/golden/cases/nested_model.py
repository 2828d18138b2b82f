import keras
from keras import layers


def backbone(channels=3):
    image = keras.Input((16, 16, channels))
    x = layers.Conv2D(8, 3, activation="relu")(image)
    return keras.Model(image, layers.GlobalMaxPooling2D()(x), name="backbone")


def classifier(num_classes=4):
    image = keras.Input((16, 16, 3))
    features = backbone()(image)
    return keras.Model(image, layers.Dense(num_classes)(features))
# output

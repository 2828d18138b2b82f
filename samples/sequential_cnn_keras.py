"""A small convolutional network for handwritten digits."""

from tensorflow import keras
from tensorflow.keras import layers

NUM_CLASSES = 10
INPUT_SHAPE = (28, 28, 1)


def build_model(input_shape=INPUT_SHAPE, num_classes=NUM_CLASSES, dropout=0.5):
    """Two convolution stages and a small classifier.

    Expects images scaled to [0, 1]; returns class probabilities.
    """
    model = keras.Sequential(name="digits")
    model.add(keras.Input(shape=input_shape))

    # Features: each stage halves the resolution.
    model.add(layers.Conv2D(32, kernel_size=(3, 3), activation="relu"))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Conv2D(64, kernel_size=(3, 3), strides=2, padding="same", activation="relu"))
    model.add(layers.BatchNormalization())

    # Classifier
    model.add(layers.Flatten())
    model.add(layers.Dropout(dropout))
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dense(num_classes, activation="softmax"))
    return model


if __name__ == "__main__":
    build_model().summary()

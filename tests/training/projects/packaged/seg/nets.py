from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.optimizers import SGD

from .tools.constants import *
from .tools.measures import mild, recall


def make_net(units=7, rate=BASE_RATE):
    model = keras.Sequential()
    model.add(keras.Input((5,)))
    model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(CLASSES, activation="sigmoid"))
    model.compile(SGD(learning_rate=rate * DECAY, momentum=0.5), loss=mild, metrics=[recall])
    return model

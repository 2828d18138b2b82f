from config import CLASSES, FEATURES
from tensorflow.keras import Sequential
from tensorflow.keras.layers import Dense, Input


def build_model(units=16):
    model = Sequential([Input((FEATURES,)), Dense(units, activation="relu"), Dense(CLASSES, activation="softmax")])
    return model

"""Options of the command line decide which layers there are; none is what the conversion takes it for."""

import argparse

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int, default=4)
parser.add_argument("--deep", action="store_true")
parser.add_argument("--cell", default="gru")
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--units", type=int, default=5)
parser.add_argument("--bidirectional", action="store_true")
args, _ = parser.parse_known_args()

inputs = keras.Input((6, 4))
h = layers.Dense(args.units, kernel_initializer="identity")(inputs)
for _ in range(args.depth - 1):
    h = layers.Dense(args.units, activation="relu", kernel_initializer=keras.initializers.Constant(0.1))(h)
if args.cell == "lstm":
    h = layers.LSTM(args.units, kernel_initializer=keras.initializers.Constant(0.1), recurrent_initializer="identity")(
        h
    )
else:
    h = layers.GRU(args.units, kernel_initializer=keras.initializers.Constant(0.1), recurrent_initializer="zeros")(h)
if args.dropout > 0:
    h = layers.Dropout(args.dropout)(h)
if args.deep and args.units > 4:
    h = layers.Dense(3, kernel_initializer=keras.initializers.Constant(0.1))(h)
model = keras.Model(
    inputs, layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.Constant(0.1))(h)
)
x = np.random.RandomState(0).rand(16, 6, 4).astype("float32")
y = np.random.RandomState(1).randint(0, 2, 16)
model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
print(history.history["loss"], history.history["accuracy"], model.predict(x, verbose=0)[:3])


def build(units, bidirectional, depth):
    net = keras.Sequential()
    net.add(keras.Input((6, 4)))
    for i in range(depth):
        net.add(layers.Dense(units, kernel_initializer="identity", activation="tanh"))
        if i > 0:
            net.add(layers.ReLU())
    net.add(layers.Flatten())
    if bidirectional:
        net.add(layers.Dense(7, kernel_initializer=keras.initializers.Constant(0.1)))
    else:
        net.add(layers.Dense(units, kernel_initializer="identity"))
        net.add(layers.LeakyReLU())
    net.add(layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.1)))
    return net


small = build(args.units - 2, args.bidirectional, args.depth)
small.compile("sgd", "mse")
history = small.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
print(history.history["loss"], small.predict(x, verbose=0)[:3])

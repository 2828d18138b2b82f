"""A character LSTM in the style of Keras's examples: its sizes are those of the text."""

import argparse
import re

import keras
import numpy as np
from keras import layers

parser = argparse.ArgumentParser()
parser.add_argument("--units", type=int, default=12)
args, _ = parser.parse_known_args()

text = "".join(re.findall("[a-f ]", "a bad cafe faced a dead bee and fed a cab a bead " * 6))
chars = sorted(set(text))
char_indices = {c: i for i, c in enumerate(chars)}
maxlen = 8
sentences = []
next_chars = []
for i in range(0, len(text) - maxlen, 3):
    sentences.append(text[i : i + maxlen])
    next_chars.append(text[i + maxlen])
x = np.zeros((len(sentences), maxlen, len(chars)), dtype="float32")
y = np.zeros((len(sentences), len(chars)), dtype="float32")
for i, sentence in enumerate(sentences):
    for t, char in enumerate(sentence):
        x[i, t, char_indices[char]] = 1
    y[i, char_indices[next_chars[i]]] = 1

model = keras.Sequential()
model.add(layers.LSTM(args.units, input_shape=(maxlen, len(chars))))
model.add(layers.Dense(len(chars), activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(learning_rate=0.01))
history = model.fit(x, y, batch_size=16, epochs=3, verbose=0)
print(history.history["loss"])
print("mean", float(np.mean(model.predict(x, verbose=0)[:, 0])))

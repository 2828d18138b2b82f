"""Vectors of words that the program reads: as an initializer, and copied into a model that is made."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

texts = ["the cat sat on the mat", "a dog ran in the park", "the dog sat", "a cat in a park"] * 6
words = sorted({word for text in texts for word in text.split()})
word_index = {word: i + 1 for i, word in enumerate(words)}
data = np.array([([word_index[w] for w in text.split()] + [0] * 6)[:6] for text in texts])
labels = np.array([0.0, 1.0, 0.0, 1.0] * 6)

rng = np.random.RandomState(0)
vectors = {word: rng.rand(4) for word in words[::2]}
embedding_matrix = np.zeros((len(word_index) + 1, 4))
for word, i in word_index.items():
    vector = vectors.get(word)
    if vector is not None:
        embedding_matrix[i] = vector


def build(size, matrix, trained):
    model = keras.Sequential()
    model.add(keras.Input((6,), dtype="int32"))
    start = keras.initializers.Constant(matrix)
    model.add(layers.Embedding(size, 4, embeddings_initializer=start, trainable=trained))
    model.add(layers.GlobalAveragePooling1D())
    model.add(layers.Dense(2, activation="tanh", kernel_initializer="identity"))
    model.add(layers.Dense(1, activation="sigmoid", kernel_initializer="ones"))
    return model


first = build(len(word_index) + 1, embedding_matrix, True)
first.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
history = first.fit(data, labels, epochs=3, batch_size=8, shuffle=False, verbose=0)
print(history.history["loss"], history.history["accuracy"])

second = keras.Sequential()
second.add(keras.Input((6,), dtype="int32"))
second.add(
    layers.Embedding(
        len(word_index) + 1,
        4,
        embeddings_initializer=keras.initializers.Constant(embedding_matrix),
        trainable=False,
    )
)
second.add(layers.GlobalAveragePooling1D())
second.add(layers.Dense(1, activation="sigmoid", kernel_initializer="ones", name="last"))
second.compile("sgd", "binary_crossentropy")
history = second.fit(data, labels, epochs=3, batch_size=8, shuffle=False, verbose=0)
print(history.history["loss"])
kernel, bias = second.get_layer("last").get_weights()
print(kernel.sum(), bias, second.layers[0].get_weights()[0].sum())

third = keras.Sequential(
    [
        keras.Input((6,), dtype="int32"),
        layers.Embedding(len(word_index) + 1, 4, name="embedding"),
        layers.Conv1D(3, 2),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(1),
    ]
)
third.get_layer("embedding").set_weights([embedding_matrix])
third.layers[1].set_weights([rng.rand(2, 4, 3), np.zeros(3)])
third.layers[2].set_weights([np.ones(3), np.zeros(3), np.full(3, 0.1), np.full(3, 0.5)])
start = [rng.rand(15, 1), rng.rand(1)]
third.layers[-1].set_weights(start)
third.layers[0].trainable = False
third.compile("sgd", "mse")
history = third.fit(data, labels, epochs=2, batch_size=8, shuffle=False, verbose=0)
print(history.history["loss"])
print(third.layers[1].get_weights()[0][0, 1], third.layers[0].get_weights()[0].sum())

"""Tags of words in sentences that are padded: the padding counts in no loss and in no metric."""
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

words, tags, length = 20, 3, 7
model = keras.Sequential(
    [
        layers.Input((length,)),
        layers.Embedding(words, 4, mask_zero=True),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(tags, activation="softmax")),
    ]
)
model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

rng = np.random.default_rng(1)
x = rng.integers(1, words, size=(50, length))
for i, sentence in enumerate(x):
    sentence[1 + i % length :] = 0
y = rng.integers(0, tags, size=(50, length))
history = model.fit(x, y, epochs=3, batch_size=16, validation_split=0.2, verbose=0)
print(history.history["loss"], history.history["accuracy"])
print(history.history["val_loss"], history.history["val_accuracy"])
print(model.evaluate(x, y, verbose=0))

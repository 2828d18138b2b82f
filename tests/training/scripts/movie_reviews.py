"""Reviews as numbers of words: a Tokenizer, windows that Keras pads, and an LSTM."""

import numpy as np
from tensorflow import keras
from tensorflow.keras.preprocessing.sequence import pad_sequences
from tensorflow.keras.preprocessing.text import Tokenizer

rng = np.random.default_rng(2)
words = np.array("good bad fine awful film plot the a of actor scene music slow great dull".split())
texts = [" ".join(words[rng.integers(0, len(words), rng.integers(3, 12))]) + "!" for _ in range(60)]
labels = np.array([int("good" in t or "great" in t) for t in texts])
num_words, maxlen = 12, 8

tokenizer = Tokenizer(num_words=num_words, oov_token="<unk>")
tokenizer.fit_on_texts(texts[:40])
x_train = pad_sequences(tokenizer.texts_to_sequences(texts[:40]), maxlen=maxlen)
x_test = pad_sequences(tokenizer.texts_to_sequences(texts[40:]), maxlen=maxlen)
print(float(x_train.mean()), float(tokenizer.texts_to_matrix(texts[:3], mode="tfidf").sum()))

model = keras.Sequential([
    keras.Input((maxlen,)),
    keras.layers.Embedding(num_words, 8),
    keras.layers.LSTM(6),
    keras.layers.Dense(1, activation="sigmoid"),
])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, labels[:40], epochs=3, batch_size=8, verbose=0, validation_data=(x_test, labels[40:]))
print(history.history["loss"], history.history["val_loss"])
print(model.evaluate(x_test, labels[40:], verbose=0))

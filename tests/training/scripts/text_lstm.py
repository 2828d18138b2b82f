"""A text classifier that masks the padding."""

import numpy as np
from keras.layers import LSTM, Bidirectional, Dense, Dropout, Embedding
from keras.models import Sequential
from keras.utils import pad_sequences

max_features = 50
maxlen = 12
rng = np.random.default_rng(4)
texts = [rng.integers(1, max_features, rng.integers(3, 16)).tolist() for _ in range(90)]
labels = np.array([int(np.mean(t) > max_features / 2) for t in texts])
x = pad_sequences(texts, maxlen=maxlen, padding="post")
x_train, y_train = x[:70], labels[:70]
x_test, y_test = x[70:], labels[70:]

model = Sequential()
model.add(Embedding(max_features, 8, mask_zero=True))
model.add(Bidirectional(LSTM(6)))
model.add(Dropout(0.5))
model.add(Dense(1, activation="sigmoid"))
model.build((None, maxlen))
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=10, epochs=3, validation_data=(x_test, y_test), verbose=0)
print(history.history["loss"], history.history["val_loss"], history.history["val_accuracy"])
print(model.predict(x_test[:3], verbose=0).ravel().tolist())

"""A sentiment classifier over word ids: embedding, bidirectional LSTM, convolution."""

import tensorflow as tf

MAX_WORDS = 5000
MAX_LENGTH = 80


class Settings:
    """What the experiments vary."""

    embedding_dim = 64
    lstm_units = 32
    filters = 48


def build_classifier(vocab_size=MAX_WORDS, max_length=MAX_LENGTH, settings=Settings):
    words = tf.keras.Input(shape=(max_length,), dtype="int32", name="words")
    x = tf.keras.layers.Embedding(vocab_size, settings.embedding_dim)(words)
    x = tf.keras.layers.SpatialDropout1D(0.2)(x)
    x = tf.keras.layers.Bidirectional(tf.keras.layers.LSTM(settings.lstm_units, return_sequences=True))(x)

    # n-gram features of two widths, side by side
    branches = []
    for width in (3, 5):
        branch = tf.keras.layers.Conv1D(settings.filters, width, padding="same", activation="relu")(x)
        branches.append(tf.keras.layers.GlobalMaxPooling1D()(branch))
    x = tf.keras.layers.concatenate(branches)

    x = tf.keras.layers.Dense(64, activation="relu")(x)
    x = tf.keras.layers.Dropout(0.5)(x)
    score = tf.keras.layers.Dense(1, activation="sigmoid", name="score")(x)
    return tf.keras.Model(words, score)

from keras import Sequential
from keras.layers import GRU, LSTM, Bidirectional, Dense, Embedding, SimpleRNN, TimeDistributed

model = Sequential(
    [
        Embedding(100, 16, input_shape=(12,)),
        Bidirectional(LSTM(8, return_sequences=True)),
        GRU(8, return_sequences=True, reset_after=False),
        TimeDistributed(Dense(6, activation="relu")),
        SimpleRNN(4),
        Dense(2, activation="softmax"),
    ]
)
# output

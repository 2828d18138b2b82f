"""An encoder and a decoder that are trained as one model, and asked as two that are built of its layers."""

import numpy as np
from keras.layers import LSTM, Dense, Input
from keras.models import Model

latent_dim = 6
num_encoder_tokens, num_decoder_tokens, max_len = 5, 4, 3
rng = np.random.default_rng(0)
encoder_input_data = rng.normal(size=(8, 4, num_encoder_tokens)).astype("float32")
decoder_input_data = rng.normal(size=(8, 3, num_decoder_tokens)).astype("float32")
decoder_target_data = np.eye(4, dtype="float32")[rng.integers(0, 4, (8, 3))]

encoder_inputs = Input(shape=(None, num_encoder_tokens))
encoder = LSTM(latent_dim, return_state=True, kernel_initializer="identity", recurrent_initializer="identity")
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]

decoder_inputs = Input(shape=(None, num_decoder_tokens))
decoder_lstm = LSTM(latent_dim, return_sequences=True, return_state=True, kernel_initializer="identity", recurrent_initializer="identity")
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = Dense(num_decoder_tokens, activation='softmax', kernel_initializer="identity")
decoder_outputs = decoder_dense(decoder_outputs)

model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer='rmsprop', loss='categorical_crossentropy', metrics=['accuracy'])
model.fit([encoder_input_data, decoder_input_data], decoder_target_data, batch_size=4, epochs=2, validation_split=0.25, shuffle=False, verbose=0)

encoder_model = Model(encoder_inputs, encoder_states)

decoder_state_input_h = Input(shape=(latent_dim,))
decoder_state_input_c = Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_outputs, state_h, state_c = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_states = [state_h, state_c]
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = Model([decoder_inputs] + decoder_states_inputs, [decoder_outputs] + decoder_states)


def decode_sequence(input_seq):
    states_value = encoder_model.predict(input_seq, verbose=0)
    target_seq = np.zeros((1, 1, num_decoder_tokens))
    target_seq[0, 0, 1] = 1.
    out = []
    for _ in range(3):
        output_tokens, h, c = decoder_model.predict([target_seq] + states_value, verbose=0)
        k = np.argmax(output_tokens[0, -1, :])
        out.append(float(output_tokens.sum()))
        target_seq = np.zeros((1, 1, num_decoder_tokens))
        target_seq[0, 0, k] = 1.
        states_value = [h, c]
    return out


for i in range(2):
    print(decode_sequence(encoder_input_data[i:i + 1]))

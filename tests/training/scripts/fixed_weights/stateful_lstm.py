"""A recurrent model that keeps its states between batches beside one that does not: both of one builder, which compiles."""

import numpy as np
from keras.layers import LSTM, Dense
from keras.models import Sequential

batch_size = 2
epochs = 3


def create_model(stateful):
    model = Sequential()
    model.add(
        LSTM(
            3,
            input_shape=(4, 2),
            batch_size=batch_size,
            stateful=stateful,
            kernel_initializer="identity",
            recurrent_initializer="identity",
        )
    )
    model.add(Dense(1, kernel_initializer="ones"))
    model.compile(loss="mse", optimizer="adam")
    return model


rng = np.random.default_rng(0)
x_train, x_test = rng.normal(size=(8, 4, 2)).astype("float32"), rng.normal(size=(4, 4, 2)).astype("float32")
y_train, y_test = x_train.sum((1, 2))[:, None], x_test.sum((1, 2))[:, None]

model_stateful = create_model(stateful=True)
for i in range(epochs):
    model_stateful.fit(
        x_train,
        y_train,
        batch_size=batch_size,
        epochs=1,
        verbose=0,
        validation_data=(x_test, y_test),
        shuffle=False,
    )
    print(model_stateful.predict(x_test, batch_size=batch_size, verbose=0))
    model_stateful.reset_states()
print(model_stateful.predict(x_test, batch_size=batch_size, verbose=0))

model_stateless = create_model(stateful=False)
history = model_stateless.fit(
    x_train,
    y_train,
    batch_size=batch_size,
    epochs=epochs,
    verbose=0,
    validation_data=(x_test, y_test),
    shuffle=False,
)
print(history.history["loss"], history.history["val_loss"])
print(model_stateless.predict(x_test, batch_size=batch_size, verbose=0))

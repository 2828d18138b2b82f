"""A regression with callbacks: it stops early and keeps the best weights."""

import numpy as np
from tensorflow.keras import layers, models
from tensorflow.keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from tensorflow.keras.optimizers import Adam

LEARNING_RATE = 0.01


def load_data(count=240):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, 6)).astype("float32")
    prices = features @ rng.normal(size=6) + 0.3 * rng.normal(size=count)
    return features, prices.astype("float32")


def build_model(units=16):
    model = models.Sequential()
    model.add(layers.Dense(units, activation="relu", input_shape=(6,)))
    model.add(layers.Dense(units, activation="tanh"))
    model.add(layers.Dense(1))
    model.compile(optimizer=Adam(learning_rate=LEARNING_RATE), loss="mse", metrics=["mae"])
    return model


def main():
    features, prices = load_data()
    model = build_model()
    stopping = EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    callbacks = [
        stopping,
        ReduceLROnPlateau(factor=0.5, patience=2),
        ModelCheckpoint("best.keras", save_best_only=True),
    ]
    history = model.fit(
        features, prices, batch_size=16, epochs=30, validation_split=0.25, callbacks=callbacks, verbose=0
    )
    print("epochs:", float(len(history.history["loss"])))
    for name in ("loss", "mae", "val_loss", "val_mae"):
        print(name, history.history[name])
    loss, mae = model.evaluate(features, prices, batch_size=64, verbose=0)
    print("all of it:", float(loss), float(mae))
    print(model.predict(features[:3], verbose=0).tolist())


if __name__ == "__main__":
    main()

import config
from callbacks import BestLoss
from data import Batches, load
from losses import mean_error, weighted_crossentropy
from model import build_model
from tensorflow.keras.callbacks import EarlyStopping
from tensorflow.keras.optimizers import SGD


def main():
    x, y = load(48)
    model = build_model()
    model.compile(
        optimizer=SGD(learning_rate=config.LEARNING_RATE),
        loss=weighted_crossentropy(0.5),
        metrics=["accuracy", mean_error],
    )
    best = BestLoss()
    history = model.fit(
        Batches(x[:32], y[:32]),
        epochs=config.EPOCHS,
        shuffle=False,
        verbose=0,
        validation_data=Batches(x[32:], y[32:]),
        callbacks=[best, EarlyStopping(patience=2)],
    )
    for name, values in sorted(history.history.items()):
        print(name, " ".join(f"{v:.6f}" for v in values))
    model.save_weights("classifier.weights.h5")
    print(f"{float(model.predict(x[:2]).mean()):.6f}")


if __name__ == "__main__":
    main()

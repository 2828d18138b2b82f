from tensorflow.keras.callbacks import Callback


class BestLoss(Callback):
    """Remembers the lowest loss."""

    def __init__(self):
        super().__init__()
        self.best = 1e9

    def on_epoch_end(self, epoch, logs=None):
        self.best = min(self.best, logs["loss"])
        print(f"best {self.best:.6f}")

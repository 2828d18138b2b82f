from tensorflow.keras.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from tensorflow.keras.optimizers import SGD, Adam

RATE = 0.01
PATIENCE = 3


def get_optimizer(name, rate):
    if name == "adam":
        return Adam(learning_rate=rate)
    return SGD(rate, momentum=0.9)


def get_callbacks(patience=PATIENCE):
    callbacks = [EarlyStopping(monitor="val_loss", patience=patience)]
    callbacks.append(ReduceLROnPlateau(factor=0.5, patience=1, min_delta=10.0))
    return callbacks


class Halving(Callback):
    """Halves the learning rate after every epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate * 0.5

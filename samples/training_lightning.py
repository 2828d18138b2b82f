"""Trains a small convolutional network on the digits of MNIST."""

import numpy as np
import copy
import math
import os
from urllib.parse import urljoin
import torch
import torch.nn.functional as F
from torch import Tensor, nn
import lightning as L
from torch.utils.data import DataLoader, TensorDataset

num_classes = 10
batch_size = 128
epochs = 15


class Adam(torch.optim.Adam):
    """Adam as Keras has it: epsilon is added before the second moment is corrected."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, **options):
        super().__init__(params, lr, betas, eps, **options)

    def step(self, closure=None):
        for group in self.param_groups:
            group["steps"] = group.get("steps", 0) + 1
            correction = 1 - group["betas"][1] ** group["steps"]
            group["eps"] = self.defaults["eps"] / math.sqrt(correction)
        return super().step(closure)


def cached_file(name: str, url: str, sha256: str | None = None) -> str:
    """The path of a file in Keras's cache, fetched if it is not there."""
    home = os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras"))
    path = os.path.join(home, "datasets", name)
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        url = urljoin("https://storage.googleapis.com/tensorflow/tf-keras-datasets/", url)
        torch.hub.download_url_to_file(url, path, hash_prefix=sha256)
    return path


def load_mnist(path="mnist.npz"):
    """Digits of 28 x 28 pixels: (images, labels) to train with, and to test with."""
    sha256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
    with np.load(cached_file(path, "mnist.npz", sha256)) as data:
        train = data["x_train"], data["y_train"]
        return train, (data["x_test"], data["y_test"])


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


(x_train, y_train), (x_test, y_test) = load_mnist()
x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
x_test = np.expand_dims(x_test.astype("float32") / 255, -1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),
            nn.Conv2d(32, 64, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(p=0.5), nn.Linear(1600, 10))
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.logits(x), dim=-1)

    def logits(self, x: Tensor) -> Tensor:
        """The outputs before their last activation, which losses are computed from."""
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.features(x)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return self.classifier(x)


model = Net()


class History(L.Callback):
    """Keeps the numbers of every epoch."""

    def __init__(self) -> None:
        self.epochs = {}

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        for name, value in trainer.callback_metrics.items():
            self.epochs.setdefault(name, []).append(value.item())


class LitNet(L.LightningModule):
    """Trains a model: its loss, its metrics, its optimizer."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().__init__()
        self.model = model
        self.optimizer = optimizer

    def step(self, batch: tuple[Tensor, ...], prefix: str = "") -> Tensor:
        """The loss of a batch; what is logged under the prefix is averaged over the samples."""
        x, y = batch
        logits = self.model.logits(x)
        loss = F.cross_entropy(logits, y.flatten())
        logged = {f"{prefix}loss": loss, f"{prefix}accuracy": (logits.argmax(dim=-1) == y.flatten()).float().mean()}
        options = {"on_step": False, "on_epoch": True, "prog_bar": True, "sync_dist": True}
        self.log_dict(logged, batch_size=len(x), **options)
        return loss

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        return self.step(batch)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        self.step(batch, "val_")

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        self.step(batch, "test_")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer


class EarlyStopping(L.Callback):
    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.best_loss, self.waited, self.best_weights = math.inf, 0, None

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        val_loss = trainer.callback_metrics["val_loss"].item()
        if val_loss < self.best_loss:
            self.best_loss, self.waited = val_loss, 0
            self.best_weights = copy.deepcopy(module.model.state_dict())
        else:
            self.waited += 1
        if self.waited >= 2:
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self.best_weights is not None:
            module.model.load_state_dict(self.best_weights)


def evaluate(module: L.LightningModule, loader: DataLoader) -> tuple[float, float]:
    """The loss and the accuracy, averaged over the samples."""
    trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    found = trainer.test(module, loader, verbose=False)[0]
    return found["test_loss"], found["test_accuracy"]


optimizer = Adam(model.parameters(), lr=1e-3)
module = LitNet(model, optimizer)

inputs = torch.as_tensor(x_train, dtype=torch.float32)
targets = torch.as_tensor(y_train, dtype=torch.long)
split = int(len(inputs) * 0.9)
train_loader = DataLoader(TensorDataset(inputs[:split], targets[:split]), batch_size=batch_size, shuffle=True)
val_loader = DataLoader(TensorDataset(inputs[split:], targets[split:]), batch_size=batch_size)
logged = History()
trainer = L.Trainer(
    max_epochs=epochs,
    callbacks=[logged, EarlyStopping()],
    logger=False,
    enable_checkpointing=False,
    num_sanity_val_steps=0,
)
model.train()
trainer.fit(module, train_loader, val_loader)
history = logged.epochs
print("best validation loss:", min(history["val_loss"]))

loss, accuracy = evaluate(
    module,
    DataLoader(
        TensorDataset(torch.as_tensor(x_test, dtype=torch.float32), torch.as_tensor(y_test, dtype=torch.long)),
        batch_size=32,
    ),
)
print(f"test loss {loss:.4f}, accuracy {accuracy:.4f}")
torch.save(model.state_dict(), "digits.pt")

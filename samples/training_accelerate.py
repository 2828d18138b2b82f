"""Trains a small convolutional network on the digits of MNIST."""

import copy
import math
import os
from urllib.parse import urljoin

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, gather_object
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

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


class Logits(nn.Module):
    """What the loss is computed from, as the forward pass of a module, which Accelerate wraps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor):
        return self.model.logits(*inputs)


accelerator = Accelerator(dataloader_config=DataLoaderConfiguration(split_batches=True))


def run_epoch(
    model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer | None = None
) -> tuple[float, float]:
    """One pass over the data, in which the model learns if there is an optimizer.

    Returns the loss and the accuracy, averaged over the samples.
    """
    model.train(optimizer is not None)
    count = 0
    total_loss = total_accuracy = 0.0
    for x, y in tqdm(loader, leave=False, disable=not accelerator.is_main_process):
        with torch.set_grad_enabled(optimizer is not None):
            logits = model(x)
            loss = F.cross_entropy(logits, y.flatten())
        if optimizer is not None:
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
        count += len(x)
        total_loss += loss.item() * len(x)
        total_accuracy += (logits.argmax(dim=-1) == y.flatten()).float().mean().item() * len(x)
    own = (count, total_loss, total_accuracy)
    count, total_loss, total_accuracy = map(sum, zip(*gather_object([own])))
    return total_loss / count, total_accuracy / count


optimizer = Adam(model.parameters(), lr=1e-3)
net, optimizer = accelerator.prepare(Logits(model), optimizer)

inputs = torch.as_tensor(x_train, dtype=torch.float32)
targets = torch.as_tensor(y_train, dtype=torch.long)
split = int(len(inputs) * 0.9)
train_loader = accelerator.prepare(
    DataLoader(TensorDataset(inputs[:split], targets[:split]), batch_size=batch_size, shuffle=True)
)
val_loader = accelerator.prepare(DataLoader(TensorDataset(inputs[split:], targets[split:]), batch_size=batch_size))
best_loss, waited, best_weights = math.inf, 0, None
history = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
for epoch in range(epochs):
    train_loss, train_accuracy = run_epoch(net, train_loader, optimizer)
    val_loss, val_accuracy = run_epoch(net, val_loader)
    accelerator.print(
        f"epoch {epoch + 1}/{epochs}  loss {train_loss:.4f}  accuracy {train_accuracy:.4f}",
        f" val_loss {val_loss:.4f}  val_accuracy {val_accuracy:.4f}",
    )
    history["loss"].append(train_loss)
    history["accuracy"].append(train_accuracy)
    history["val_loss"].append(val_loss)
    history["val_accuracy"].append(val_accuracy)
    if val_loss < best_loss:
        best_loss, waited = val_loss, 0
        best_weights = copy.deepcopy(model.state_dict())
    else:
        waited += 1
    if waited >= 2:
        break
if best_weights is not None:
    model.load_state_dict(best_weights)
print("best validation loss:", min(history["val_loss"]))

loss, accuracy = run_epoch(
    net,
    accelerator.prepare(
        DataLoader(
            TensorDataset(torch.as_tensor(x_test, dtype=torch.float32), torch.as_tensor(y_test, dtype=torch.long)),
            batch_size=32,
        )
    ),
)
print(f"test loss {loss:.4f}, accuracy {accuracy:.4f}")
accelerator.save(model.state_dict(), "digits.pt")

import keras
import numpy as np
from keras import layers


class Net(keras.Model):
    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(units, activation="relu")
        self.out = layers.Dense(1)

    def call(self, x, training=False):
        return self.out(self.hidden(x))


def main():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(32, 6)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    model = Net(8)
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    print(history.history["loss"], history.history["mae"])
    print(model.evaluate(x, y, verbose=0))
    print(model.predict(x[:2], verbose=0))


if __name__ == "__main__":
    main()
# output
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Net(nn.Module):
    def __init__(self, units: int = 8) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, units)
        self.out = nn.Linear(units, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.hidden(x)))


def run_epoch(
    model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer | None = None
) -> tuple[float, float]:
    """One pass over the data, in which the model learns if there is an optimizer.

    Returns the loss and the mae, averaged over the samples.
    """
    device = next(model.parameters()).device
    model.train(optimizer is not None)
    count = 0
    total_loss = total_mae = 0.0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        with torch.set_grad_enabled(optimizer is not None):
            output = model(x)
            loss = F.mse_loss(output, y.view_as(output))
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        count += len(x)
        total_loss += loss.item() * len(x)
        total_mae += F.l1_loss(output, y.view_as(output)).item() * len(x)
    return total_loss / count, total_mae / count


def predict(model: nn.Module, x, batch_size: int = 32) -> np.ndarray:
    """What the model makes of `x`, in inference mode."""
    device = next(model.parameters()).device
    model.eval()
    batches = torch.as_tensor(x, dtype=torch.float32).split(batch_size)
    with torch.no_grad():
        return torch.cat([model(batch.to(device)).cpu() for batch in batches]).numpy()


def main():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(32, 6)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    model = Net(8)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train_loader = DataLoader(
        TensorDataset(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)),
        batch_size=8,
        shuffle=True,
    )
    history = {"loss": [], "mae": []}
    for epoch in range(2):
        train_loss, train_mae = run_epoch(model, train_loader, optimizer)
        history["loss"].append(train_loss)
        history["mae"].append(train_mae)
    print(history["loss"], history["mae"])
    print(
        run_epoch(
            model,
            DataLoader(
                TensorDataset(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)),
                batch_size=32,
            ),
        )
    )
    print(predict(model, x[:2]))


if __name__ == "__main__":
    main()
# findings
# note 6:1 K2T304 assumed-argument: Net is converted for inputs of shape (None, 6)

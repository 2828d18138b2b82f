import keras
import numpy as np
from keras.layers import Dense, Input


class Trainer:
    def __init__(self, units):
        self.units = units
        self.model = None

    def build(self):
        inputs = Input((6,))
        h = Dense(self.units)(inputs)
        self.model = keras.Model(inputs, Dense(1)(h))
        self.model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")

    def train(self, x, y):
        self.model.fit(x, y, epochs=2, verbose=0)


def train(x, y, units=4, epochs=2):
    model = keras.Sequential([Input((6,)), Dense(units, activation="relu"), Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    x = rng.normal(size=(32, 6)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    trainer = Trainer(4)
    trainer.build()
    trainer.train(x, y)
    train(x, y, 8)

    # one model for each size
    scores = []
    for units in (4, 8):
        model = keras.Sequential([Input((6,)), Dense(units), Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        if scores:
            model.fit(x, y, epochs=2, verbose=0)
        scores.append(model.evaluate(x, y, verbose=0))
    print(scores)
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


def run_model_epoch(model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer | None = None) -> float:
    """One pass over the data, in which the model learns if there is an optimizer.

    Returns the loss, averaged over the samples.
    """
    device = next(model.parameters()).device
    model.train(optimizer is not None)
    count = 0
    total_loss = 0.0
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
    return total_loss / count


class Net(nn.Module):
    def __init__(self, units) -> None:
        super().__init__()
        self.dense1 = nn.Linear(6, units)
        self.dense2 = nn.Linear(units, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense2(self.dense1(x))


class Trainer:
    def __init__(self, units):
        self.units = units
        self.model = None

    def build(self):
        self.model = Net(self.units)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.model_optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def train(self, x, y):
        train_loader = DataLoader(
            TensorDataset(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)),
            batch_size=32,
            shuffle=True,
        )
        for epoch in range(2):
            run_model_epoch(self.model, train_loader, self.model_optimizer)


class Net2(nn.Module):
    def __init__(self, units: int = 4) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Linear(6, units), nn.ReLU(), nn.Linear(units, 1))
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x)


def train(x, y, units=4, epochs=2):
    model = Net2(units=units)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    model_optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train_loader = DataLoader(
        TensorDataset(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)),
        batch_size=32,
        shuffle=True,
    )
    for epoch in range(epochs):
        run_model_epoch(model, train_loader, model_optimizer)
    return model


class Net3(nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.dense1 = nn.Linear(6, units)
        self.dense2 = nn.Linear(units, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense2(self.dense1(x))


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    x = rng.normal(size=(32, 6)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    trainer = Trainer(4)
    trainer.build()
    trainer.train(x, y)
    train(x, y, 8)

    # one model for each size
    scores = []
    for units in (4, 8):
        model = Net3(units)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        model_optimizer2 = torch.optim.SGD(model.parameters(), lr=0.01)
        if scores:
            train_loader = DataLoader(
                TensorDataset(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)),
                batch_size=32,
                shuffle=True,
            )
            for epoch in range(2):
                run_model_epoch(model, train_loader, model_optimizer2)
        scores.append(
            run_model_epoch(
                model,
                DataLoader(
                    TensorDataset(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)),
                    batch_size=32,
                ),
            )
        )
    print(scores)

#!/usr/bin/env python
"""What is not the model stays as it is."""

import argparse  # for the command line
import os

import numpy as np
from keras.layers import Dense, Dropout
from keras.models import Sequential

# where the data is
DATA = os.environ.get("DATA", ".")


def load(name):
    # one array a file
    return np.load(os.path.join(DATA, name))


# the model
model = Sequential()
model.add(Dense(32, input_dim=20, activation="relu"))  # features
model.add(Dropout(0.3))
model.add(Dense(1))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="x.npy")
    print(load(parser.parse_args().name).shape)
# output
#!/usr/bin/env python
"""What is not the model stays as it is."""

import argparse  # for the command line
import os

import numpy as np
from torch import Tensor, nn

# where the data is
DATA = os.environ.get("DATA", ".")


def load(name):
    # one array a file
    return np.load(os.path.join(DATA, name))


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(p=0.3), nn.Linear(32, 1))
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x)


# the model
model = Net()

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="x.npy")
    print(load(parser.parse_args().name).shape)

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

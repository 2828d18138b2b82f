"""Saves models under real Keras: `python saving.py FILE GENERATION FOLDER JSON`, a list of {entry, shapes, name}.

For each, FOLDER/NAME has the files that this Keras writes and `values.npz`: inputs and outputs.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path

import numpy as np

from transpiler.verify import live

KINDS = {"whole.h5": "save", "whole.keras": "save", "only.weights.h5": "save_weights", "only.h5": "save_weights"}
TENSORFLOWS = {"checkpoint/ckpt": "save_weights", "saved_model": "save"}
"""What legacy Keras writes besides; of a few models the second, which takes long."""


def main(file: str, generation: str, folder: str, models: str) -> None:
    keras = live.import_framework(generation)
    warnings.simplefilter("ignore")
    spec = importlib.util.spec_from_file_location("nets", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["nets"] = module
    spec.loader.exec_module(module)
    for model in json.loads(models):
        keras.backend.clear_session()
        for layer in (keras.layers.Dense, keras.layers.Dense, keras.layers.BatchNormalization):  # names count these
            layer(1) if layer is keras.layers.Dense else layer()
        target = Path(folder) / model["name"]
        target.mkdir(parents=True)
        save(keras, eval(model["entry"], vars(module)), model, target)


def save(keras, model, how: dict, target: Path) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(3)
    xs = [draw(rng, s, "int" in how["name"]) for s in how["shapes"]]
    given = xs[0] if len(xs) == 1 else xs
    model(given)
    for layer in live.all_layers(model):
        if hasattr(layer, "stddev"):
            layer.stddev = 0.0
    for weight in model.weights:
        value = weight.numpy()
        if value.dtype.kind == "f":
            drawn = rng.uniform(0.3, 1.2, value.shape) if "var" in weight.name else 0.5 * rng.normal(size=value.shape)
            weight.assign(drawn)
    if how["train"]:
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(given, np.zeros((len(xs[0]), 1)), verbose=0)
    outputs = tf.nest.flatten(model(given))
    values = {f"x{i}": x for i, x in enumerate(xs)} | {f"y{i}": np.asarray(y) for i, y in enumerate(outputs)}
    np.savez(target / "values.npz", **values)
    for name, method in KINDS.items():
        try:
            getattr(model, method)(str(target / name))
        except (ValueError, NotImplementedError):  # not a kind that this Keras writes for such a model
            (target / name).unlink(missing_ok=True)
    if hasattr(keras.layers, "ThresholdedReLU"):  # legacy Keras
        for name in list(TENSORFLOWS)[: 1 + how["saved_model"]]:
            getattr(model, TENSORFLOWS[name])(str(target / name))


def draw(rng: np.random.Generator, shape: list[int], ids: bool) -> np.ndarray:
    return rng.integers(0, 5, (3, *shape)) if ids else rng.normal(size=(3, *shape)).astype("float32")


if __name__ == "__main__":
    main(*sys.argv[1:])

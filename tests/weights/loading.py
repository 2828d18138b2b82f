"""Loads files under real Keras: `python loading.py SOURCE GENERATION JSON`, a list of {entry, file, values, out}.

Of each, OUT has the outputs of the model for the inputs in VALUES after it has loaded the weights of FILE.
"""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np

from transpiler.verify import live


def main(source: str, generation: str, rows: str) -> None:
    keras = live.import_framework(generation)
    import tensorflow as tf

    spec = importlib.util.spec_from_file_location("nets", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules["nets"] = module
    spec.loader.exec_module(module)
    for row in json.loads(rows):
        model = eval(row["entry"], vars(module))
        values = np.load(row["values"])
        xs = [values[f"x{i}"] for i in range(sum(k.startswith("x") for k in values.files))]
        given = xs[0] if len(xs) == 1 else xs
        model(given)
        if row["file"].endswith(".keras") and hasattr(keras.models, "load_model"):
            model = keras.models.load_model(row["file"], custom_objects=vars(module), compile=False)
        else:
            model.load_weights(row["file"])
        outputs = tf.nest.flatten(model(given))
        np.savez(row["out"], **{f"y{i}": np.asarray(y) for i, y in enumerate(outputs)})


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Writes the public names of the installed Keras and tf_keras to `transpiler/rules/public_names.json`.

python benchmarks/keras_names.py
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

TARGET = Path(__file__).resolve().parent.parent / "transpiler" / "rules" / "public_names.json"
FAMILIES = (
    *("layers", "activations", "initializers", "regularizers", "constraints", "ops", "ops.image", "random", "backend"),
    *("optimizers", "optimizers.schedules", "optimizers.legacy", "losses", "metrics", "callbacks"),
)


def exported(module: ModuleType | None) -> set[str]:
    """The public classes and functions of a module."""
    return {n for n in dir(module) if not n.startswith("_") and callable(getattr(module, n))} if module else set()


def public_names() -> dict[str, dict[str, list[str]]]:
    """Generation → family → names, sorted."""
    import keras
    import tf_keras
    from keras._tf_keras.keras import backend as legacy  # what `tf.keras.backend` is

    found: dict[str, dict[str, list[str]]] = {}
    for library in (keras, tf_keras):
        names: dict[str, set[str]] = {}
        for family in FAMILIES:
            module = library
            for part in family.split("."):
                module = getattr(module, part, None)
            names[family] = exported(module)
        if library is keras:
            names["backend"] |= exported(legacy)
        version = ".".join(library.__version__.split(".")[:2])
        found[f"{library.__name__} {version}"] = {k: sorted(v) for k, v in names.items() if v}
    return found


if __name__ == "__main__":
    TARGET.write_text(json.dumps(public_names(), indent=1) + "\n", encoding="utf-8")

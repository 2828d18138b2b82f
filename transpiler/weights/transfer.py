"""Moving arrays between a file of Keras and the state dict of the result, both ways."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Severity
from transpiler.files import write_atomic
from transpiler.ir.saved import SavedLayer
from transpiler.ir.weights import apply_transform
from transpiler.weights.checkpoint import prefix_of
from transpiler.weights.errors import Unsupported
from transpiler.weights.found import Fit, Found, Key
from transpiler.weights.layers import find_layers
from transpiler.weights.legacy import find_legacy
from transpiler.weights.objects import find_objects
from transpiler.weights.opening import MEMBER, is_archive
from transpiler.weights.stored import Content, LegacyFile, ObjectsFile
from transpiler.weights.target import Target

if TYPE_CHECKING:
    import numpy as np


def find(content: Content, root: SavedLayer, keys: Sequence[Key]) -> Found:
    """What a file has for the variables of the model."""
    fit = Fit(keys)
    if isinstance(content, LegacyFile):
        found = find_legacy(content, root, fit)
    elif isinstance(content, ObjectsFile):
        found = find_objects(content, root, fit)
    else:
        found = find_layers(content, root, fit)
    if content.left_out:
        found.say("K2T706", f"left out, as it is of training: {', '.join(content.left_out)}", "", Severity.NOTE)
    planned = {(v.unit, v.source) for chain in root.holders() for v in chain[-1].variables}
    for place, asking in fit.keys.items():
        if place[1] and place not in planned:  # held by nothing that Keras saves
            found.missing(place[1], asking)
    return found


def state_of(target: Target, found: Found) -> dict[str, np.ndarray]:
    """The state dict: every key with its value, in the order of the result. All variables have to be found."""
    import numpy as np

    read: dict[int, Any] = {}
    state: dict[str, np.ndarray] = {}
    for key in target.keys:
        array = None
        if key.source:
            stored = found.arrays[key.unit, key.source]
            array = read.setdefault(id(stored), None)
            if array is None:
                array = read[id(stored)] = np.asarray(stored.read())
        value = target.kept[key.name] if key.name in target.kept else apply_transform(array, key.transform, key.shape)
        state[key.name] = np.array(value, dtype=key.dtype, order="C")
    return state


def map_of(target: Target, found: Found) -> dict[str, Any]:
    """Every key with where its value comes from, for people to review."""
    rows: list[dict[str, Any]] = []
    for key in target.keys:
        row: dict[str, Any] = {"torch": key.name, "shape": list(key.shape)}
        stored = found.arrays.get((key.unit, key.source))
        if stored is not None:
            unit = target.plan.units[key.unit]
            row |= {"keras": stored.path, "keras_shape": list(stored.shape), "transform": key.transform}
            row |= {"layer": unit.keras_class, "name": unit.name, "variable": key.source}
            row |= {"line": unit.span.line, "file": unit.span.file} if unit.span else {}
        elif key.transform:
            row["constant"] = key.transform[0][1]
        elif not key.source:
            row["kept"] = "as the result starts"
        rows.append(row)
    return {"entry": target.plan.expression, "parameters": rows, "unused": [a.path for a in found.unused]}


def check_state(state: Mapping[str, Any], target: Target, found: Found) -> None:
    """Says which keys a state dict lacks, has too many, or has in another shape."""
    advice = "Name the model that the state dict is of with --entry."
    keys = {key.name: key for key in target.keys}
    for name in keys.keys() - state.keys():
        found.say("K2T703", f"the state dict has no {name} {keys[name].shape}", advice)
    for name in state.keys() - keys.keys():
        found.say("K2T704", f"the result has no {name} {tuple(state[name].shape)}", advice)
    for name in keys.keys() & state.keys():
        if tuple(state[name].shape) != keys[name].shape:
            found.say("K2T707", f"{name} is {tuple(state[name].shape)}, and {keys[name].shape} in the result", advice)


def arrays_for(state: Mapping[str, Any], target: Target, found: Found) -> dict[str, np.ndarray]:
    """Path in the file → its new values. Says of values that Keras has no place for."""
    import numpy as np

    new: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key in target.keys:
        value = np.asarray(state[key.name])
        if key.transform and key.transform[0][0] == "fill":
            if not np.array_equal(value, np.full(key.shape, key.transform[0][1])):
                message = f"{key.name} is {key.transform[0][1]} in Keras, and cannot be set to other values"
                found.say("K2T707", message, "Freeze it in training.")
            continue
        if not key.source:
            continue
        stored = found.arrays[key.unit, key.source]
        if stored.path not in new:
            new[stored.path] = np.array(stored.read()), np.zeros(stored.shape, bool)
        array, written = new[stored.path]
        # every transform but `fill` moves elements, so that what it does to their numbers says where each goes
        numbers = apply_transform(np.arange(array.size).reshape(stored.shape), key.transform, key.shape)
        cast = value.astype(array.dtype)
        if (written.flat[numbers] & (array.flat[numbers] != cast)).any():
            found.say("K2T707", f"{key.name} is the same variable as another key, and has other values")
        array.flat[numbers], written.flat[numbers] = cast, True
    return {path: array for path, (array, _) in new.items()}


def write_keras(layout: Path, target: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `target`: the file `layout` with other values. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="keras2torch-") as folder:
        copy = Path(folder) / "copy"
        if not is_archive(layout):
            shutil.copyfile(layout, copy)
            fill_hdf5(copy, arrays)
        else:
            with zipfile.ZipFile(layout) as old, zipfile.ZipFile(copy, "w") as new:
                for info in old.infolist():
                    data = old.read(info)
                    if info.filename == MEMBER:
                        inner = Path(folder) / "weights"
                        inner.write_bytes(data)
                        fill_hdf5(inner, arrays)
                        data = inner.read_bytes()
                    new.writestr(info, data)
        write_atomic(target, copy.read_bytes())


def fill_hdf5(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
        for where, array in arrays.items():
            root[where][...] = array


def check_writable(layout: Path, found: Found) -> None:
    """Raises Unsupported for a checkpoint, and for a file in a form of other times."""
    if prefix_of(layout) is not None:
        raise Unsupported(layout, "a checkpoint of TensorFlow is not written")
    if any(a.computed or a.dtype == "bfloat16" for a in found.arrays.values()):
        raise Unsupported(layout, "its weights are in a form that is not written")

"""Files of Keras 1 and of layers that ran in cuDNN: what legacy Keras loads from them is what the result gets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from transpiler.commands.common import ReadingOptions
from transpiler.commands.weights import prepared
from transpiler.pipeline import convert_file
from transpiler.weights.opening import opened
from transpiler.weights.transfer import find, state_of

SOURCE = """
import keras
from keras import layers

def images():
    i = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(i))
    x = layers.Conv2D(5, (2, 3))(x)
    return keras.Model(i, layers.Dense(2, name="head")(layers.Flatten()(x)))

def texts():
    i = keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(i)
    x = layers.TimeDistributed(layers.Dense(4))(x)
    x = layers.GRU(4, return_sequences=True, reset_after=False)(x)
    x = layers.SimpleRNN(4, return_sequences=True)(x)
    return keras.Model(i, layers.LSTM(4)(layers.Conv1D(3, 2)(x)))

def fast():
    i = keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(i)
    return keras.Model(i, layers.GRU(4)(layers.LSTM(5, return_sequences=True)(x)))
"""


def gates(names: str, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    """A kernel, a recurrent kernel and a bias for every gate."""
    kinds = {"W": (inputs, units), "U": (units, units), "b": (units,)}
    return {f"{kind}_{gate}": shape for gate in names for kind, shape in kinds.items()}


IMAGES = {
    "convolution2d_1": {"W": (3, 3, 3, 4), "b": (4,)},
    "batchnormalization_1": {"gamma": (4,), "beta": (4,), "running_mean": (4,), "running_std": (4,)},
    "convolution2d_2": {"W": (2, 3, 4, 5), "b": (5,)},
    "head": {"W": (30, 2), "b": (2,)},
}
TEXTS = {
    "bidirectional_1": {
        **{f"forward_{k}": s for k, s in gates("icfo", 4, 3).items()},
        **{f"backward_{k}": s for k, s in gates("icfo", 4, 3).items()},
    },
    "timedistributed_1": {"W": (6, 4), "b": (4,)},
    "gru_1": gates("zrh", 4, 4),
    "simplernn_1": {"W": (4, 4), "U": (4, 4), "b": (4,)},
    "convolution1d_1": {"W": (2, 1, 4, 3), "b": (3,)},
    "lstm_2": gates("icfo", 3, 4),
}
FAST = {
    "bidirectional_1": {
        f"bidirectional_1/{way}_cu_dnnlstm/{name}:0": shape
        for way in ("forward", "backward")
        for name, shape in {"kernel": (4, 12), "recurrent_kernel": (3, 12), "bias": (24,)}.items()
    },
    "cu_dnnlstm_1": {
        f"cu_dnnlstm_1/{n}:0": s for n, s in {"kernel": (6, 20), "recurrent_kernel": (5, 20), "bias": (40,)}.items()
    },
    "cu_dnngru_1": {
        f"cu_dnngru_1/{n}:0": s for n, s in {"kernel": (5, 12), "recurrent_kernel": (4, 12), "bias": (24,)}.items()
    },
}
CASES = {"images()": (IMAGES, None), "texts()": (TEXTS, None), "fast()": (FAST, b"2.1.6")}


def write(path: Path, layers: dict[str, dict[str, tuple[int, ...]]], version: bytes | None) -> None:
    rng = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(n.encode() for n in layers)]
        file.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        if version:
            file.attrs["keras_version"], file.attrs["backend"] = version, b"tensorflow"
        for name, weights in layers.items():
            group = file.create_group(name)
            names = [w if "/" in w else f"{name}_{w}" for w in weights]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for n, (w, shape) in zip(names, weights.items()):
                group[n] = rng.uniform(0.3, 1, shape) if "std" in w else 0.5 * rng.normal(size=shape)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source, the files, and what legacy Keras computes with them."""
    folder = tmp_path_factory.mktemp("old")
    (folder / "nets.py").write_text(SOURCE)
    rows = []
    for entry, (layers, version) in CASES.items():
        name = folder / entry.removesuffix("()")
        write(name.with_suffix(".h5"), layers, version)
        shape = (2, 6, 6, 3) if entry == "images()" else (2, 5, 4)
        np.savez(f"{name}.npz", x0=np.random.default_rng(1).normal(size=shape).astype("float32"))
        rows.append({"entry": entry, "file": f"{name}.h5", "values": f"{name}.npz", "out": f"{name}.out.npz"})
    command = [
        sys.executable,
        str(Path(__file__).with_name("loading.py")),
        str(folder / "nets.py"),
        "tf_keras",
        json.dumps(rows),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("entry", CASES)
def test_an_old_file_gives_what_legacy_keras_makes_of_it(loaded, entry):
    name, source = loaded / entry.removesuffix("()"), loaded / "nets.py"
    target = prepared(source, ReadingOptions((entry,), None, "tf_keras"))
    with opened(name.with_suffix(".h5")) as content:
        found = find(content, target.plan.saved, target.keys)
        assert [f.message for f in found.findings] == []
        state = state_of(target, found)
    names: dict[str, object] = {}
    exec(convert_file(source, entries=[entry], generation="tf_keras").modules[0].text, names)
    model = eval(entry, names).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=True)
    with torch.no_grad():
        y = model(torch.from_numpy(np.load(f"{name}.npz")["x0"])).numpy()
    wanted = np.load(f"{name}.out.npz")["y0"]
    assert np.abs(y - wanted).max() < 1e-5 * np.abs(wanted).max()

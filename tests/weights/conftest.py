"""Files of weights that real Keras has saved, and the results that they are for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from transpiler.commands.common import ReadingOptions
from transpiler.commands.weights import prepared
from transpiler.pipeline import convert_file
from transpiler.verify.torch_model import flatten
from transpiler.weights.target import Target

HERE = Path(__file__).parent
NETS = HERE / "nets.py"
MODELS = {
    "plain()": [(12, 12, 3)],
    "out_of_order()": [(8, 8, 3), (8, 8, 3)],
    "operators()": [(8, 8, 3)],
    "nested()": [(6,)],
    "frozen_base()": [(8, 8, 3)],
    "wrapped()": [(5, 6)],
    "attention()": [(7,)],
    "recurrent()": [(5, 4)],
    "custom()": [(6,)],
    "assorted()": [(8, 8, 4)],
    "trained()": [(6,)],
    "Net()": [(4,)],
    "Graph(3)": [(6,)],
    "sequence()": [(6,)],
}
"""The entries of `nets.py`, with the shapes of their inputs."""

IDS = ("attention()",)
"""Those that take integers."""


SAVED_MODELS = ("nested()", "custom()", "trained()", "Net()")
"""Those of which there is a SavedModel as well."""


@dataclass(frozen=True)
class Saved:
    """The files of one model, with inputs and outputs; and how it is converted."""

    entry: str
    generation: str
    shapes: list[tuple[int, ...]]
    folder: Path
    source: Path

    @property
    def files(self) -> list[Path]:
        return sorted(p for p in self.folder.iterdir() if p.suffix in (".h5", ".keras"))

    @property
    def checkpoints(self) -> list[Path]:
        """What legacy Keras has written in the formats of TensorFlow."""
        return [p for p in (self.folder / "checkpoint", self.folder / "saved_model") if p.is_dir()]

    def arguments(self, file: Path, out: Path, *options: str) -> list[str]:
        """The command line that brings a file to the result."""
        shapes = [f"--input-shape={','.join(map(str, s))}" for s in self.shapes if self.entry == "Net()"]
        given = ["--entry", self.entry, "--keras", self.generation, *shapes, *options]
        return ["weights", str(self.source), str(file), "-o", str(out), *given]

    def target(self) -> Target:
        shapes = tuple(",".join(map(str, s)) for s in self.shapes if self.entry == "Net()")
        return prepared(self.source, ReadingOptions((self.entry,), None, self.generation, shapes=shapes))

    def model(self) -> torch.nn.Module:
        """The result with its own initial weights, for inference."""
        shapes = [(3, *s) for s in self.shapes if self.entry == "Net()"]
        done = convert_file(self.source, entries=[self.entry], generation=self.generation, shapes=shapes)
        module = types.ModuleType(self.source.stem)
        exec(compile(done.modules[0].text, self.source.name, "exec"), vars(module))
        with pytest.MonkeyPatch.context() as patch:  # an entry of its own is found by the name of the module
            patch.setitem(sys.modules, self.source.stem, module)
            return eval(done.entries[0].torch_expression, vars(module)).eval()

    def error(self, model: torch.nn.Module, state: dict[str, np.ndarray]) -> float:
        """How far outputs with these weights are from those of Keras, relative to their size."""
        model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=True)
        values = np.load(self.folder / "values.npz")
        with torch.no_grad():
            found = flatten(model(*(torch.from_numpy(values[f"x{i}"]) for i in range(len(self.shapes)))))
        wanted = [values[f"y{i}"] for i in range(len(found))]
        return max(float(np.abs(f.numpy() - w).max() / np.abs(w).max()) for f, w in zip(found, wanted))


def save_all(generation: str, folder: Path, source: Path, models: dict[str, list[tuple[int, ...]]]) -> dict[str, Saved]:
    """Saves models of a source under real Keras, in one process: entry → its files."""
    names = {entry: re.sub(r"\W+", "_", entry).strip("_") + "_ints" * (entry in IDS) for entry in models}
    rows = [
        {"entry": e, "shapes": s, "name": names[e], "train": e == "trained()", "saved_model": e in SAVED_MODELS}
        for e, s in models.items()
    ]
    command = [sys.executable, str(HERE / "saving.py"), str(source), generation, str(folder), json.dumps(rows)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return {e: Saved(e, generation, s, folder / names[e], source) for e, s in models.items()}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Saved]:
    """`saved(entry, generation)`: the files of one of `MODELS`."""
    known: dict[str, dict[str, Saved]] = {}

    def files_of(entry: str, generation: str) -> Saved:
        if generation not in known:
            known[generation] = save_all(generation, tmp_path_factory.mktemp("saved"), NETS, MODELS)
        return known[generation][entry]

    return files_of

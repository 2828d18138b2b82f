"""Weights of the result go back into files that real Keras loads, and it computes with them what torch does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from transpiler.cli import main
from transpiler.verify.torch_model import flatten
from transpiler.weights.opening import opened
from transpiler.weights.transfer import arrays_for, find, write_keras

ENTRIES = ["plain()", "nested()", "wrapped()", "custom()", "recurrent()", "Net()"]


def drawn(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Other weights for a model; what Keras holds fixed stays."""
    generator = torch.Generator().manual_seed(1)
    fixed = {k for k, p in model.named_parameters() if not p.requires_grad and len(p.unique()) == 1}
    return {
        k: v if k in fixed or not v.is_floating_point() else torch.rand(v.shape, generator=generator) * 0.5 + 0.1
        for k, v in model.state_dict().items()
    }


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_keras_loads_what_was_written_and_computes_the_same(saved, tmp_path, generation):
    rows, wanted = [], {}
    for entry in ENTRIES:
        net = saved(entry, generation)
        model = net.model()
        state = drawn(model)
        model.load_state_dict(state)
        target = net.target()
        values = np.load(net.folder / "values.npz")
        with torch.no_grad():
            outputs = flatten(model(*(torch.from_numpy(values[f"x{i}"]) for i in range(len(net.shapes)))))
        for file in net.files:
            new = tmp_path / f"{len(rows)}.{file.name}"
            with opened(file) as content:
                found = find(content, target.plan.saved, target.keys)
                arrays = arrays_for({k: v.numpy() for k, v in state.items()}, target, found)
                assert not found.failed
            write_keras(file, new, arrays)
            out = tmp_path / f"{new.name}.npz"
            wanted[out] = [y.numpy() for y in outputs]
            rows.append({"entry": entry, "file": str(new), "values": str(net.folder / "values.npz"), "out": str(out)})
    command = [
        sys.executable,
        str(Path(__file__).with_name("loading.py")),
        str(net.source),
        generation,
        json.dumps(rows),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for out, ys in wanted.items():
        found = np.load(out)
        for i, y in enumerate(ys):
            assert np.abs(found[f"y{i}"] - y).max() < 1e-5 * np.abs(y).max(), out.name


def test_there_and_back_is_the_same_state(saved, tmp_path):
    net = saved("plain()", "keras3")
    (file,) = [f for f in net.files if f.name == "whole.h5"]
    first, new, second = (tmp_path / n for n in ("a.safetensors", "b.h5", "c.safetensors"))
    assert main(net.arguments(file, first)) == 0
    assert main(net.arguments(file, new, "--reverse", str(first))) == 0
    assert main(net.arguments(new, second)) == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_state_that_does_not_fit_is_listed_and_nothing_is_written(saved, tmp_path, capfd):
    net = saved("sequence()", "keras3")
    state = dict(net.model().state_dict())
    first, *_, last = state
    state["other"] = state.pop(first)
    state[last] = torch.zeros(7)
    save_file(state, tmp_path / "s.safetensors")
    new = tmp_path / "new.h5"
    assert main(net.arguments(net.folder / "whole.h5", new, "--reverse", str(tmp_path / "s.safetensors"))) == 2
    said = capfd.readouterr().err
    assert all(code in said for code in ("K2T703", "K2T704", "K2T707")) and "(7,)" in said
    assert not new.exists()


def test_what_keras_holds_fixed_cannot_be_written(saved, tmp_path, capfd):
    net = saved("wrapped()", "keras3")
    state = dict(net.model().state_dict())
    fixed = next(k for k in state if k.endswith("bias_hh_l0") and not state[k].any())
    state[fixed] = torch.ones_like(state[fixed])
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "s.safetensors")
    new = tmp_path / "new.h5"
    assert main(net.arguments(net.folder / "whole.h5", new, "--reverse", str(tmp_path / "s.safetensors"))) == 2
    assert fixed in capfd.readouterr().err and not new.exists()


def test_a_file_of_torch_save_is_not_read(saved, tmp_path, capfd):
    net = saved("sequence()", "keras3")
    torch.save(net.model().state_dict(), tmp_path / "s.pt")
    assert main(net.arguments(net.folder / "whole.h5", tmp_path / "n.h5", "--reverse", str(tmp_path / "s.pt"))) == 2
    said = capfd.readouterr().err
    assert "K2T702" in said and "safetensors" in said


def test_the_map_names_both_sides(saved, tmp_path):
    net = saved("plain()", "tf_keras")
    map_file, out = tmp_path / "map.json", tmp_path / "s.safetensors"
    assert main(net.arguments(net.folder / "whole.h5", out, "--map", str(map_file))) == 0
    data = json.loads(map_file.read_text())
    assert [row["torch"] for row in data["parameters"]] == list(net.model().state_dict())
    stem = next(row for row in data["parameters"] if row.get("name") == "stem" and row["variable"] == "kernel")
    assert (
        stem["keras"] == "stem/stem/kernel:0" and stem["keras_shape"] == [3, 3, 3, 4] and stem["shape"] == [4, 3, 3, 3]
    )
    assert stem["transform"] == [["permute", [3, 2, 0, 1]]] and stem["layer"] == "Conv2D"
    assert {row["torch"].rpartition(".")[2] for row in data["parameters"] if "kept" in row} == {"num_batches_tracked"}
    assert set(load_file(out)) == {row["torch"] for row in data["parameters"]}

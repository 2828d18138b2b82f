"""Checkpoints and SavedModels of TensorFlow: read without it, strictly, and with the outputs of Keras."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from transpiler.cli import main
from transpiler.diagnostics import Declined, Severity
from transpiler.ir.model import KERAS2
from transpiler.weights import checksums
from transpiler.weights.checkpoint import latest
from transpiler.weights.opening import opened
from transpiler.weights.tables import unsnapped
from transpiler.weights.target import Target
from transpiler.weights.transfer import find, state_of

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from conftest import MODELS, SAVED_MODELS  # noqa: E402

QUICK = ("nested()", "operators()", "wrapped()", "custom()", "trained()", "Net()")
SMALL = """
import keras
from keras import layers

def small(units=4):
    i = keras.Input((3,))
    inner = keras.Sequential([keras.Input((units,)), layers.Dense(units, name="inside")])
    return keras.Model(i, layers.Dense(2, name="head")(inner(layers.Dense(units)(i))))
"""


@pytest.mark.parametrize("entry", [e if e in QUICK else pytest.param(e, marks=pytest.mark.slow) for e in MODELS])
def test_checkpoints_load_strictly_and_compute_the_same(saved, entry):
    net = saved(entry, KERAS2)
    assert len(net.checkpoints) == 1 + (entry in SAVED_MODELS)
    target, model = net.target(), net.model()
    for file in net.checkpoints:
        with opened(file) as content:
            found = find(content, target.plan.saved, target.keys)
            assert [f.message for f in found.findings if f.severity > Severity.NOTE] == [], file.name
            assert net.error(model, state_of(target, found)) < 1e-5, file.name


@pytest.mark.parametrize(
    "name", ["checkpoint", "checkpoint/checkpoint", "checkpoint/ckpt", "checkpoint/ckpt.index", "saved_model"]
)
def test_a_checkpoint_is_named_by_any_of_its_files(saved, tmp_path, name):
    net, out, places = saved("trained()", KERAS2), tmp_path / "out.safetensors", tmp_path / "map.json"
    assert main(net.arguments(net.folder / name, out, "--map", str(places))) == 0
    assert len(load_file(out)) == 9
    paths = [row["keras"] for row in json.loads(places.read_text())["parameters"] if "keras" in row]
    assert sorted(paths)[0] == "layer_with_weights-0/bias"


def test_the_state_stands_beside_the_checkpoint(saved, tmp_path):
    net = saved("nested()", KERAS2)
    shutil.copytree(net.folder / "checkpoint", tmp_path / "run")
    arguments = net.arguments(tmp_path / "run" / "ckpt.data-00000-of-00001", tmp_path)
    assert main([a for a in arguments if a not in ("-o", str(tmp_path))]) == 0
    assert (tmp_path / "run" / "ckpt.safetensors").is_file()


def test_weights_of_another_model_are_named_on_both_sides(saved, tmp_path, capfd):
    net, other = saved("nested()", KERAS2), saved("trained()", KERAS2)
    assert main(net.arguments(other.folder / "checkpoint", tmp_path / "out.safetensors")) == 2
    said = capfd.readouterr().err
    assert "K2T703" in said and "K2T704" in said and "layer_with_weights-2/kernel (4, 1)" in said
    assert not (tmp_path / "out.safetensors").exists()


def test_nothing_is_written_into_a_checkpoint(saved, tmp_path, capfd):
    net, state = saved("nested()", KERAS2), tmp_path / "s.safetensors"
    assert main(net.arguments(net.folder / "checkpoint", state)) == 0
    for file in net.checkpoints:
        assert main(net.arguments(file, tmp_path / "new", "--reverse", str(state))) == 2
        assert "K2T702" in capfd.readouterr().err and not (tmp_path / "new").exists()


# --- what programs write themselves ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    done = subprocess.run([sys.executable, HERE / "saving_others.py", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "net.py").write_text(SMALL)
    return folder


@pytest.mark.parametrize("name", ["slots", "managed", "two", "names"])
def test_a_model_among_other_objects_and_by_names_alone(others, tmp_path, name):
    out = tmp_path / "out.safetensors"
    file = others / name / "ckpt" if name in ("two", "alike") else others / name
    assert main(["weights", str(others / "net.py"), str(file), "-o", str(out), "--entry", "small()"]) == 0
    state = {k: v for k, v in load_file(out).items()}
    for name, array in np.load(others / "values.npz").items():
        assert any(np.array_equal(v, array.T) for v in state.values()), name


def test_the_object_that_fits_is_taken_and_two_that_fit_are_not_guessed_at(others, tmp_path, capfd):
    out, source = tmp_path / "out.safetensors", others / "net.py"
    arguments = ["-o", str(out), "--entry", "small(5)", "--keras", KERAS2]
    assert main(["weights", str(source), str(others / "two" / "ckpt"), *arguments]) == 0
    assert "the model is discriminator: generator" in capfd.readouterr().err
    assert main(["weights", str(source), str(others / "alike" / "ckpt"), *arguments]) == 2
    assert main(["weights", str(source), str(others / "alike" / "ckpt"), *arguments[:3], "small()"]) == 2
    assert "K2T705" in capfd.readouterr().err


# --- what is broken or hostile --------------------------------------------------------------------------------------


def refused(path: Path, target: Target) -> Declined:
    with pytest.raises(Declined) as caught, opened(path) as content:
        for array in find(content, target.plan.saved, target.keys).arrays.values():
            array.read()
    return caught.value


@pytest.fixture(scope="session")
def target(saved) -> Target:
    return saved("nested()", KERAS2).target()


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy of a checkpoint, to be broken."""
    return Path(shutil.copytree(saved("nested()", KERAS2).folder / "checkpoint", tmp_path / "broken"))


def test_half_a_checkpoint_is_an_error_wherever_it_ends(folder, target):
    for name, said in (("ckpt.index", "cut off"), ("ckpt.data-00000-of-00001", "is cut off")):
        whole = (folder / name).read_bytes()
        for size in range(0, len(whole), len(whole) // 10):
            (folder / name).write_bytes(whole[:size])
            declined = refused(folder, target)
            assert declined.code == "K2T701" and said in declined.message, size
        (folder / name).write_bytes(whole)
    (folder / name).unlink()
    assert "no such file" in refused(folder, target).message


def test_bytes_that_are_changed_are_found(folder, target):
    rng = np.random.default_rng(0)
    for name in ("ckpt.index", "ckpt.data-00000-of-00001"):
        whole = (folder / name).read_bytes()
        for at in rng.integers(0, len(whole), 100):
            (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.integers(8)]) + whole[at + 1 :])
            try:
                with opened(folder) as content:
                    found = find(content, target.plan.saved, target.keys)
                    assert found.failed or state_of(target, found)
            except Declined as declined:
                assert declined.code in ("K2T701", "K2T702")
            else:  # what is not the model's, and the zeros in the footer
                assert name == "ckpt.index" and at >= len(whole) - 48
        (folder / name).write_bytes(whole)


def test_a_list_of_checkpoints_leads_nowhere_else(tmp_path):
    for text in ('"/etc/secret"', '"../../secret"', '"secret"'):
        (tmp_path / "checkpoint").write_text(f"model_checkpoint_path: {text}\nall_model_checkpoint_paths: {text}\n")
        assert latest(tmp_path / "checkpoint") == tmp_path / "secret"


def test_the_graph_of_a_saved_model_is_never_looked_at(saved, tmp_path):
    net, folder, mark = saved("nested()", KERAS2), tmp_path / "evil", tmp_path / "owned"
    shutil.copytree(net.folder / "saved_model", folder)
    code = f"open({str(mark)!r}, 'w').close()"
    for file in ("saved_model.pb", "keras_metadata.pb", "fingerprint.pb"):
        (folder / file).write_bytes(pickle.dumps(eval, protocol=2) + code.encode())
    assert main(net.arguments(folder, tmp_path / "out.safetensors")) == 0
    assert not mark.exists()


def test_checksums_of_long_data_are_those_of_short_data(monkeypatch):
    assert checksums.crc32c(b"123456789") == 0xE3069283
    data = np.random.default_rng(0).bytes(3 * checksums.LANES * 5 + 77)
    long = checksums.crc32c(data)
    monkeypatch.setattr(checksums, "SHORT", len(data) + 1)
    assert checksums.crc32c(data) == long


def test_compressed_blocks():
    assert unsnapped(b"\x05\x10hello") == b"hello"
    assert unsnapped(b"\x08\x04ab\x09\x02") == b"abababab"  # six bytes from two back, the offset in one byte
    assert unsnapped(b"\x0b\x04ab\x22\x02\x00") == b"ababababab" + b"a"  # nine, the offset in two bytes
    for broken in (b"\x05\x10hell", b"\x05\x04ab\x22\x05\x00", b"\x03\x10hello"):
        with pytest.raises(ValueError, match="broken"):
            unsnapped(broken)

"""Checkpoints and SavedModels of TensorFlow: read without it, strictly, and with the outputs of Keras."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from transpiler.cli import main
from transpiler.diagnostics import Declined, Severity
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.ir.saved import SavedLayer
from transpiler.weights import checksums
from transpiler.weights.checkpoint import latest
from transpiler.weights.found import Key
from transpiler.weights.opening import opened
from transpiler.weights.stored import ObjectNode, ObjectsFile, Stored
from transpiler.weights.tables import unsnapped
from transpiler.weights.target import Target
from transpiler.weights.transfer import find, state_of

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from conftest import MODELS, SAVED_MODELS  # noqa: E402
from test_broken import KEYS, MODEL, dense, keys_of  # noqa: E402

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
    """A source, and below the names of the generations what programs have saved of its model."""
    folder = tmp_path_factory.mktemp("others")
    (folder / "net.py").write_text(SMALL)
    for generation in (KERAS2, KERAS3):
        command = [sys.executable, HERE / "saving_others.py", folder / generation, generation]
        (folder / generation).mkdir()
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


def small(others: Path, file: str, out: Path, units: int = 4) -> list[str]:
    """The command line that brings a checkpoint to the result."""
    generation = file.partition("/")[0]
    options = ["--entry", f"small({units})", "--keras", generation]
    return ["weights", str(others / "net.py"), str(others / file), "-o", str(out), *options]


CASES = [
    "tf_keras/slots",
    "tf_keras/managed",
    "tf_keras/two/ckpt",
    "tf_keras/names",
    "tf_keras/trainer/ckpt",
    "keras3/trainer/ckpt",
    "keras3/managed",
    "keras3/two/ckpt",
]


@pytest.mark.parametrize("file", CASES)
def test_a_model_among_other_objects_and_by_names_alone(others, tmp_path, file):
    out = tmp_path / "out.safetensors"
    assert main(small(others, file, out)) == 0
    state = load_file(out)
    for name, array in np.load(others / file.partition("/")[0] / "values.npz").items():
        assert any(np.array_equal(v, array.T) for v in state.values()), name


def test_the_object_that_fits_is_taken_and_two_that_fit_are_not_guessed_at(others, tmp_path, capfd):
    out = tmp_path / "out.safetensors"
    assert main(small(others, "tf_keras/two/ckpt", out, 5)) == 0
    assert "the model is discriminator: generator" in capfd.readouterr().err
    assert main(small(others, "tf_keras/alike/ckpt", out, 5)) == 2
    assert "K2T705" not in capfd.readouterr().err
    assert main(small(others, "tf_keras/alike/ckpt", out)) == 2
    assert "K2T705" in capfd.readouterr().err


# --- names and numbers ----------------------------------------------------------------------------------------------


def numbered(layers: list[tuple[str, tuple[int, int]]]) -> ObjectsFile:
    """A checkpoint of Dense layers, each with its name and sizes."""
    root = ObjectNode()
    for i, (name, sizes) in enumerate(layers):
        held = {"kernel": sizes, "bias": sizes[1:]}
        arrays = {n: Stored(f"layer_with_weights-{i}/{n}", s, "float32", lambda: None) for n, s in held.items()}
        variables = {n: ObjectNode(variable=a, full_name=f"{name}/{n}") for n, a in arrays.items()}
        root.children[f"layer_with_weights-{i}"] = ObjectNode(variables, f"layer_with_weights-{i}")
        root.children[f"layer-{i + 1}"] = root.children[f"layer_with_weights-{i}"]
    return ObjectsFile(root)


def codes(layers: list[tuple[str, tuple[int, int]]], keys: list[Key] = KEYS, uncertain: bool = False) -> list[str]:
    found = find(numbered(layers), replace(MODEL, uncertain=uncertain), keys)
    return [f.code for f in found.findings]


RIGHT = [("dense_7", (4, 4)), ("dense_12", (4, 4)), ("head", (4, 2))]


def test_layers_are_found_by_number_and_checked_by_name():
    assert codes(RIGHT) == []
    assert codes([("dense", (4, 4)), *RIGHT[1:]]) == []
    assert codes([*RIGHT[:2], ("top", (4, 2))]) == ["K2T708"]
    assert set(codes([RIGHT[1], RIGHT[0], RIGHT[2]])) == {"K2T705"}
    assert set(codes([*RIGHT[:2], ("head", (4, 3))])) == {"K2T707"}
    assert set(codes(RIGHT[:2])) == {"K2T703"}
    assert set(codes([*RIGHT, ("more", (4, 4))])) == {"K2T704"}


def test_optimizers_and_metrics_under_any_name_are_no_weights():
    def held(**arrays: str) -> ObjectNode:
        return ObjectNode({n: ObjectNode(variable=Stored(n, (), t, lambda: None)) for n, t in arrays.items()})

    file = numbered(RIGHT)
    file.root.children["rate"] = held(total="float32", count="float32")
    file.root.children["own_optimizer"] = held(_iterations="int64", _learning_rate="float32")
    assert find(file, MODEL, KEYS).findings == []
    file.root.children["scale"] = held(scale="float32")
    assert [f.code for f in find(file, MODEL, KEYS).findings] == ["K2T704"]


def test_lists_and_dictionaries_are_in_the_order_of_the_file():
    layers = [dense(0), [dense(1)], []]
    model = SavedLayer("Net", parts=(("blocks", layers), ("head", dense(2))), is_model=True)
    nodes = [n for name, n in numbered(RIGHT).root.children.items() if name.startswith("layer_")]
    blocks = ObjectNode({"10": nodes[0], "plain": ObjectNode(), "2": ObjectNode({"0": nodes[1]})})
    file = ObjectsFile(ObjectNode({"blocks": blocks, "head": nodes[2]}))
    found = find(file, model, KEYS)
    assert [found.arrays[i, "kernel"].path for i in range(3)] == [f"layer_with_weights-{i}/kernel" for i in range(3)]
    assert not found.findings
    del blocks.children["10"]
    assert {f.code for f in find(file, model, KEYS).findings} == {"K2T703", "K2T704"}


def test_names_decide_where_the_order_is_uncertain():
    assert codes([RIGHT[2], RIGHT[1], RIGHT[0]], uncertain=True) == []
    assert set(codes([*RIGHT[:2], ("top", (4, 2))], uncertain=True)) == {"K2T703", "K2T704"}


def test_shapes_decide_between_names_and_numbers():
    keys = [*keys_of(0, 4, 5), *keys_of(1, 5, 4), *keys_of(2, 4, 2)]
    assert codes([("dense_12", (4, 5)), ("dense_7", (5, 4)), RIGHT[2]], keys) == []


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

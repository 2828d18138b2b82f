"""Files that are broken, hostile, of another model, or of another kind: a clear error, and nothing that stands in them runs."""

from __future__ import annotations

import json
import marshal
import pickle
import shutil
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from transpiler.cli import main
from transpiler.diagnostics import Declined
from transpiler.ir.saved import SavedLayer, SavedVariable
from transpiler.weights.found import Found, Key
from transpiler.weights.opening import opened
from transpiler.weights.transfer import find

PERMUTED = (("permute", (1, 0)),)


def dense(number: int, name: str | None = None) -> SavedLayer:
    variables = (SavedVariable(("kernel",), number, "kernel"), SavedVariable(("bias",), number, "bias"))
    return SavedLayer("Dense", name, number, variables)


def keys_of(number: int, inputs: int, units: int) -> list[Key]:
    key = f"dense{number}"
    return [
        Key(f"{key}.weight", (units, inputs), "float32", number, "kernel", PERMUTED),
        Key(f"{key}.bias", (units,), "float32", number, "bias"),
    ]


MODEL = SavedLayer("Functional", layers=[dense(0), dense(1), dense(2, "head")], is_model=True)
KEYS = [*keys_of(0, 4, 4), *keys_of(1, 4, 4), *keys_of(2, 4, 2)]


def write_legacy(path: Path, layers: dict[str, tuple[int, int]], whole: bool = False) -> Path:
    """An `.h5` of Dense layers: name → sizes."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [n.encode() for n in layers]
        root.attrs["keras_version"] = b"2.15.0"
        for i, (name, sizes) in enumerate(layers.items()):
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"] = np.full(sizes, i, np.float32)
            group[f"{name}/bias:0"] = np.zeros(sizes[1], np.float32)
    return path


def write_layers(path: Path, layers: dict[str, tuple[str, tuple[int, int]]]) -> Path:
    """A `.weights.h5` of Dense layers: path → name and sizes."""
    with h5py.File(path, "w") as file:
        for i, (where, (name, sizes)) in enumerate(layers.items()):
            group = file.create_group(f"layers/{where}/vars")
            group.attrs["name"] = name
            group["0"], group["1"] = np.full(sizes, i, np.float32), np.zeros(sizes[1], np.float32)
    return path


def found_in(path: Path, model: SavedLayer = MODEL, keys: list[Key] = KEYS) -> tuple[Found, list[str]]:
    """What is found, and the codes of what is said."""
    with opened(path) as content:
        found = find(content, model, keys)
    return found, [f.code for f in found.findings]


def message(found: Found) -> str:
    return "\n".join(f.message for f in found.findings)


RIGHT = {"dense_7": (4, 4), "dense_12": (4, 4), "head": (4, 2)}


def test_automatic_names_count_on_from_any_number(tmp_path):
    found, codes = found_in(write_legacy(tmp_path / "w.h5", RIGHT))
    assert codes == []
    assert [found.arrays[i, "kernel"].path for i in range(3)] == [f"{n}/{n}/kernel:0" for n in RIGHT]


def test_names_that_go_against_the_order_are_not_guessed_at(tmp_path):
    found, codes = found_in(write_legacy(tmp_path / "w.h5", {"dense_12": (4, 4), "dense_7": (4, 4), "head": (4, 2)}))
    assert set(codes) == {"K2T705"}
    assert "dense_12" in message(found) and "dense_7" in message(found)


def test_shapes_decide_between_names_and_order(tmp_path):
    keys = [*keys_of(0, 4, 5), *keys_of(1, 5, 4), *keys_of(2, 4, 2)]
    layers = {"dense_12": (4, 5), "dense_7": (5, 4), "head": (4, 2)}
    found, codes = found_in(write_legacy(tmp_path / "w.h5", layers), keys=keys)
    assert codes == [] and found.arrays[0, "kernel"].path.startswith("dense_12")


def test_a_renamed_layer_is_listed_on_both_sides(tmp_path):
    found, codes = found_in(write_legacy(tmp_path / "w.h5", {**dict(list(RIGHT.items())[:2]), "top": (4, 2)}))
    assert codes == ["K2T703", "K2T704"]
    assert "Dense 'head'" in message(found) and "dense2.weight (2, 4)" in message(found)
    assert "top/top/kernel:0 (4, 2)" in message(found)


def test_another_number_of_layers_is_no_match_at_all(tmp_path):
    _, codes = found_in(write_legacy(tmp_path / "w.h5", {"dense": (4, 4), "head": (4, 2)}))
    assert set(codes) == {"K2T703", "K2T704"}


def test_another_shape_is_named_with_both_sides(tmp_path):
    found, codes = found_in(write_legacy(tmp_path / "w.h5", {**RIGHT, "head": (4, 3)}))
    assert set(codes) == {"K2T707"}
    assert "head/head/kernel:0 (4, 3) does not fit dense2.weight (2, 4)" in message(found)


PATHS = {"dense": ("dense_3", (4, 4)), "dense_1": ("dense_4", (4, 4)), "dense_2": ("head", (4, 2))}


def test_layers_are_found_by_path_and_checked_by_name(tmp_path):
    assert found_in(write_layers(tmp_path / "a.weights.h5", PATHS))[1] == []
    swapped = {**PATHS, "dense": ("dense_4", (4, 4)), "dense_1": ("dense_3", (4, 4))}
    assert set(found_in(write_layers(tmp_path / "b.weights.h5", swapped))[1]) == {"K2T705"}
    renamed = {**PATHS, "dense_2": ("top", (4, 2))}
    found, codes = found_in(write_layers(tmp_path / "c.weights.h5", renamed))
    assert (
        codes == ["K2T708"] and not found.failed and "called top in the file and head in the source" in message(found)
    )


def test_a_layer_too_many_and_one_too_few(tmp_path):
    more = {**PATHS, "dense_3": ("more", (4, 4))}
    found, codes = found_in(write_layers(tmp_path / "a.weights.h5", more))
    assert codes == ["K2T704"] and "layers/dense_3/vars/0 (4, 4)" in message(found)
    found, codes = found_in(write_layers(tmp_path / "b.weights.h5", dict(list(PATHS.items())[:2])))
    assert set(codes) == {"K2T703"} and "dense2.weight" in message(found)


def test_what_belongs_to_training_is_left_out_and_named(tmp_path):
    path = write_layers(tmp_path / "a.weights.h5", PATHS)
    with h5py.File(path, "a") as file:
        file.create_group("optimizer/vars")["0"] = np.zeros(3, np.float32)
        file.create_group("layers/dropout/seed_generator/vars")["0"] = np.zeros(2, np.uint32)
    found, codes = found_in(path)
    assert codes == ["K2T706", "K2T706"] and not found.failed and "optimizer" in message(found)


# --- what is no file of weights -----------------------------------------------------------------------------------


def refused(path: Path) -> Declined:
    with pytest.raises(Declined) as caught, opened(path) as content:
        find(content, MODEL, KEYS)
    return caught.value


def test_half_a_file_is_an_error_wherever_it_ends(tmp_path):
    whole = write_legacy(tmp_path / "w.h5", RIGHT).read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        part = tmp_path / "part.h5"
        part.write_bytes(whole[:size])
        assert refused(part).code == "K2T701", size


def test_half_an_archive_is_an_error(tmp_path):
    inner = write_layers(tmp_path / "a.weights.h5", PATHS).read_bytes()
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", inner)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:size])
        assert refused(path).code == "K2T701", size
    path.write_bytes(whole.replace(b"dense_3", b"dense_9"))
    assert refused(path).code == "K2T701"


def test_bytes_that_are_changed_never_crash(tmp_path):
    whole = bytearray(write_legacy(tmp_path / "w.h5", RIGHT).read_bytes())
    rng, path = np.random.default_rng(0), tmp_path / "x.h5"
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            with opened(path) as content:
                found = find(content, MODEL, KEYS)
                for array in found.arrays.values():
                    array.read()
        except Declined as declined:
            assert declined.code in ("K2T701", "K2T702")


WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "empty": (lambda p: p.write_bytes(b""), "K2T701", "empty"),
    "text": (lambda p: p.write_text("kernel: 3"), "K2T701", "neither HDF5"),
    "missing": (lambda p: None, "K2T701", "no such file"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps({"kernel": [1.0]})), "K2T702", "pickle"),
    "folder": (lambda p: p.mkdir(), "K2T702", "folder"),
    "saved model": (lambda p: (p.mkdir(), (p / "saved_model.pb").write_bytes(b"")), "K2T701", "no such file"),
    "checkpoint": (lambda p: Path(f"{p}.index").write_bytes(b""), "K2T701", "cut off"),
    "list of checkpoints": (lambda p: (p.mkdir(), (p / "checkpoint").write_text("x")), "K2T701", "no checkpoint"),
    "npz": (lambda p: np.savez(p.open("wb"), a=np.zeros(2)), "K2T701", "Keras has not written it"),
    "hdf5 of others": (lambda p: h5py.File(p, "w").create_dataset("x", data=[1]).file.close(), "K2T701", "no weights"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_file_of_weights_is_named(tmp_path, case):
    make, code, said = WRONG[case]
    path = tmp_path / "model.h5"
    make(path)
    declined = refused(path)
    assert declined.code == code and said in declined.message and declined.advice


def test_weights_in_a_pickle_inside_of_an_archive_are_not_read(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.npz", pickle.dumps(1))
    assert refused(path).code == "K2T702"


@pytest.mark.parametrize("kind", ["soft link", "external link", "external values"])
def test_nothing_is_read_that_stands_elsewhere(tmp_path, kind):
    secret = write_legacy(tmp_path / "secret.h5", RIGHT)
    path = write_legacy(tmp_path / "w.h5", RIGHT)
    with h5py.File(path, "a") as file:
        group = file["head/head"]
        del group["bias:0"]
        if kind == "soft link":
            group["bias:0"] = h5py.SoftLink("/dense_7/dense_7/bias:0")
        elif kind == "external link":
            group["bias:0"] = h5py.ExternalLink(str(secret), "/head/head/bias:0")
        else:
            group.create_dataset("bias:0", (2,), np.float32, external=[(str(secret), 0, 8)])
    assert refused(path).code == "K2T702"


def test_an_array_that_claims_to_be_huge_is_not_read(tmp_path):
    path = write_legacy(tmp_path / "w.h5", RIGHT)
    with h5py.File(path, "a") as file:
        del file["head/head/kernel:0"]
        file["head/head"].create_dataset("kernel:0", (10**6, 10**6), np.float32, chunks=(1000, 1000))
    found, codes = found_in(path)
    assert set(codes) == {"K2T707"} and "(1000000, 1000000)" in message(found)


def hostile(mark: Path) -> str:
    """The configuration of a model with a Lambda whose code writes the file `mark`."""
    code = compile(f"open({str(mark)!r}, 'w').close()", "<lambda>", "exec")
    function = {"class_name": "__lambda__", "config": {"code": b64encode(marshal.dumps(code)).decode()}}
    layer = {"class_name": "Lambda", "config": {"name": "evil", "function": function}}
    return json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}})


def test_a_hostile_lambda_is_never_looked_at(saved, tmp_path):
    net, mark = saved("sequence()", "keras3"), tmp_path / "owned"
    h5, keras = tmp_path / "evil.h5", tmp_path / "evil.keras"
    shutil.copyfile(net.folder / "whole.h5", h5)
    with h5py.File(h5, "a") as file:
        file.attrs["model_config"] = hostile(mark)
    with zipfile.ZipFile(net.folder / "whole.keras") as old, zipfile.ZipFile(keras, "w") as new:
        new.writestr("config.json", hostile(mark))
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
        new.writestr("assets/evil.pkl", pickle.dumps(print))
    for file in (h5, keras):
        assert main(net.arguments(file, tmp_path / f"{file.name}.safetensors")) == 0
        assert not mark.exists()

"""Opening a file of Keras: which kind it is, and what it holds. Nothing that stands in a file is ever run."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from transpiler.files import reason
from transpiler.weights.checkpoint import checkpoint_content, prefix_of
from transpiler.weights.errors import Unreadable, Unsupported, broken_is_unreadable
from transpiler.weights.stored import TRAINING, Content, Group, LayersFile, LegacyFile, Stored

MEMBER = "model.weights.h5"
ARCHIVE = b"PK\x03\x04"
HDF5 = b"\x89HDF\r\n\x1a\n"


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """What the file at `path` holds; arrays can be read inside of the context.

    Raises Unreadable or Unsupported, as reading an array does.
    """
    import h5py

    prefix = prefix_of(path)
    if prefix is not None:
        yield checkpoint_content(prefix)
        return
    check_kind(path)
    with ExitStack() as stack:
        with broken_is_unreadable(path):
            file = stack.enter_context(h5py.File(stack.enter_context(_container(path)), "r"))
            content = content_of(file, path)
        yield content


def check_kind(path: Path) -> None:
    """Raises for what is neither HDF5 nor an archive with HDF5 inside."""
    if path.is_dir():
        raise Unsupported(path, "a folder without a checkpoint or SavedModel of TensorFlow is not read")
    if path.name.endswith(".weights.json"):
        raise Unsupported(path, "weights in several files are not read")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise Unreadable(path, reason(error)) from None
    if not head:
        raise Unreadable(path, "the file is empty")
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        raise Unsupported(path, "a pickle could run anything, and is not read")
    if is_archive(path):
        check_archive(path)
    elif not is_hdf5(path):
        raise Unreadable(path, "neither HDF5 nor an archive of Keras")


def is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ARCHIVE)) == ARCHIVE


def is_hdf5(path: Path) -> bool:
    """Whether the signature stands where HDF5 allows it: at the start, or behind a block of 512, 1024, … bytes."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + len(HDF5) <= size:
            file.seek(at)
            if file.read(len(HDF5)) == HDF5:
                return True
            at = max(512, at * 2)
    return False


def check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise Unreadable(path, f"the archive is broken or incomplete: {error}") from None
    if MEMBER not in names:
        if any(n.startswith("model.weights") for n in names):
            raise Unsupported(path, "an archive with its weights in another form than HDF5 is not read")
        raise Unreadable(path, f"an archive without {MEMBER}: Keras has not written it")


@contextmanager
def _container(path: Path) -> Iterator[Any]:
    """The HDF5 file itself; of an archive its copy, as h5py reads here and there."""
    if not is_archive(path):
        yield str(path)
        return
    with tempfile.TemporaryFile() as copy:
        with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
            shutil.copyfileobj(member, copy)
        copy.seek(0)
        yield copy


def content_of(file: Any, path: Path) -> LegacyFile | LayersFile:
    """What an open HDF5 file holds."""
    import h5py

    root = file
    if not names_in(file, "layer_names") and isinstance(link_in(file, "model_weights", path), h5py.Group):
        root = file["model_weights"]
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        return legacy_content(file, root, path)
    if "nb_layers" in root.attrs:
        raise Unsupported(path, "written by Keras before 1.0, which named no layers")
    arrays = dict(walk(file, path))
    own = {p: a for p, a in arrays.items() if "vars" in p.split("/")[:-1]}
    if not own:
        raise Unreadable(path, "no weights in it that Keras has written")
    groups: dict[str, list[Stored]] = {}
    for where, array in own.items():
        owner = where.rpartition("/")[0]
        groups.setdefault("" if owner == "vars" else owner.removesuffix("/vars"), []).append(array)
    named = {g: _text(file[f"{g}/vars" if g else "vars"].attrs.get("name")) for g in group_paths(file, path)}
    left = {g.split("/")[0] for g in groups if g.split("/")[0] in TRAINING}
    variables = {
        g: sorted(arrays, key=lambda a: (len(a.name), a.name))
        for g, arrays in groups.items()
        if g.split("/")[0] not in left
    }
    return LayersFile(variables, {g: n for g, n in named.items() if n}, sorted(left))


def group_paths(file: Any, path: Path) -> list[str]:
    """The paths that have a group `vars`, with or without anything in it."""
    import h5py

    found: list[str] = []

    def visit(group: Any, prefix: str) -> None:
        for key in group:
            inner = link_in(group, key, path)
            if isinstance(inner, h5py.Group):
                if key == "vars":
                    found.append(prefix)
                visit(inner, f"{prefix}/{key}" if prefix else key)

    visit(file, "")
    return found


def legacy_content(file: Any, root: Any, path: Path) -> LegacyFile:
    backend = _text(root.attrs.get("backend"))
    if backend == "theano":
        raise Unsupported(path, "written with Theano, whose convolutions have their kernels mirrored")
    groups = []
    for name in names_in(root, "layer_names"):
        groups.append(Group(name, group_weights(root, name, path)))
    own = group_weights(root, "top_level_model_weights", path) if "top_level_model_weights" in root else ()
    left = ["optimizer_weights"] if "optimizer_weights" in file else []
    version = _text(root.attrs.get("keras_version")) or "1"
    return LegacyFile(groups, own, version.startswith("1"), left)


def group_weights(root: Any, name: str, path: Path) -> list[Stored]:
    group = link_in(root, name, path)
    if group is None:
        raise Unreadable(path, f"the layer {name} is named, and is not there")
    found = []
    for weight in names_in(group, "weight_names"):
        found.append(stored(follow(group, weight, path), f"{name}/{weight}", path))
    return found


def follow(group: Any, name: str, path: Path) -> Any:
    for part in name.split("/"):
        group = link_in(group, part, path)
        if group is None:
            raise Unreadable(path, f"the weight {name} is named, and is not there")
    return group


def link_in(group: Any, name: str, path: Path) -> Any:
    """What a group has under a name, or None. Raises Unsupported for what points elsewhere."""
    import h5py

    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise Unsupported(path, f"{group.name}/{part} points to another place or file")
        group = group[part]
    return group


def walk(group: Any, path: Path, prefix: str = "") -> Iterator[tuple[str, Stored]]:
    """Every array below a group, with its path."""
    import h5py

    for key in group:
        where, inner = f"{prefix}{key}", link_in(group, key, path)
        if isinstance(inner, h5py.Group):
            yield from walk(inner, path, f"{where}/")
        else:
            yield where, stored(inner, where, path)


def stored(dataset: Any, where: str, path: Path) -> Stored:
    """Raises Unsupported for arrays whose values stand in another file, and for what are no numbers."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise Unreadable(path, f"{where} is no array")
    if dataset.external or dataset.is_virtual:
        raise Unsupported(path, f"the values of {where} stand in another file")
    bfloat = _text(dataset.attrs.get("dtype")) == "bfloat16"
    if dataset.dtype.kind not in "fiub" and not bfloat:
        return Stored(where, tuple(dataset.shape or ()), "other", lambda: None)

    def read() -> Any:
        with broken_is_unreadable(path):
            return _from_bfloat16(dataset[()]) if bfloat else dataset[()]

    return Stored(where, tuple(dataset.shape), "bfloat16" if bfloat else str(dataset.dtype), read)


def _from_bfloat16(array: Any) -> Any:
    import numpy as np

    return (np.asarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def names_in(group: Any, attribute: str) -> list[str]:
    """A list of names among the attributes; a long one stands in several, with numbers."""
    if attribute in group.attrs:
        return [_text(n) for n in group.attrs[attribute]]
    found: list[str] = []
    for chunk in itertools.takewhile(group.attrs.__contains__, (f"{attribute}{i}" for i in itertools.count())):
        found += map(_text, group.attrs[chunk])
    return found


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value) if value is not None else ""

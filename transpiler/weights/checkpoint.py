"""Opening a checkpoint of TensorFlow, also that of a SavedModel: an index of arrays, the files they stand in, and the objects they belong to.

Only the index and the values are read; the graph of a SavedModel, which holds code, is not looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from transpiler.weights.checksums import crc32c, masked
from transpiler.weights.errors import Unreadable, Unsupported, broken_is_unreadable
from transpiler.weights.protobuf import Message, varint
from transpiler.weights.stored import Group, LegacyFile, ObjectNode, ObjectsFile, Stored, placed
from transpiler.weights.tables import read_table

DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool",
    14: "bfloat16", 17: "uint16", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
"""The numbers that TensorFlow has for types."""

STRING = 7
GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "VARIABLE_VALUE"
DATA = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
LATEST = re.compile(r'^model_checkpoint_path: "([^"]*)"', re.MULTILINE)

REPEATED = ("variables", "trainable_variables", "keras_api")
"""What a SavedModel lists besides the attributes of a layer."""

SCALARS = ("beta1_power", "beta2_power", "global_step")
"""What optimizers of TensorFlow 1 and their loops call their own variables."""


def prefix_of(path: Path) -> Path | None:
    """The beginning of the names of a checkpoint's files; None if `path` is none. Raises Unreadable.

    `path` is that beginning, the index or a file of values, the list of checkpoints in a folder, the folder, or a SavedModel.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return path / "variables" / "variables"
        return latest(path / "checkpoint") if (path / "checkpoint").is_file() else None
    if path.name == "checkpoint" and path.is_file():
        return latest(path)
    if path.suffix == ".index":
        return path.with_suffix("")
    data = DATA.fullmatch(path.name)
    if data is not None:
        return path.with_name(data.group(1))
    return path if Path(f"{path}.index").is_file() else None


def latest(listing: Path) -> Path:
    """The newest checkpoint that a folder lists, which has to stand in the same folder."""
    with broken_is_unreadable(listing):
        found = LATEST.search(listing.read_text(encoding="utf-8"))
    if found is None:
        raise Unreadable(listing, "no checkpoint is named in it")
    return listing.with_name(Path(found.group(1)).name)


@dataclass(frozen=True)
class Entry:
    """Where an array stands."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    parts: bool
    """Whether its values stand under other entries, part by part."""


def checkpoint_content(prefix: Path) -> LegacyFile | ObjectsFile:
    """What a checkpoint holds. Raises Unreadable or Unsupported."""
    index = Path(f"{prefix}.index")
    with broken_is_unreadable(index):
        table = read_table(index)
        shards = shard_files(prefix, table.pop(b"", b""), index)
        found = {key: entry_of(value) for key, value in table.items()}
    arrays = {key.decode("utf-8", "replace"): array_of(key, entry, shards, index) for key, entry in found.items() if entry.dtype != STRING}  # fmt: skip
    if GRAPH not in found:
        return by_names(arrays)
    with broken_is_unreadable(index):
        return objects(string_at(shards[found[GRAPH].shard], found[GRAPH]), arrays)


def shard_files(prefix: Path, header: bytes, index: Path) -> list[Path]:
    """The files with the values."""
    message = Message(header)
    if message.number(2):
        raise Unsupported(index, "written by a machine with another order of bytes")
    count = message.number(1)
    files = [Path(f"{prefix}.data-{i:05}-of-{count:05}") for i in range(min(count, 1000))]
    missing = next((f for f in files if not f.is_file()), None)
    if missing is not None:
        raise Unreadable(missing, "no such file, which the index says there is")
    return files


def entry_of(data: bytes) -> Entry:
    message = Message(data)
    shapes = [Message(shape) for shape in message.parts(2)]
    sizes = tuple(Message(size).number(1) for shape in shapes for size in shape.parts(2))
    numbers = [message.number(field) for field in (1, 3, 4, 5, 6)]
    return Entry(numbers[0], sizes, *numbers[1:], parts=bool(message.parts(7)))


def array_of(key: bytes, entry: Entry, shards: Sequence[Path], index: Path) -> Stored:
    """Raises Unsupported for arrays in parts, Unreadable where the files are too short for what the index says."""
    name = key.decode("utf-8", "replace")
    if entry.parts:
        raise Unsupported(index, f"{name} is stored in parts, which are not put together")
    dtype = DTYPES.get(entry.dtype, "other")
    if dtype == "other":
        return Stored(name, entry.shape, dtype, lambda: None)
    width = 2 if dtype == "bfloat16" else _dtype(dtype).itemsize
    if entry.shard >= len(shards) or entry.size != width * math.prod(entry.shape):
        raise Unreadable(index, f"what it says of {name} cannot be")
    if entry.offset + entry.size > shards[entry.shard].stat().st_size:
        raise Unreadable(shards[entry.shard], f"the file is cut off: {name} is not in it")
    return Stored(name, entry.shape, dtype, partial(values_of, shards[entry.shard], name, entry, dtype))


def _dtype(name: str) -> Any:
    import numpy as np

    return np.dtype(name).newbyteorder("<")


def values_of(file: Path, name: str, entry: Entry, dtype: str) -> Any:
    import numpy as np

    data = bytes_at(file, entry)
    if masked(crc32c(data)) != entry.checksum:
        raise Unreadable(file, f"the values of {name} do not have their checksum")
    if dtype == "bfloat16":
        wide = np.frombuffer(data, _dtype("uint16")).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(entry.shape)
    return np.frombuffer(data, _dtype(dtype)).reshape(entry.shape)


def bytes_at(file: Path, entry: Entry) -> bytes:
    with broken_is_unreadable(file), file.open("rb") as stream:
        if entry.offset + entry.size > file.stat().st_size:
            raise ValueError("it is cut off")
        stream.seek(entry.offset)
        return stream.read(entry.size)


def string_at(file: Path, entry: Entry) -> bytes:
    """A single text: its length, a checksum of that, and the text."""
    data = bytes_at(file, entry)
    size, at = varint(data, 0)
    length = size.to_bytes(4 if size < 1 << 32 else 8, "little")
    if len(data) != at + 4 + size or masked(crc32c(length + data[at:])) != entry.checksum:
        raise ValueError("the list of objects does not have its checksum")
    return data[at + 4 :]


def objects(graph: bytes, arrays: dict[str, Stored]) -> ObjectsFile:
    """The objects of a checkpoint, each variable with its path from the first of them."""
    messages = [Message(m) for m in Message(graph).parts(1)]
    nodes = [ObjectNode() for _ in messages]
    for node, message in zip(nodes, messages):
        for child in map(Message, message.parts(1)):
            if child.text(2) not in REPEATED:
                node.children[child.text(2)] = nodes[child.number(1)]
        for attribute in map(Message, message.parts(2)):
            if attribute.text(1) == VALUE:
                node.full_name = attribute.text(2)
                node.variable = arrays.get(attribute.text(3))
    if not nodes:
        raise ValueError("it lists no objects")
    held = set()
    for node, path in placed(nodes[0]):
        node.path = path
        if node.variable is not None:
            held.add(node.variable.path)
            node.variable = replace(node.variable, path=path)
    return ObjectsFile(nodes[0], sorted({_owner(key) for key in arrays.keys() - held}))


def _owner(key: str) -> str:
    """What is left out with a variable of training: the attribute of the model, or the optimizer that has it for a variable."""
    slot = re.search(r"/\.OPTIMIZER_SLOT/([^/]+)/", key)
    return slot.group(1) if slot else key.partition("/")[0]


def by_names(arrays: dict[str, Stored]) -> LegacyFile:
    """A checkpoint of names alone, which TensorFlow 1 writes: `conv2d/kernel`. What stands below a variable is the optimizer's."""
    groups: dict[str, list[Stored]] = {}
    left = []
    for name, array in arrays.items():
        owner, _, leaf = name.rpartition("/")
        if leaf in SCALARS or owner in arrays:
            left.append(name)
        else:
            layer = name.partition("/")[0] if owner else ""
            groups.setdefault(layer, []).append(replace(array, path=f"{layer}/{name}") if layer else array)
    own = groups.pop("", [])
    return LegacyFile([Group(n, a) for n, a in groups.items()], own, left_out=left, flat=True)

"""Sorted tables of keys and values in LevelDB's format, as TensorFlow has the index of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from transpiler.weights.checksums import crc32c, masked
from transpiler.weights.errors import Unsupported
from transpiler.weights.protobuf import varint

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER = 48
TRAILER = 5
"""Behind each block: how it is compressed, and its checksum."""

PLAIN, SNAPPY = 0, 1


def read_table(path: Path) -> dict[bytes, bytes]:
    """All entries of the table in a file. Raises ValueError where it is broken, Unsupported for other compressions."""
    data = path.read_bytes()
    if len(data) < FOOTER or not data.endswith(MAGIC):
        raise ValueError("the file is cut off, or no index of a checkpoint")
    footer = data[-FOOTER:]
    at = 0
    for _ in range(2):  # where the block of extras begins and how long it is
        _, at = varint(footer, at)
    return dict(entry for _, handle in entries(block(data, footer[at:], path)) for entry in entries(block(data, handle, path)))  # fmt: skip


def block(data: bytes, handle: bytes, path: Path) -> bytes:
    """The block that a handle points to."""
    start, at = varint(handle, 0)
    size, _ = varint(handle, at)
    stored, trailer = data[start : start + size], data[start + size : start + size + TRAILER]
    if len(stored) != size or len(trailer) != TRAILER:
        raise ValueError("a block of the index is cut off")
    if masked(crc32c(stored + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("a block of the index does not have its checksum")
    if trailer[0] not in (PLAIN, SNAPPY):
        raise Unsupported(path, f"the index is compressed in a way that is not read (type {trailer[0]})")
    return unsnapped(stored) if trailer[0] == SNAPPY else stored


def entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block: a key shares its beginning with the one before it."""
    restarts = int.from_bytes(content[-4:], "little")
    end = len(content) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block of the index is broken")
    at, key = 0, b""
    while at < end:
        shared, at = varint(content, at)
        own, at = varint(content, at)
        size, at = varint(content, at)
        if shared > len(key) or at + own + size > end:
            raise ValueError("an entry of the index is broken")
        key = key[:shared] + content[at : at + own]
        yield key, content[at + own : at + own + size]
        at += own + size


def unsnapped(data: bytes) -> bytes:
    """What `data` is in Snappy's format: pieces as they are, and copies of what came before."""
    size, at = varint(data, 0)
    found = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        kind, length = tag & 3, tag >> 2
        if kind == 0:
            if length >= 60:
                more = length - 59
                length, at = int.from_bytes(data[at : at + more], "little"), at + more
            found += data[at : at + length + 1]
            at += length + 1
        else:
            width = (0, 1, 2, 4)[kind]
            offset, at = int.from_bytes(data[at : at + width], "little"), at + width
            if kind == 1:
                offset, length = offset | length >> 3 << 8, (length & 7) + 3
            if not 0 < offset <= len(found):
                raise ValueError("compressed data is broken")
            for _ in range(length + 1):
                found.append(found[-offset])
        if len(found) > size:
            break
    if len(found) != size:
        raise ValueError("compressed data is broken")
    return bytes(found)

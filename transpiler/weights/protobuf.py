"""The wire format of protocol buffers: enough to take a message apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FIXED = {1: 8, 5: 4}
"""Kinds of numbers that have a fixed size."""


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message in order: their number, and an int or the bytes of a text or message. Raises ValueError."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(message, at)
            yield key >> 3, value
            continue
        if kind != 2 and kind not in FIXED:
            raise ValueError(f"no message: a field of kind {kind}")
        size = FIXED.get(kind, 0)
        if kind == 2:
            size, at = varint(message, at)
        part, at = message[at : at + size], at + size
        if len(part) != size:
            raise ValueError("a message is cut off")
        yield key >> 3, part if kind == 2 else int.from_bytes(part, "little")


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number of seven bits a byte that begins at `at`, and where it ends. Raises ValueError."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number is cut off")
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")

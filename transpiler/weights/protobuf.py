"""The wire format of protocol buffers: enough to take a message apart."""

from __future__ import annotations

FIXED = {1: 8, 5: 4}
"""Kinds of numbers that have a fixed size."""


class Message:
    """The fields of a message by number. Raises ValueError where it is none, or a field is of another kind than is asked for."""

    def __init__(self, data: bytes) -> None:
        self.values: dict[int, list[int | bytes]] = {}
        at = 0
        while at < len(data):
            key, at = varint(data, at)
            value: int | bytes
            if key & 7 == 0:
                value, at = varint(data, at)
            elif key & 7 == 2:
                size, at = varint(data, at)
                value, at = data[at : at + size], at + size
            elif key & 7 in FIXED:
                size = FIXED[key & 7]
                value, at = int.from_bytes(data[at : at + size], "little"), at + size
            else:
                raise ValueError(f"no message: a field of kind {key & 7}")
            if at > len(data):
                raise ValueError("a message is cut off")
            self.values.setdefault(key >> 3, []).append(value)

    def number(self, field: int) -> int:
        """The number in a field, 0 if there is none."""
        value = self.values.get(field, [0])[-1]
        if isinstance(value, bytes):
            raise ValueError(f"no number in field {field} of a message")
        return value

    def parts(self, field: int) -> list[bytes]:
        """All messages or texts in a field."""
        values = self.values.get(field, [])
        found = [v for v in values if isinstance(v, bytes)]
        if len(found) != len(values):
            raise ValueError(f"no text in field {field} of a message")
        return found

    def text(self, field: int) -> str:
        return b"".join(self.parts(field)[-1:]).decode("utf-8")


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

"""The checksums of TensorFlow's files: CRC-32C, masked."""

from __future__ import annotations

import functools
from typing import Any

LANES = 4096
"""In how many parts the checksum is computed at once."""

SHORT = 4 * LANES


@functools.cache
def _table() -> Any:
    import numpy as np

    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (table & 1) * np.uint32(0x82F63B78)
    return table


def masked(checksum: int) -> int:
    """A checksum as it is stored."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data`."""
    import numpy as np

    table = _table()
    if len(data) < SHORT:
        register = 0xFFFFFFFF
        for byte in data:
            register = int(table[(register ^ byte) & 0xFF]) ^ register >> 8
        return register ^ 0xFFFFFFFF
    # Zeros in front change nothing for a register that starts at 0, and a start at all ones is all ones in the first four bytes.
    bytes_ = np.zeros(-(-len(data) // LANES) * LANES, np.uint8)
    bytes_[-len(data) :] = np.frombuffer(data, np.uint8)
    bytes_[-len(data) :][:4] ^= 0xFF
    # The last 32 registers see zeros: what becomes of each bit over the length of a part.
    registers = np.concatenate([np.zeros(LANES, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)])
    padding = np.zeros(32, np.uint8)
    for column in np.ascontiguousarray(bytes_.reshape(LANES, -1).T):
        registers = table[(registers ^ np.concatenate([column, padding])) & 0xFF] ^ registers >> 8
    parts, images = registers[:LANES], registers[LANES:]
    while len(parts) > 1:
        parts = _moved(parts[::2], images) ^ parts[1::2]
        images = _moved(images, images)
    return int(parts[0]) ^ 0xFFFFFFFF


def _moved(registers: Any, images: Any) -> Any:
    """What becomes of registers over zeros, by what becomes of each bit."""
    import numpy as np

    bits = registers[:, None] >> np.arange(32, dtype=np.uint32) & 1
    return np.bitwise_xor.reduce(bits * images, axis=1)

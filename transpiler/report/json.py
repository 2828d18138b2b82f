"""Results as JSON, for other tools."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from transpiler.files import write_atomic


class Jsonable(Protocol):
    def to_json(self) -> dict[str, object]: ...


def write_json(target: str, items: Iterable[Jsonable]) -> None:
    """Writes the list of `items` to the file `target`, whole or not at all; "-" is standard output. Raises OSError.

    A number that is not finite is written as null: NaN is not JSON.
    """
    text = json.dumps([_finite(item.to_json()) for item in items], indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_atomic(Path(target), text.encode("utf-8", "backslashreplace"))


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value

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
    """Writes the list of `items` to the file `target`, whole or not at all; "-" is standard output. Raises OSError."""
    text = json.dumps([item.to_json() for item in items], indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_atomic(Path(target), text.encode("utf-8", "backslashreplace"))

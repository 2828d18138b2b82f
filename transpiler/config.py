"""`[tool.keras2torch]` in pyproject.toml: the options a project always uses."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from transpiler.options import PLAIN, TRAINERS

GENERATIONS = ("auto", "keras3", "tf_keras")
"""What `keras` may be: which Keras the source was written for."""


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Config:
    """The options, by their names in the file (there with dashes). What the command line gives goes first."""

    keras: str = "auto"
    path: tuple[Path, ...] = ()
    """Import roots; in the file relative to its own folder."""
    setup: str = ""
    allow_partial: bool = False
    trainer: str = PLAIN
    strict: bool = False


def load_config(start: Path) -> Config:
    """The table of the nearest pyproject.toml that has one, from the folder `start` upwards; else the defaults.

    Raises ConfigError for a file that is not TOML, an unknown key or a value of the wrong type.
    """
    folder = start.resolve()
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if file.is_file():
            table = _table(file)
            if table is not None:
                return _config(file, table)
    return Config()


def _table(file: Path) -> dict[str, Any] | None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from None
    table = data.get("tool", {}).get("keras2torch")
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.keras2torch must be a table")
    return table


def _config(file: Path, table: dict[str, Any]) -> Config:
    names = {field.name.replace("_", "-"): field.name for field in fields(Config)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in names:
            raise ConfigError(f"{file}: tool.keras2torch has no key `{key}`; there are {', '.join(sorted(names))}")
        values[names[key]] = _checked(file, key, value)
    return Config(**values)


def _checked(file: Path, key: str, value: Any) -> Any:
    def expect(good: bool, what: str) -> None:
        if not good:
            raise ConfigError(f"{file}: tool.keras2torch.{key} must be {what}, not {value!r}")

    if key == "keras":
        expect(value in GENERATIONS, "one of " + ", ".join(GENERATIONS))
    elif key == "trainer":
        expect(value in TRAINERS, "one of " + ", ".join(TRAINERS))
    elif key == "path":
        expect(isinstance(value, list) and all(isinstance(v, str) for v in value), "a list of folders")
        return tuple(file.parent / v for v in value)
    elif key == "setup":
        expect(isinstance(value, str), "a string of Python code")
    else:
        expect(isinstance(value, bool), "true or false")
    return value

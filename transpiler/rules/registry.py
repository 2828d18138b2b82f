"""Finds every rule by walking this package; two rules for one name are an error at import."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator

from transpiler.rules.base import LayerRule


def subclasses(cls: type) -> Iterator[type]:
    """The classes below `cls`, depth first."""
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def _load() -> None:
    import transpiler.rules as package

    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)


@functools.cache
def layer_rules() -> dict[str, LayerRule]:
    """Layer class name → its rule."""
    _load()
    found: dict[str, LayerRule] = {}
    for cls in subclasses(LayerRule):
        if not cls.keras or "keras" not in cls.__dict__:
            continue
        rule = cls()
        for name in cls.keras:
            if name in found:
                raise RuntimeError(f"two rules for {name}: {type(found[name]).__name__} and {cls.__name__}")
            found[name] = rule
    return found

"""Finds every rule by walking this package; two rules for one name are an error at import."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from transpiler.ir.model import ApiValue
from transpiler.rules.base import LayerRule

Rule = TypeVar("Rule")


def subclasses(cls: type) -> Iterator[type]:
    """The classes below `cls`, depth first."""
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def _load() -> None:
    import transpiler.rules as package

    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)


def rules_by_name(base: type[Rule], names: Callable[[type[Rule]], Iterable[str]]) -> dict[str, Rule]:
    """Every rule below `base` by the names it goes by. Raises RuntimeError if two rules have one name."""
    _load()
    found: dict[str, Rule] = {}
    for cls in dict.fromkeys(subclasses(base)):
        rule = cls()
        for name in names(cls):
            if name in found:
                raise RuntimeError(f"two rules for {name}: {type(found[name]).__name__} and {cls.__name__}")
            found[name] = rule
    return found


@functools.cache
def layer_rules() -> dict[str, LayerRule]:
    """Layer class name → its rule."""
    return rules_by_name(LayerRule, lambda cls: cls.__dict__.get("keras", ()))


def module_class(value: Any) -> str:
    """The class of torch that stands for a layer class of Keras where a program gives it on; "" if none does."""
    layers = isinstance(value, ApiValue) and value.path.rpartition(".")[0] == "keras.layers"
    rule = layer_rules().get(value.leaf) if layers else None
    return rule.module_class if rule is not None else ""

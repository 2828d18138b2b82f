"""Objects whose class derives from one of Python's own types: the part of them that is a tuple, a dict, a list …"""

from __future__ import annotations

import ast
import collections
import typing
from collections.abc import Callable
from typing import Any

from transpiler.ir.expr import MISSING
from transpiler.read.keras.evaluate.values import Class, Instance, Unknown

IMMUTABLE = (tuple, str, int, float, frozenset)
MUTABLE = (dict, list, set, collections.deque)


def native_base(cls: Class, evaluate: Callable[[ast.expr], Any]) -> type | None:
    """The type of Python's own among the bases of a class, the one that a `NamedTuple` stands for included."""
    for base in cls.mro():
        if base is typing.NamedTuple:
            return _named_tuple(cls, evaluate)
        if isinstance(base, type) and issubclass(base, (*IMMUTABLE, *MUTABLE)):
            return base
    return None


def _named_tuple(cls: Class, evaluate: Callable[[ast.expr], Any]) -> type:
    own = next(c for c in cls.mro() if isinstance(c, Class) and typing.NamedTuple in c.bases)
    fields = [s for s in own.node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
    defaults = [evaluate(s.value) for s in fields if s.value is not None]
    for field in fields:
        own.names.pop(field.target.id, None)  # type: ignore[union-attr]  # a default is no attribute of the class
    return collections.namedtuple(own.name, [s.target.id for s in fields], defaults=defaults)  # type: ignore[union-attr]


def make_native(base: type, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The native part of a new object, before `__init__` runs."""
    if issubclass(base, MUTABLE):
        return base.__new__(base)
    return base(*map(plain, args), **kwargs)


def plain(value: Any) -> Any:
    """An object's native part, if it has one, as Python's own functions see it; any other value as it is."""
    if isinstance(value, Instance) and value.native is not MISSING:
        return value.native
    return value


def native_member(instance: Instance, name: str) -> Any:
    """What `super().name` or an attribute that the class does not define finds in the native part; MISSING if nothing."""
    if instance.native is MISSING or not hasattr(instance.native, name):
        return MISSING
    if name == "__init__" and not isinstance(instance.native, MUTABLE):
        return object().__init__
    if name == "_replace":
        return lambda **changes: Instance(instance.cls, {"__native__": instance.native._replace(**changes)})
    found = getattr(instance.native, name)
    return found if callable(found) or not name.startswith("__") else Unknown(name)

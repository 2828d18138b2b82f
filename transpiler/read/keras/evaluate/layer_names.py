"""The names that Keras gives to layers by itself."""

from __future__ import annotations

import ast
import re
from typing import Any


def automatic_name(cls: str) -> str:
    """The name that Keras gives a layer of this class, without the number: Conv2D → conv2d, MaxPooling2D → max_pooling2d."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", cls)).lower()


class AutomaticName(str):
    """A name with a number that nothing here knows: what is made of it is no name that the source gave."""

    def replace(self, *args: Any) -> AutomaticName:
        return AutomaticName(super().replace(*args))

    def lower(self) -> AutomaticName:
        return self

    def __add__(self, other: str) -> AutomaticName:
        return AutomaticName(str(self) + other)

    def __radd__(self, other: str) -> AutomaticName:
        return AutomaticName(other + str(self))

    def may_be(self, name: str) -> bool:
        """Whether this could be the name, whatever the number is."""
        return re.fullmatch(re.sub(r"_\d+", r"(_\\d+)?", re.escape(self)), name) is not None

    def may_have(self, part: str) -> bool:
        """Whether the name could have this in it."""
        return part in self or any(c.isdigit() or c == "_" for c in part)


class InputName(AutomaticName):
    """The name of an input, which is the program's or Keras's."""

    def may_be(self, name: str) -> bool:
        return name == self or re.fullmatch(r"input(_layer)?(_\d+)?", name) is not None


def compare_names(op: ast.cmpop, left: Any, right: Any) -> bool | None:
    """`layer.name == "dense"` and the like where Keras has given the name; None where its number decides."""
    negated = isinstance(op, (ast.NotEq, ast.NotIn))
    if isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, (list, tuple, set, dict)):
        found = [compare_names(ast.Eq(), left, item) for item in right]
        return None if None in found and True not in found else (True in found) != negated
    if isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, AutomaticName):
        letters = re.sub(r"_\d+", "_", right)
        return (not negated) if str(left) in letters else None if right.may_have(str(left)) else negated
    if not isinstance(op, (ast.Eq, ast.NotEq)):
        return None
    if isinstance(left, AutomaticName) and isinstance(right, AutomaticName):
        return (str(left) == str(right)) != negated
    name, other = (left, right) if isinstance(left, AutomaticName) else (right, left)
    if not isinstance(name, AutomaticName):
        return (left == right) != negated
    return None if isinstance(other, str) and name.may_be(other) else negated

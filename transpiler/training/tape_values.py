"""What the expressions of code with tapes stand for."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.model import ApiObject
from transpiler.ir.shape import Shape
from transpiler.rules.ops.base import broadcast
from transpiler.rules.training.base import MetricRule, OptimizerRule
from transpiler.rules.training.registry import LossRule, training_rules


class Plain:
    """Nothing of the training: the text stays."""


PLAIN = Plain()


class Number:
    """A number of Python that stands for a scalar tensor of the source."""


NUMBER = Number()


@dataclass(frozen=True)
class Known:
    """A value of the program: a model, an optimizer, a loss, a function."""

    value: Any
    text: str = ""


@dataclass(frozen=True)
class Tensor:
    """A tensor of torch."""

    shape: Shape | None = None
    """None where not even the rank is known."""
    learns: bool = False
    """Whether it has a gradient."""
    ending: str = ""
    """The last activation of the model whose output it is, over `{0}`, if it can be taken off."""
    made: ast.Call | None = None
    """The call of the model that it comes from."""
    source: Data | None = None
    """The data that it is a part of, or of another shape, whose type follows from their uses."""
    dtype: str = "float32"
    """"" where it is that of `source`, which is not known yet."""

    @property
    def scalar(self) -> bool:
        return self.shape == ()


@dataclass(frozen=True)
class Size:
    """The shape of a tensor, read when the program runs."""

    shape: Shape | None


@dataclass(eq=False)
class Data:
    """An array or a tensor of the program's, which may have to become a tensor of a type where it is bound."""

    place: ast.stmt | None = None
    """The loop or the function that binds it; None if it is converted where it is used."""
    dtype: str = ""
    """The type that it is given as a tensor."""
    shape: Shape | None = None
    known: str = ""
    """The type that it has in the source, if that is known."""
    bare: bool = False
    """Whether it has to be a tensor, of whatever type."""


@dataclass(frozen=True)
class Variables:
    """The weights that models train: their texts."""

    models: tuple[str, ...]


@dataclass(frozen=True)
class Gradients:
    """The gradients of the weights of models, which backward() left at these, for an optimizer."""

    models: tuple[str, ...]
    optimizer: str


@dataclass(frozen=True)
class GradientList:
    """The gradients of the weights of models, or tensors like these, in a list of the result's."""

    models: tuple[str, ...]


@dataclass(eq=False)
class Tape:
    """A tape, and the statement that opened it."""

    opened: ast.With


@dataclass(frozen=True)
class Several:
    """A tuple or a list of these."""

    items: tuple[Any, ...]


@dataclass(eq=False)
class Result:
    """What became of a function: the role of what it returns."""

    roles: list[Any] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    helper: bool = False
    """Whether code under a tape calls it."""
    calls: bool = False
    """Whether it calls models."""
    running: bool = False
    """Whether its statements are being read."""


def joined(roles: list[Any]) -> Tensor:
    """The tensor that an operator makes of tensors and numbers."""
    tensors = [r for r in roles if isinstance(r, Tensor)]
    shapes = [r.shape for r in roles if isinstance(r, (Tensor, Data)) and r.shape is not None]
    open_shape = len(shapes) < sum(isinstance(r, (Tensor, Data)) for r in roles)
    dtypes = [t.dtype for t in tensors]
    dtype = "float32" if "float32" in dtypes else dtypes[0]
    source = next((t.source for t in tensors), None) if not dtype and len(tensors) == 1 else None
    return Tensor(None if open_shape else broadcast(shapes), any(t.learns for t in tensors), source=source, dtype=dtype)


def kind_of(value: Any) -> str:
    """What an object of Keras is for the training; "" for others."""
    if not isinstance(value, ApiObject):
        return ""
    home = value.api.path.split(".")[1:2]
    if home == ["optimizers"] or value.leaf in training_rules(OptimizerRule):
        return "optimizer"
    if home == ["metrics"]:
        return "metric"
    if home == ["losses"] or value.leaf in training_rules(LossRule):
        return "loss"
    return "metric" if value.leaf in training_rules(MetricRule) else ""


ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)


def enclosed(text: str) -> str:
    """An expression in brackets, where it needs them to be a part of another one."""
    return text if isinstance(ast.parse(text, mode="eval").body, ATOMS) else f"({text})"


def tidy(text: str) -> str:
    """An expression without brackets that say nothing."""
    return ast.unparse(ast.parse(text, mode="eval"))

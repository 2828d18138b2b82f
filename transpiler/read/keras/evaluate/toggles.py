"""Where a program sets `trainable`: which layers train from there on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.model import ApiObject
from transpiler.read.keras.evaluate.calls import OWN_NAMES
from transpiler.read.keras.evaluate.values import Model


@dataclass(frozen=True, eq=False)
class Toggle:
    """One assignment to `trainable` of a layer or a model."""

    statement: ast.AST
    """The outermost statement that does nothing else than such assignments."""
    target: Any
    value: Any
    late: bool
    """Whether the target is a model that was compiled before."""
    span: Any = None
    held: Mapping[str, Model] = field(default_factory=dict)
    """The variables there that hold models."""
    by_layer: bool = False
    """Whether all layers of the model were set, one by one."""

    @property
    def receiver(self) -> ast.expr | None:
        """The expression for a model that is frozen or set free; None where the statement does not name it as a whole."""
        if not isinstance(self.target, Model):
            return None
        if isinstance(self.statement, ast.For):
            return self.statement.iter.value if isinstance(self.statement.iter, ast.Attribute) else None
        target = self.statement.targets[0] if isinstance(self.statement, ast.Assign) else None
        named = isinstance(target, ast.Attribute) and isinstance(self.value, bool)
        return target.value if named else None  # type: ignore[union-attr]


class Toggles:
    """The part of the recorder that notes them."""

    stack: list[Any]
    where: Callable[[], Any]
    graph: Callable[[Any], Any]

    def begin_toggles(self) -> None:
        self.toggles: list[Toggle] = []
        """What was set to be trained or not, in order."""
        self.toggling: list[ast.stmt] = []
        """The loops and branches that do nothing else, and perhaps nothing at all."""
        self.left_to_training: set[int] = set()
        """Models and layers, by their ids, that only the training code can freeze, as their layers stand in other classes."""
        self.setting_in: Any = None
        """The scope of the assignment under evaluation."""

    def assign(self, target: ast.expr, value: Any, env: Any) -> None:
        self.setting_in = env
        super().assign(target, value, env)  # type: ignore[misc]

    def attribute_set(self, target: Any, name: str, value: Any) -> None:
        if name == "trainable":
            late = isinstance(target, Model) and "__compiled__" in target.attributes
            held = held_around(self.setting_in) if self.setting_in is not None else {}
            self.toggles.append(Toggle(self.stack[-1][1], target, value, late, self.where(), held))
        super().attribute_set(target, name, value)  # type: ignore[misc]

    def exec_If(self, node: ast.If, env: Any) -> Any:
        before = len(self.toggles)
        signal = super().exec_If(node, env)  # type: ignore[misc]
        self.gather(node, before)
        return signal

    def exec_For(self, node: ast.For, env: Any) -> Any:
        before = len(self.toggles)
        signal = super().exec_For(node, env)  # type: ignore[misc]
        self.gather(node, before)
        if len(node.body) == 1 and isinstance(node.iter, ast.Attribute) and node.iter.attr == "layers":
            self.join_toggles(node, self.eval(node.iter.value, env), before)  # type: ignore[attr-defined]
        return signal

    def gather(self, node: ast.stmt, before: int) -> None:
        """Has what a statement has set stand as its own, where it does nothing else."""
        if not only_toggles(node):
            return
        self.toggles[before:] = [replace(t, statement=node) for t in self.toggles[before:]]
        if sets_trainable(node):
            self.toggling.append(node)

    def join_toggles(self, node: ast.For, model: Any, before: int) -> None:
        """`for layer in model.layers: layer.trainable = False` is `model.trainable = False`."""
        found = self.toggles[before:]
        own = [x for x in getattr(model, "layers", None) or () if not isinstance(x, ApiObject)]
        if not isinstance(model, Model):
            return
        layers = self.graph(model).layers() if not model.sequential else own
        targets = [t.target for t in found]
        alike = len({(t.value, t.late) for t in found}) == 1 and {t.statement for t in found} == {node}
        if alike and all(any(t is x for t in targets) for x in layers if not isinstance(x, ApiObject)):
            late = "__compiled__" in model.attributes
            self.toggles[before:] = [replace(found[0], target=model, late=late, by_layer=True)]


def held_around(env: Any) -> dict[str, Model]:
    """The variables that hold models in a scope, and those of the top level for models that it has no variables of."""
    own = {n: v for n, v in env.names.items() if isinstance(v, Model) and n not in OWN_NAMES}
    others = {n: v for n, v in env.top.names.items() if isinstance(v, Model) and not any(v is o for o in own.values())}
    return others | own


def only_toggles(statement: ast.stmt) -> bool:
    """Whether a statement does nothing but set `trainable`, and variables that say where to."""
    if isinstance(statement, (ast.For, ast.If)):
        return all(map(only_toggles, (*statement.body, *statement.orelse)))
    if isinstance(statement, ast.Assign):
        return all(
            isinstance(t, ast.Name) or isinstance(t, ast.Attribute) and t.attr == "trainable" for t in statement.targets
        )
    return isinstance(statement, (ast.Pass, ast.Continue, ast.Break))


def sets_trainable(statement: ast.stmt) -> bool:
    return any(isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) for n in ast.walk(statement))

"""The batch that a `train_step` or `test_step` of the program's is given, and the tests of what it is made of."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, Any

from transpiler.ir.trees import nodes
from transpiler.training.tape_values import PLAIN, Known, Several, kind_of

if TYPE_CHECKING:
    from transpiler.training.own_steps import Own

UNPACKING = "unpack_x_y_sample_weight"


class Batches:
    """The part of a step that takes its batch apart."""

    own: Own
    batch: tuple[str, ...]
    given: str
    nones: frozenset[str]
    writer: Any
    roles: dict[str, Any]
    decline: Any

    def unpacks(self, target: ast.expr, value: ast.expr) -> bool:
        """Whether a statement takes the batch apart, into the variables that the loop has for it."""
        names = unpacked(target, value, self.given)
        if not names:
            return False
        calls = isinstance(value, ast.Call)
        role = self.roles.get(self.given)
        items = role.items if isinstance(role, Several) else (role,)
        if calls:
            self.nones |= set(names[len(items) :])
        if (not calls and len(names) != len(items)) or tuple(names[: len(items)]) != self.batch:
            raise self.decline(value, "a batch that is taken apart in several ways is not translated")
        self.roles |= dict(zip(names, items)) | dict.fromkeys(names[len(items) :], PLAIN)
        return True

    def decided(self, test: ast.expr) -> bool | None:
        """The outcome of a test of what a batch is made of, or of the name of a metric; None for others."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.decided(test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance" and len(test.args) == 2:
            kinds = ast.unparse(test.args[1])
            if (
                isinstance(test.args[0], ast.Name)
                and test.args[0].id == self.given
                and kinds in ("tuple", "(tuple, list)", "(list, tuple)")
            ):
                return isinstance(self.roles.get(self.given), Several)
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return None
        left, right = test.left, test.comparators[0]
        equal = isinstance(test.ops[0], (ast.Eq, ast.Is))
        if not equal and not isinstance(test.ops[0], (ast.NotEq, ast.IsNot)):
            return None
        if (
            isinstance(left, ast.Name)
            and isinstance(right, ast.Constant)
            and right.value is None
            and left.id in self.roles
        ):
            return (left.id in self.nones) == equal
        role = self.roles.get(self.given)
        if ast.unparse(left) == f"len({self.given})" and isinstance(right, ast.Constant) and isinstance(role, Several):
            return (len(role.items) == right.value) == equal
        if isinstance(left, ast.Attribute) and left.attr == "name" and isinstance(right, ast.Constant):
            metric = self.roles.get(left.value.id) if isinstance(left.value, ast.Name) else None
            if isinstance(metric, Known) and kind_of(metric.value) == "metric":
                return (self.own.name_of_metric(metric.value) == right.value) == equal
        return None

    def copied(self, body: list[ast.stmt], name: str, text: str) -> list[ast.stmt]:
        """A loop's body for one of its rounds, in which the variable is another text."""
        scopes, found = self.writer.training.scopes, copy.deepcopy(body)
        for old, new in zip(body, found):
            pairs = dict(zip(ast.walk(old), ast.walk(new)))
            for was, now in pairs.items():
                scopes.scope[now] = scopes.scope.get(was)
                if was in scopes.statement:
                    scopes.statement[now] = pairs.get(scopes.statement[was], now)  # type: ignore[assignment]
                if isinstance(now, ast.Name) and now.id == name:
                    self.writer.changes.texts[now] = text
        return found


def unpacked(target: ast.expr, value: ast.expr, batch: str) -> list[str]:
    """The variables that a statement takes a batch apart into; none for other statements."""
    source = value
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == UNPACKING and len(value.args) == 1:
        source = value.args[0]
    if not isinstance(source, ast.Name) or source.id != batch or not isinstance(target, (ast.Tuple, ast.List)):
        return []
    return (
        [t.id for t in target.elts if isinstance(t, ast.Name)]
        if all(isinstance(t, ast.Name) for t in target.elts)
        else []
    )


def batch_names(method: ast.FunctionDef, batch: str, count: int | None) -> list[str]:
    """What a step calls the parts of its batch, `count` of them, if it takes it apart."""
    for n in nodes(method):
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and (names := unpacked(n.targets[0], n.value, batch)):
            if isinstance(n.value, ast.Call):
                return names[:count]
            if count is None or len(names) == count:
                return names
    return []

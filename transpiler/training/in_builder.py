"""Optimizers that builders choose by their parameters: the factory makes them, as attributes of its models."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import ApiObject
from transpiler.ir.program import Static
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.training_calls import TrainingCall, argument_nodes
from transpiler.read.keras.names import is_framework
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.training.called import DIFFERENT, beside_arguments
from transpiler.training.file import FileTraining
from transpiler.training.groups import Group
from transpiler.training.loops import DEVICE
from transpiler.training.trainer import optimizer_lines, optimizer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from transpiler.training.compiled import Training


class OptimizerInBuilder:
    """Writes the statements of a builder that choose the optimizer of its model, for its factory."""

    def __init__(
        self,
        file: FileTraining,
        owner: ast.Call,
        compiles: Sequence[TrainingCall],
        optimizer_of: Callable[[TrainingCall], OptimizerCode],
        made: Callable[[OptimizerCode, str], list[str]],
    ) -> None:
        self.file, self.owner, self.compiles, self.optimizer_of = file, owner, compiles, optimizer_of
        self.made = made
        """The statements that make an optimizer of a variable."""
        self.builder: Any = file.scopes.scope[owner]
        self.codes: list[OptimizerCode] = []
        """All optimizers that it may choose."""
        self.raised: set[str] = set()
        """What the factory does before it constructs the model: it raises where there is no optimizer."""

    def write(self) -> None:
        """Has the factory make the optimizer. Raises Declined where what decides is not all in its parameters."""
        factory = self.file.factories.get(self.builder)
        receiver = self.owner.func.value if isinstance(self.owner.func, ast.Attribute) else None
        node = (argument_nodes(self.owner, "compile", self.file.generation) or {}).get("optimizer")
        one = factory is not None and factory.statements is None and not isinstance(factory.returned, (tuple, list))
        if not one or not isinstance(receiver, ast.Name) or node is None or self.bound(receiver.id) > 1:
            raise Declined(TRAINING, DIFFERENT)
        self.raised = {ast.unparse(op.statement) for op in factory.prologue.walk() if isinstance(op, Static)}
        lines = [f"{receiver.id}.to({DEVICE})", *self.chosen(node, receiver.id)]
        if self.file.edit.endings.setdefault(self.builder, (receiver.id, lines)) != (receiver.id, lines):
            raise Declined(TRAINING, DIFFERENT)

    def chosen(self, node: ast.expr, model: str) -> list[str]:
        """The statements for the optimizer that an expression gives `compile`."""
        if isinstance(node, ast.IfExp):
            test = self.readable(node.test)
            return [f"if {test}:", *indented(self.chosen(node.body, model)), "else:", *indented(self.chosen(node.orelse, model))]  # fmt: skip
        if isinstance(node, ast.Call):
            return self.of_call(node, model)
        if isinstance(node, ast.Constant):
            return self.of_code(self.compiles[-1], model)
        names = {c.arguments.get("optimizer") for c in self.compiles}
        if all(isinstance(n, str) for n in names):
            return self.by_name(self.readable(node), model)
        setting = [s for s in self.builder.body if self.sets(s, node)]
        if not isinstance(node, ast.Name) or not setting or setting[-1].lineno > node.lineno:
            raise Declined(TRAINING, DIFFERENT)
        lines = self.of_statement(setting[0], node.id, model)
        return lines + [line for s in setting[1:] for line in self.of_statement(s, node.id, model, again=True)]

    def by_name(self, text: str, model: str) -> list[str]:
        """The statements for an optimizer whose name a parameter has: those that were seen."""
        found = {c.arguments["optimizer"]: c for c in self.compiles}
        lines: list[str] = []
        for i, name in enumerate(sorted(found)):
            lines += [f"{'elif' if i else 'if'} {text} == {name!r}:", *indented(self.of_code(found[name], model))]
        message = f"K2T301: converted for {text}={' and '.join(map(repr, sorted(found)))} only"
        return [*lines, "else:", f"    raise NotImplementedError({message!r})"]

    def of_statement(self, statement: ast.stmt, name: str, model: str, again: bool = False) -> list[str]:
        """The statements for one that sets the variable of the optimizer, `again` where it is set in any case."""
        if isinstance(statement, ast.Assign) and [ast.unparse(t) for t in statement.targets] == [name]:
            return self.chosen(statement.value, model)
        if isinstance(statement, ast.Raise):
            self.readable(statement)
            return [ast.unparse(statement)]
        if not isinstance(statement, ast.If):
            raise Declined(TRAINING, DIFFERENT)
        if len(statement.orelse) == 1 and ast.unparse(statement.orelse[0]) in self.raised:
            return [f"if {self.readable(statement.test)}:", *indented(self.of_side(statement.body, name, model, again))]
        sides = [self.of_side(side, name, model, again) for side in (statement.body, statement.orelse)]
        if not sides[1] and not again:
            raise Declined(TRAINING, DIFFERENT)
        lines = [f"if {self.readable(statement.test)}:", *indented(sides[0])]
        if len(statement.orelse) == 1 and isinstance(statement.orelse[0], ast.If):
            return [*lines, f"el{sides[1][0]}", *sides[1][1:]]
        return [*lines, *(["else:", *indented(sides[1])] if sides[1] else [])]

    def of_side(self, body: Sequence[ast.stmt], name: str, model: str, again: bool) -> list[str]:
        return [line for s in body for line in self.of_statement(s, name, model, again)]

    def of_call(self, node: ast.Call, model: str) -> list[str]:
        """The statements for an optimizer that the builder makes; also where no call of it came there."""
        seen = [c for c in self.compiles if c.objects.get(c.arguments.get("optimizer")) is node]  # type: ignore[arg-type]
        if len({repr(self.optimizer_of(c)) for c in seen}) > 1:  # one call for several classes
            raise Declined(TRAINING, DIFFERENT)
        if seen:
            return self.of_code(seen[-1], model)
        last = self.compiles[-1]
        try:
            value = self.file.interpreter.eval(node, last.env)
        except (Declined, ProgramError):
            value = None
        if not isinstance(value, ApiObject):
            raise Declined(TRAINING, DIFFERENT)
        lines = self.of_code(self.with_optimizer(last, value, node), model)
        own = {n.id for n in nodes(node) if isinstance(n, ast.Name) and self.bound(n.id)}
        if not own <= {n.id for n in nodes(ast.parse("\n".join(lines))) if isinstance(n, ast.Name)}:
            raise Declined(TRAINING, DIFFERENT)  # a number that is only what it was in the last call
        return lines

    @staticmethod
    def with_optimizer(last: TrainingCall, value: ApiObject, node: ast.Call) -> TrainingCall:
        """A `compile` as it would have been with another optimizer."""
        return replace(last, arguments={**last.arguments, "optimizer": value}, objects={**last.objects, value: node})

    def of_code(self, compiled: TrainingCall, model: str) -> list[str]:
        code = self.optimizer_of(compiled)
        self.codes.append(code)
        texts = [code_of(v) for v in code.arguments.values()]
        for text in [*texts, code.schedule.factor if code.schedule is not None else "0"]:
            self.readable(ast.parse(text), {"step"})
        return self.made(code, model)

    def readable(self, node: ast.AST, known: set[str] = set()) -> str:  # noqa: B006
        """An expression as the factory has it. Raises Declined where it reads more than parameters and what is bound once."""
        a = self.builder.args
        parameters = {p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
        for name in [n.id for n in nodes(node) if isinstance(n, ast.Name)]:
            own = (self.builder, name) in self.file.scopes.bound
            fits = name in parameters and self.bound(name) == 1 if own else self.is_plain(name)
            if name not in known and not fits:
                raise Declined(TRAINING, DIFFERENT)
        return ast.unparse(node)

    def is_plain(self, name: str) -> bool:
        """Whether a name from outside means the same in the result: it is bound once, and no part of Keras."""
        value = self.file.names_of_file.get(name)
        home = getattr(value, "name", "") or getattr(value, "path", "")
        return self.file.scopes.bound.get((None, name), 0) <= 1 and not (isinstance(home, str) and is_framework(home))

    def bound(self, name: str) -> int:
        return self.file.scopes.bound.get((self.builder, name), 0)

    @staticmethod
    def sets(statement: ast.stmt, node: ast.expr) -> bool:
        """Whether a statement, or one inside of it, sets a variable."""
        named = [n for n in nodes(statement) if isinstance(n, ast.Name) and n.id == ast.unparse(node)]
        return any(not isinstance(n.ctx, ast.Load) for n in named)


def indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def codes_in_builder(file: FileTraining, training: Training, group: Group, changing: bool) -> list[OptimizerCode]:
    """Has the factory choose the optimizer of a model that carries it; all that it may choose. Raises Declined where it cannot."""
    owner = group.owner
    assert owner is not None
    training.in_builder, training.bound, training.first, training.names = True, [], None, {}
    file = file.home_of(owner)
    builder = OptimizerInBuilder(
        file,
        owner,
        group.compiles,
        lambda c: optimizer_of(c, owner, file.scopes, file.generation, changing),
        lambda code, model: made_in_file(file, code, [model], f"{model}.optimizer", f"{model}.scheduler"),
    )
    builder.write()
    if any(beside_arguments(code) != beside_arguments(training.seen) for code in builder.codes):
        raise Declined(TRAINING, DIFFERENT)
    return builder.codes


def made_in_file(
    file: FileTraining, code: OptimizerCode, models: Sequence[str], optimizer: str, scheduler: str
) -> list[str]:
    """The statements that make an optimizer, in a file that gets what these need."""
    file.edit.needs(code.all_helpers)
    file.edit.dropped_names |= set(code.helpers)
    return optimizer_lines(code, models, optimizer, scheduler)

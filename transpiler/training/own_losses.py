"""Losses that the program defines as classes: `keras.losses.Loss` with a `call` of its own, as modules of torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3, ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.measures import is_own_loss
from transpiler.read.keras.evaluate.training_calls import TrainingCall, argument_nodes
from transpiler.read.keras.evaluate.values import Class, Env, Function, Instance
from transpiler.read.keras.measuring import LOGITS
from transpiler.rules.training.base import TRAINING, Measure, Prediction
from transpiler.training.file import FileTraining
from transpiler.training.own_class import constructor
from transpiler.training.own_steps import StepWriter
from transpiler.training.tape_values import Data, Several, Tensor
from transpiler.training.trainer import OnTensors, kind_of_target, snake_case

OF_EPOCHS = re.compile(
    r"(x|y|loss|own|output|logits|mask|weights?|device|count|batch|batches|model|loader|optimizer|scheduler|module|"
    r"logged|options|prefix|self|total_\w+)\d*"
)
"""The variables of the functions that train for an epoch."""

LEFT_OUT = ("__init__", "call", "get_config", "from_config")


@dataclass(eq=False)
class LossClass:
    """What stands for `self` in the methods of a loss (as `Own` does for a model)."""

    cls: Class
    instance: Instance
    generation: str
    self_name: str = "self"
    holder: bool = True
    model: Any = None
    graph: Any = None
    models: dict[str, Any] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> Mapping[str, Any]:
        return {n: v for n, v in self.instance.attributes.items() if not n.startswith("__")}

    def made_with(self, attribute: str) -> bool:
        return True


@dataclass(frozen=True)
class Losses:
    """The losses of the program that one `compile` names; also says what functions of the program return."""

    file: FileTraining
    compiled: TrainingCall

    def __call__(self, function: Function) -> OnTensors | None:
        found = self.file.functions_of_program(function)
        if found is None or function.owner is not None:
            return found
        if found.made_at is not None:
            return replace(found, name=self.name_of_made(found.made_at, function))
        name = self.file.name_here(found.name, self.file.home_of(function.node))
        if name is None:
            raise Declined(TRAINING, f"{function.name}() of another file cannot be imported by that name")
        return replace(found, name=self.beside_epochs(name))

    def measure(self, loss: Instance, output: Prediction) -> Measure:
        """A loss of the program on an output. Raises Declined where it is not translated."""
        file, cls, node = self.file, loss.cls, loss.cls.node
        if not is_own_loss(loss):
            raise Declined(TRAINING, f"an object of {cls.name} as a loss is not translated")
        home = file.home_of(node)
        if len(cls.bases) != 1 or not isinstance(cls.bases[0], ApiValue) or node not in home.source.tree.body:
            raise Declined(TRAINING, f"{cls.name}, a loss that derives from another class of the program")
        others = [s.name for s in node.body if isinstance(s, ast.FunctionDef) and s.name not in LEFT_OUT]  # type: ignore[attr-defined]
        method = cls.lookup("call")
        if others or not isinstance(method, Function) or not isinstance(method.node, ast.FunctionDef):
            raise Declined(TRAINING, f"{cls.name}: {others[0] if others else 'call'}() of a loss is not translated")
        if takes_options(cls):
            raise Declined(TRAINING, f"{cls.name} says how its values are reduced")
        of_home, on_logits = Losses(home, self.compiled), False
        try:
            with home.all_or_nothing():
                rank, text = of_home.write(loss, method, output)
        except Declined:
            known = self(method)
            if known is None or known.on_logits and not output.logits or self.target_shape(output) != output.shape:
                raise
            rank, on_logits, text = known.rank, known.on_logits, of_home.write_traced(loss, method, known)
        if home.edit.replaced.get(node, text) != text:
            raise Declined(TRAINING, f"{cls.name} is used on outputs of different kinds")
        home.edit.replaced[node] = text
        variable = self.variable(loss)
        target = (
            "{target}" if file.generation == KERAS3 or tuple(output.shape[1:]) != (1,) else "{target}.view_as({output})"
        )
        whole = f"{variable}({target}, {{output}})"
        each = f"{whole}.flatten(1).mean(dim=1)" if rank > 1 else whole
        mean = f"{whole}.mean()" if rank else whole
        return Measure(mean, each if rank else "", on_logits=on_logits, target=kind_of_target(output), whole=not rank)

    def write(self, loss: Instance, method: Function, output: Prediction) -> tuple[int, str]:
        """The rank of what a loss returns, and the text of its class."""
        file, node = self.file, method.node
        assert isinstance(node, ast.FunctionDef)
        names = [a.arg for a in node.args.args]
        if len(names) != 3:
            raise Declined(TRAINING, f"call() of {loss.cls.name} has other arguments", "", file.source.span(node))
        writer: Any = StepWriter(file, LossClass(loss.cls, loss, file.generation, names[0]))  # type: ignore[arg-type]
        data = Data(node)
        known = output.logits or ("hidden" if output.hidden else "")
        ending = f"{known}({{0}})" if known else ""  # crossentropies in the loss would take the logits
        roles = {names[1]: Tensor(self.target_shape(output), source=data), names[2]: Tensor(output.shape, True, ending)}
        env = Env(method.env, "function", method.module, {names[0]: loss})
        region = writer.region(node, env, roles, True)
        region.roles |= roles
        region.own, region.receiver = writer.own, names[0]
        region.run(node.body)
        region.finish()
        found = region.result.roles
        if (
            len(found) != 1
            or not isinstance(found[0], Tensor)
            or isinstance(found[0], Several)
            or found[0].shape is None
        ):
            raise Declined(TRAINING, f"what call() of {loss.cls.name} returns is not known", "", file.source.span(node))
        if data.dtype not in ("", "torch.float32"):
            raise Declined(TRAINING, f"call() of {loss.cls.name} takes whole numbers", "", file.source.span(node))
        forward = writer.blocks.statement(node)
        start = next(i for i, line in enumerate(forward) if line.rstrip().endswith(":"))
        text = class_text(loss, writer, names, [line.removeprefix("    ") for line in forward[start + 1 :]])
        writer.place_changes()
        return len(found[0].shape), text

    def write_traced(self, loss: Instance, method: Function, known: OnTensors) -> str:
        """The text of a class of which `call` was tried out on tensors."""
        names = [a.arg for a in method.node.args.args]
        if known.on_logits:
            names[2] = LOGITS
        writer: Any = StepWriter(self.file, LossClass(loss.cls, loss, self.file.generation, names[0]))  # type: ignore[arg-type]
        text = class_text(loss, writer, names, list(known.body))
        self.file.edit.needs(known.helpers)
        writer.place_changes()
        return text

    def target_shape(self, output: Prediction) -> Any:
        """The shape of the targets: as they are given in Keras 3, that of the output in legacy Keras."""
        if self.file.generation != KERAS3:
            return output.shape
        shapes = self.shapes_of_targets()
        if shapes == {tuple(output.shape)}:
            return output.shape
        if len(shapes) == 1 and (shape := shapes.pop()) is not None:
            return shape
        raise Declined(TRAINING, "the shape of the targets, which a loss of the program is given as they are")

    def shapes_of_targets(self) -> set[tuple[Any, ...] | None]:
        """The shapes of the targets that models of this `compile` are given; None for one that is not known."""
        used = [e for found in self.file.calls.values() for e in found if e.compiled is self.compiled]
        given = [e.arguments.get("y") for e in used if e.arguments.get("y") is not None]
        return {(None, *y.shape[1:]) if isinstance(y, NumpyArray) else None for y in given}

    def check_targets(self, output: Prediction) -> None:
        """Raises Declined for targets of other shapes than the output, where functions of the program see these or squeezed ones."""
        for shape in self.shapes_of_targets() - {None}:
            assert shape is not None
            of_output = (
                output.shape[:1] if tuple(output.shape[1:]) == (1,) and len(shape) == 1 else output.shape
            )  # an axis is added
            alike = len(shape) == len(of_output) and all(s == t or None in (s, t) for s, t in zip(shape, of_output))
            if not alike:
                raise Declined(
                    TRAINING, f"targets of shape {shape} for a function of the program on outputs of {output.shape}"
                )

    def name_of_made(self, node: ast.Call, function: Function) -> str:
        """The variable that holds a function which another one has made at `node`."""
        file, home = self.file, self.file.home_of(node)
        made = next((s for s in home.source.tree.body if isinstance(s, ast.Assign) and s.value is node), None)
        target = made.targets[0] if made is not None and len(made.targets) == 1 else None
        if (
            made is not None
            and isinstance(target, ast.Name)
            and home.scopes.reads_alike(target, home.source.tree.body[-1])
        ):
            if home is file and self.made_at(target) is made and self.can_move(node.func, *arguments(node)):
                return self.moved(made, node, target.id)
            if name := file.name_here(target.id, home):
                return self.beside_epochs(name)
        here = self.call_here(node)
        if here is None or home is file and not self.can_move(node.func, *arguments(node)):
            raise Declined(TRAINING, f"where {function.name}() is made cannot be followed")
        return self.holding(here, "criterion")

    def beside_epochs(self, name: str) -> str:
        """A name, or another one for the same where the functions for an epoch have a variable of that name."""
        return self.holding(ast.Name(name), name) if OF_EPOCHS.fullmatch(name) else name

    def holding(self, node: ast.expr, name: str) -> str:
        """A variable of the file that holds what an expression gives: `name`, or one like it."""
        name = f"{name}_fn" if OF_EPOCHS.fullmatch(name) else name
        text = "{0} = " + ast.unparse(node).replace("{", "{{").replace("}", "}}")
        known = next((n for n, t in self.file.functions.items() if t == text.format(n)), "")
        if not known:
            known = self.file.names.take(name)
            self.file.functions[known] = text.format(known)
        return known

    def moved(self, statement: ast.Assign, node: ast.Call, name: str) -> str:
        """The variable of a statement that goes where the functions of the training are."""
        self.file.edit.removed.add(statement)
        if OF_EPOCHS.fullmatch(name):
            return self.holding(node, name)
        self.file.functions[name] = f"{name} = {ast.unparse(node)}"
        return name

    def variable(self, loss: Instance) -> str:
        """The variable that holds the loss."""
        file = self.file
        node = (argument_nodes(self.compiled.node, "compile", file.generation) or {}).get("loss")
        made = self.made_at(node) if isinstance(node, ast.Name) else None
        if made is not None:
            node = made.value
        here = self.call_here(node) if isinstance(node, ast.Call) else None
        if here is None or node in file.scopes.scope and not self.can_move(*arguments(node)):  # type: ignore[arg-type]
            raise Declined(TRAINING, f"where an object of {loss.cls.name} is made cannot be followed")
        if made is not None:
            file.edit.removed.add(made)
        here.keywords = [k for k in here.keywords if k.arg != "name" or "name" in self.parameters(loss)]
        return self.holding(here, snake_case(loss.cls.name))

    def call_here(self, node: ast.Call) -> ast.Call | None:
        """A call as this file makes it above its functions; None where it may mean something else there."""
        func, *given = (self.file.written_here(a) for a in (node.func, *arguments(node)))
        if func is None or not all(given):
            return None
        positional, named = given[: len(node.args)], given[len(node.args) :]
        return ast.Call(func, positional, [ast.keyword(k.arg, v) for k, v in zip(node.keywords, named)])  # type: ignore[arg-type]

    def can_move(self, *read: ast.expr) -> bool:
        """Whether expressions surely have the same values at the top level, where what they read has been set."""
        scopes, body = self.file.scopes, self.file.source.tree.body
        names = {n.id for e in read for n in nodes(e) if isinstance(n, ast.Name)}
        inside = [
            s
            for s in body
            if isinstance(s, (ast.For, ast.While, ast.If, ast.With, ast.Try)) and scopes.bound_by(s) & names
        ]
        return not inside and all(scopes.reads_alike(e, body[-1]) for e in read)

    def made_at(self, name: ast.Name) -> ast.Assign | None:
        """The statement of the top level that makes the object in a variable that nothing but `compile` reads."""
        file = self.file
        compiles = [n for n, found in file.calls.items() if any(e.method == "compile" for e in found)]
        given = {n for node in compiles for n in nodes(node)}
        others = [n for n in file.scopes.scope if isinstance(n, ast.Name) and n.id == name.id and n not in given]
        assigned = [
            s
            for s in self.file.source.tree.body
            if isinstance(s, ast.Assign) and [ast.unparse(t) for t in s.targets] == [name.id]
        ]
        return assigned[0] if len(others) == len(assigned) == 1 else None

    @staticmethod
    def parameters(loss: Instance) -> list[str]:
        method = loss.cls.lookup("__init__")
        return [a.arg for a in method.node.args.args] if isinstance(method, Function) else []


def class_text(loss: Instance, writer: Any, names: list[str], body: list[str]) -> str:
    """The class of a loss as a module; `names` are the parameters of `forward`."""
    lines = [f"class {loss.cls.name}(nn.Module):"]
    if document := ast.get_docstring(loss.cls.node, clean=False):  # type: ignore[arg-type]
        lines += [f'    """{document}"""', ""]
    if loss.cls.lookup("__init__") is not None:
        lines += [*constructor(writer), ""]
    given = f"{names[0]}, {names[1]}: Tensor, {names[2]}: Tensor"
    return "\n".join(
        [*lines, f"    def forward({given}) -> Tensor:", *(f"        {line}" if line.strip() else "" for line in body)]
    )


def arguments(node: ast.Call) -> list[ast.expr]:
    return [*node.args, *(k.value for k in node.keywords)]


def takes_options(cls: Class) -> bool:
    """Whether the constructor hands on more than the name."""
    method = cls.lookup("__init__")
    calls = [n for n in ast.walk(method.node) if isinstance(n, ast.Call)] if isinstance(method, Function) else []
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
            return bool(call.args) or any(k.arg != "name" for k in call.keywords)
    return False

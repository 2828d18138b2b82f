"""The statements of one function, or of the top level of a file, that train with tapes, as PyTorch."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.arrays import DataArray
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.syntax import as_load, assigned_names
from transpiler.read.keras.evaluate.tapes import is_tape, means_tape
from transpiler.read.keras.evaluate.values import Env, Model, Unknown
from transpiler.training.tape_expressions import Expressions
from transpiler.training.tape_gradient_lists import APPLYING
from transpiler.training.tape_gradients import Gradient
from transpiler.training.tape_lowered import known_dtype
from transpiler.training.tape_values import (
    NUMBER,
    PLAIN,
    Data,
    GradientList,
    Gradients,
    Known,
    Result,
    Several,
    Tape,
    Tensor,
    Variables,
    kind_of,
)

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


@dataclass(frozen=True)
class ModelCall:
    """A call of a model: its text, whether it is for training, and the statements around it, the outermost first."""

    text: str
    mode: bool | str
    path: tuple[ast.stmt, ...]
    taped: bool


class Region(Gradient, Expressions):
    """One run over the statements of a scope, in order."""

    def __init__(
        self, writer: TapeWriter, node: ast.AST, env: Env, roles: dict[str, Any], helper: bool = False
    ) -> None:
        self.writer, self.node, self.env, self.roles, self.helper = writer, node, env, roles, helper
        self.under: list[ast.With] = []
        """The tapes that record."""
        self.path: list[ast.stmt] = []
        self.calls: list[ModelCall] = []
        self.plain: list[tuple[ast.stmt, ...]] = []
        """The statements around calls of functions of tapes that are outside of any."""
        self.only_arrays: list[tuple[Data, ast.AST, str]] = []
        """What tensors of torch do in another way than arrays and tensors of TensorFlow."""
        self.inner: set[ast.stmt] = set()
        """Statements that call functions with code of this kind."""
        self.bound: list[tuple[str, Data]] = []
        """What loops and the function bind, in order."""
        self.result = Result()
        self.stale: set[str] = set()
        """Variables of what another tape recorded, which is constant under the next one."""
        self.called_under: dict[ast.With, set[str]] = {}
        """The models that are called under a tape."""
        self.spared: dict[ast.stmt, set[ast.AST]] = {}
        """Statements that bind predictions → the places that read their logits instead."""

    # --- statements ------------------------------------------------------------------------------------------------

    def run(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.path.append(statement)
            self.do(statement)
            self.path.pop()

    def do(self, statement: ast.stmt) -> None:
        method = getattr(self, f"do_{type(statement).__name__}", None)
        if method is None:
            raise self.decline(statement, f"{type(statement).__name__} statements beside a tape are not translated")
        method(statement)

    def do_nothing(self, statement: ast.stmt) -> None:
        """Nothing of the training can be in it."""

    do_Pass = do_Break = do_Continue = do_Import = do_ImportFrom = do_Global = do_nothing

    def do_FunctionDef(self, statement: ast.FunctionDef) -> None:
        if any(map(is_tape, nodes(statement))):
            raise self.decline(statement, "a function with a tape inside of another function is not translated")

    def do_With(self, statement: ast.With) -> None:
        if not is_tape(statement):
            for item in statement.items:
                self.leave(item.context_expr)
            self.run(statement.body)
            return
        for item in statement.items:
            call = item.context_expr
            if not (isinstance(call, ast.Call) and means_tape(self.value_of(call.func))):
                raise self.decline(statement, "another context beside a tape is not translated")
            options = {k.arg: self.value_of(k.value) for k in call.keywords}
            if call.args or set(options) - {"persistent"} or not isinstance(item.optional_vars, ast.Name):
                raise self.decline(statement, "this way to open a tape is not translated")
            self.roles[item.optional_vars.id] = Tape(statement)
        self.writer.changes.opened.add(statement)
        self.writer.done_tapes.add(statement)
        if not self.under:
            self.stale = {
                n for n, r in self.roles.items() if isinstance(r, Tensor) and r.learns or isinstance(r, Several)
            }
        self.under.append(statement)
        self.called_under[statement] = set()
        self.run(statement.body)
        self.under.pop()

    def do_For(self, statement: ast.For) -> None:
        over, target = numbered(statement)
        rows = self.see(over)
        if isinstance(rows, Tensor) and rows.shape != ():
            if target is not statement.target:
                self.bind_data(statement.target.elts[0], statement, None, None)  # type: ignore[attr-defined]
            shape = None if rows.shape is None else rows.shape[1:]
            self.bind_role(target, Tensor(shape, rows.learns, source=rows.source, dtype=rows.dtype), over)
            self.run(statement.body)
            self.run(statement.orelse)
            return
        role = self.see(statement.iter)
        items = role.items if isinstance(role, Several) else ()
        if items:
            raise self.decline(statement, "a loop over tensors beside a tape is not translated")
        self.let_go(statement.iter, role)
        part, items = self.writer.interpreter.items_looped.get(statement.target, (None, None))
        self.bind_data(statement.target, statement, part, items)
        self.run(statement.body)
        self.run(statement.orelse)

    def bind_data(self, target: ast.expr, place: ast.stmt, part: ast.expr | None, items: Any) -> None:
        """Gives the variables of a loop their roles; `items` is what is known of the items of a pipeline in `part` of them."""
        if target is part and isinstance(target, (ast.Tuple, ast.List)) and isinstance(items, tuple):
            known = items if len(items) == len(target.elts) else [None] * len(target.elts)
            for one, item in zip(target.elts, known):
                self.bind_data(one, place, one, item)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self.bind_data(one, place, part, items)
        elif isinstance(target, ast.Starred):
            self.bind_data(target.value, place, None, None)
        elif isinstance(target, ast.Name):
            array = items if target is part and isinstance(items, DataArray) else None
            data = Data(place) if array is None else Data(place, shape=array.shape, known=known_dtype(array.dtype))
            self.roles[target.id] = data
            self.bound.append((target.id, data))

    def do_While(self, statement: ast.While) -> None:
        self.leave(statement.test)
        self.run(statement.body)
        self.run(statement.orelse)

    def do_If(self, statement: ast.If) -> None:
        self.leave(statement.test)
        before = dict(self.roles)
        self.run(statement.body)
        then, self.roles = self.roles, dict(before)
        self.run(statement.orelse)
        for name in {*then, *self.roles}:
            one, other = then.get(name), self.roles.get(name)
            if one != other and (isinstance(one, (Tensor, Gradients)) or isinstance(other, (Tensor, Gradients))):
                self.roles[name] = Data() if not isinstance(before.get(name), (Tensor, Gradients)) else before[name]
                if isinstance(before.get(name), (Tensor, Gradients)):
                    raise self.decline(statement, f"{name} is one tensor or another after this branch")

    def do_Try(self, statement: ast.Try) -> None:
        self.run(statement.body)
        for handler in statement.handlers:
            self.run(handler.body)
        self.run([*statement.orelse, *statement.finalbody])

    def do_Assign(self, statement: ast.Assign) -> None:
        value = statement.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and len(statement.targets) == 1:
            target = statement.targets[0]
            tape = self.see(value.func.value) if value.func.attr == "gradient" else None
            held = isinstance(target, ast.Name) and self.stay_at_weights(target.id)
            if isinstance(tape, Tape) and held and self.of_weights(value):
                self.gradient(statement, target, value)
                return
        if len(statement.targets) == 1 and (self.makes_object(statement) or self.clips(statement)):
            return
        role = self.see(value)
        for target in statement.targets:
            self.bind_role(target, role, value)
        if isinstance(role, Variables):  # the result names the models instead
            self.writer.changes.texts[statement] = ""

    def makes_object(self, statement: ast.Assign) -> bool:
        """Whether a statement makes an optimizer, a loss or a metric, which is translated where it is used."""
        target = statement.targets[0]
        if not isinstance(target, (ast.Name, ast.Attribute)) or not isinstance(statement.value, ast.Call):
            return False
        value = self.value_of(ast.parse(ast.unparse(target), mode="eval").body)
        made = self.value_of(statement.value.func)
        if (
            isinstance(value, Unknown)
            and isinstance(target, ast.Name)
            and isinstance(made, ApiValue)
            and made.leaf[:1].isupper()
        ):
            with contextlib.suppress(Declined, ProgramError, NeedsConstant):  # a loop makes it anew in each round
                value = self.writer.interpreter.eval(statement.value, self.env)
            if kind_of(value):
                self.roles[target.id] = Known(value, target.id)
        return bool(kind_of(value)) and self.writer.note_object(statement, value, ast.unparse(target))

    def bind_role(self, target: ast.expr, role: Any, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.roles.pop(target.id, None)
            self.stale.discard(target.id)
            if (
                not isinstance(role, (Known, Data))
                and role is not PLAIN
                or not is_object(self.value_of(as_load(target)))
            ):
                self.roles[target.id] = Data() if role is PLAIN or isinstance(role, Known) else role
        elif isinstance(target, (ast.Tuple, ast.List)):
            inner = role.items if isinstance(role, Several) and len(role.items) == len(target.elts) else None
            if inner is None and isinstance(role, Tensor):
                raise self.decline(target, "a tensor taken apart is not translated")
            for i, item in enumerate(target.elts):
                self.bind_role(item, inner[i] if inner is not None else Data(), value)
        else:
            for part in ast.iter_child_nodes(target):
                held = self.see(part) if isinstance(part, ast.expr) else PLAIN
                if isinstance(held, (Tensor, Gradients)) or isinstance(held, Known) and is_object(held.value):
                    raise self.decline(target, f"{ast.unparse(target)} = … beside a tape is not translated")
            self.let_go(value, role)

    def do_AnnAssign(self, statement: ast.AnnAssign) -> None:
        if statement.value is not None:
            self.bind_role(statement.target, self.see(statement.value), statement.value)

    def do_AugAssign(self, statement: ast.AugAssign) -> None:
        role = self.see(statement.value)
        name = statement.target.id if isinstance(statement.target, ast.Name) else ""
        current = self.roles.get(name)
        if (
            isinstance(current, Data) and current.place is not None
        ):  # an array is changed where the caller holds it, too
            self.only_arrays.append((current, statement, f"{ast.unparse(statement)} of what becomes a tensor"))
        if isinstance(current, Tensor):
            self.roles[name] = self.operator(statement, [statement.target, statement.value], [current, role])
            operator = OPERATORS.get(type(statement.op))
            if operator is None:
                raise self.decline(statement, "this operator beside a tape is not translated")
            # in torch it would change what other variables hold, and the backward pass may need, where TensorFlow makes a new one
            self.writer.changes.texts[statement] = f"{name} = {name} {operator} {self.operand(statement.value)}"
        elif isinstance(role, Tensor) and role.learns and self.under and name and current is not None:
            self.roles[name] = role
        else:
            self.let_go(statement.value, role)

    def operand(self, node: ast.expr) -> str:
        """The text of an expression after an operator of a sum or a product."""
        text = self.text(node)
        parsed = ast.parse(text, mode="eval").body
        product = isinstance(parsed, ast.BinOp) and isinstance(parsed.op, (ast.Mult, ast.Div, ast.Pow))
        whole = product or isinstance(parsed, ast.Constant)
        return str(text) if whole and isinstance(self.path[-1].op, (ast.Add, ast.Sub)) else str(self.atom(node))  # type: ignore[attr-defined]

    def do_Expr(self, statement: ast.Expr) -> None:
        call = statement.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            role = self.see(call.func.value)
            if isinstance(role, Known) and kind_of(role.value) == "optimizer" and call.func.attr in APPLYING:
                self.step(statement, call, role)
                return
            if isinstance(role, Known) and kind_of(role.value) == "optimizer" and call.func.attr == "minimize":
                self.minimize(statement, call, role)
                return
            if isinstance(role, Tape) and call.func.attr == "watch":
                self.watch(statement, call)
                return
        if isinstance(call, ast.Call) and isinstance(self.value_of(call.func), Model):
            mode = next((k.value for k in call.keywords if k.arg == "training"), None)
            if len(call.args) == 1 and (mode is None or self.value_of(mode) is False):
                self.writer.changes.texts[statement] = ""  # it only gives the model its weights, which it has in torch
                return
        self.see(call)

    def do_Return(self, statement: ast.Return) -> None:
        role = self.see(statement.value) if statement.value is not None else PLAIN
        if isinstance(role, Several):
            items = tuple(self.give(n, r) for n, r in zip(statement.value.elts, role.items))  # type: ignore[union-attr]
            self.result.roles.append(Several(items))
        elif statement.value is not None:
            self.result.roles.append(self.give(statement.value, role))

    def give(self, node: ast.expr, role: Any) -> Any:
        """What a function hands on to its caller: tensors with gradients to code under a tape alone."""
        if isinstance(role, GradientList):
            return role
        if isinstance(role, Tensor) and not self.helper:
            self.let_go(node, role)
            return NUMBER if role.scalar else Data()
        if not isinstance(role, Tensor):
            self.let_go(node, role)
        return role

    def do_Delete(self, statement: ast.Delete) -> None:
        if any(isinstance(self.roles.get(n), Tape) for n in map(ast.unparse, statement.targets)):
            self.writer.changes.texts[statement] = ""

    # --- modes -----------------------------------------------------------------------------------------------------

    def note_call(self, node: ast.Call, text: str, mode: bool | str) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if (
            name
            and (self.writer.training.scopes.scope.get(node), name) not in self.writer.training.scopes.bound
            or self.at_top
        ):
            self.writer.called_at_top.add(name)
        self.calls.append(ModelCall(text, mode, tuple(self.path), bool(self.under or self.helper)))
        for tape in self.under:
            self.called_under[tape].add(text)

    @property
    def at_top(self) -> bool:
        return isinstance(self.node, ast.Module)

    def note_inner(self, node: ast.Call) -> None:
        self.inner.update(self.path)

    def finish(self) -> None:
        """Writes what depends on all of the region: the types of data, modes, where no gradients are kept."""
        for data, node, what in self.only_arrays:
            if data.dtype or data.bare:
                raise self.decline(node, f"{what} is not translated")
        for name, data in self.bound:
            if (data.dtype or data.bare) and data.place is not None:
                dtype = f", dtype={data.dtype}" if data.dtype else ""
                line = f"{name} = torch.as_tensor({name}{dtype}, device={self.writer.device})"
                heads = self.writer.changes.heads.setdefault(data.place, [])
                if line not in heads:
                    heads.append(line)
        for statement, read in self.spared.items():
            name = ast.unparse(statement.targets[0])  # type: ignore[attr-defined]
            if not any(
                isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) and n not in read
                for n in nodes(self.node)
            ):
                self.writer.changes.texts[statement] = ""
        self.set_modes()
        self.keep_no_gradients()

    def set_modes(self) -> None:
        for text in dict.fromkeys(c.text for c in self.calls):
            own = [c for c in self.calls if c.text == text]
            modes = {c.mode for c in own}
            base = text.partition(".")[0]
            if isinstance(self.node, ast.FunctionDef) and len(modes) == 1 and not self.inner:
                local = {base, str(own[0].mode)} & set(assigned_names(self.node.body))
                if not local:
                    self.writer.changes.heads.setdefault(self.node, []).append(mode_line(text, own[0].mode))
                    continue
            placed: dict[ast.stmt, bool] = {}
            for c in own:
                loops = [s for s in c.path if isinstance(s, (ast.For, ast.While))]
                loop = loops[-1] if loops else None
                inside = {o.mode for o in own if loop in o.path}
                whole = loop is not None and len(inside) == 1 and loop not in self.inner
                where = (
                    loop
                    if whole and loop is not None
                    else next(s for s in reversed(c.path) if s not in self.writer.changes.opened or s is c.path[-1])
                )
                if placed.setdefault(where, c.mode) != c.mode:
                    raise self.decline(where, "a statement calls a model for training and for its results")
            for where, mode in placed.items():
                self.writer.changes.before.setdefault(where, []).append(mode_line(text, mode))

    def keep_no_gradients(self) -> None:
        plain = [*(c.path for c in self.calls if not c.taped), *self.plain]
        if not plain:
            return
        taped = any(is_tape(n) for n in nodes(self.node)) or self.inner
        if isinstance(self.node, ast.FunctionDef) and not taped:
            self.writer.without_gradients.add(self.node)
            return
        for path in plain:
            loops = [s for s in path if isinstance(s, (ast.For, ast.While))]
            fits = [s for s in loops if s not in self.inner and not any(map(is_tape, nodes(s)))]
            self.writer.changes.around.setdefault(fits[0] if fits else path[-1], "with torch.no_grad():")


def numbered(loop: ast.For) -> tuple[ast.expr, ast.expr]:
    """What a loop runs over and the variables of an item, without their number."""
    over, target = loop.iter, loop.target
    pairs = isinstance(target, ast.Tuple) and len(target.elts) == 2
    if isinstance(over, ast.Call) and ast.unparse(over.func) == "enumerate" and len(over.args) == 1 and pairs:
        return over.args[0], target.elts[1]  # type: ignore[attr-defined]
    return over, target


def is_object(value: Any) -> bool:
    """Whether a value of the program is a part of a training: a model, an optimizer, a loss, a metric."""
    return isinstance(value, Model) or bool(kind_of(value))


def mode_line(text: str, mode: bool | str) -> str:
    return f"{text}.train({mode})" if isinstance(mode, str) else f"{text}.{'train' if mode else 'eval'}()"

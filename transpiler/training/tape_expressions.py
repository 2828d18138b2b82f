"""The expressions of code with tapes, as PyTorch."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import ApiValue
from transpiler.ir.program import tensors
from transpiler.ir.shape import Shape
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.own_models import graph_of
from transpiler.read.keras.evaluate.pipelines import SIGNATURES
from transpiler.read.keras.evaluate.run_time import RunTime
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.tapes import is_tape
from transpiler.read.keras.evaluate.values import Function, Model, Unknown
from transpiler.rules.ops.base import broadcast
from transpiler.rules.training.base import TRAINING
from transpiler.training.data import DTYPES
from transpiler.training.tape_functions import Functions
from transpiler.training.tape_measures import Measures
from transpiler.training.tape_values import (
    NUMBER,
    PLAIN,
    Data,
    GradientList,
    Gradients,
    Known,
    Several,
    Size,
    Tape,
    Tensor,
    Variables,
    enclosed,
    joined,
    kind_of,
)

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter


STEPS = (*SIGNATURES, "enumerate", "as_numpy_iterator", "padded_batch", "filter", "interleave", "flat_map", "window")
"""Methods of a `tf.data.Dataset`, some of which arrays and tensors have too, with another meaning in torch."""


class Expressions(Measures, Functions):
    """The part of a region that rewrites expressions; each has a role, and its text changes as that needs it."""

    writer: TapeWriter
    roles: dict[str, Any]
    env: Any
    node: ast.AST
    under: list[ast.With]
    stale: set[str]
    path: list[ast.stmt]
    plain: list[tuple[ast.stmt, ...]]
    only_arrays: list[tuple[Data, ast.AST, str]]
    helper: bool
    of_inputs: Any
    of_weights: Any
    known_array: Any
    gradient_list: Any
    modes_vary = True
    """Whether a model may be called for training or not by what a variable says."""

    def decline(self, node: ast.AST, why: str) -> Declined:
        return Declined(TRAINING, why, "", self.writer.source.span(node))

    def text(self, node: ast.AST) -> str:
        return self.writer.blocks.text_of(node)

    def become(self, node: ast.AST, text: str) -> None:
        """Puts a text in the place of an expression. A loop or function that is read twice has to say the same."""
        if node in self.writer.named or node in self.writer.casts and self.text(node).startswith(enclosed(text)):
            return
        if self.writer.changes.texts.get(node, text) != text:
            raise self.decline(node, "this expression means different things each time it is evaluated")
        self.writer.changes.texts[node] = text

    # --- names -----------------------------------------------------------------------------------------------------

    def value_of(self, node: ast.expr) -> Any:
        """What a name or an attribute means in the program; None if that is not known."""
        if any(isinstance(n, (ast.Call, ast.NamedExpr, ast.Lambda)) for n in ast.walk(node)):
            return None
        first = next(n for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Constant)))
        held = self.roles.get(first.id) if isinstance(first, ast.Name) else None
        if held is not None and first is node and isinstance(held, Known):
            return held.value
        if isinstance(held, (Data, Tensor)) or held is NUMBER:
            return None
        try:
            return graph_of(self.writer.interpreter.eval(node, self.env))
        except (Declined, ProgramError, NeedsConstant):
            return None

    def see(self, node: ast.expr) -> Any:
        """The role of an expression, after those in it."""
        method = getattr(self, f"see_{type(node).__name__}", None)
        return method(node) if method is not None else self.see_generic(node)

    def see_generic(self, node: ast.expr) -> Any:
        """An expression that only hands on what is in it."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.leave(child)
            elif isinstance(child, ast.comprehension):
                self.leave(child.iter)
                for test in child.ifs:
                    self.leave(test)
        return PLAIN

    def leave(self, node: ast.expr) -> None:
        """An expression whose value goes to code that knows nothing of tensors with gradients."""
        role = self.see(node)
        self.let_go(node, role)

    def let_go(self, node: ast.expr, role: Any) -> None:
        if isinstance(role, Several):
            for item, inner in zip(getattr(node, "elts", ()), role.items):
                self.let_go(item, inner)
        elif isinstance(role, Tensor):
            ending = ".item()" if role.scalar else f"{'.detach()' if role.learns else ''}.cpu()"
            if self.writer.left.setdefault(node, ending) != ending:
                raise self.decline(node, "this expression means different things each time it is evaluated")
            if not self.text(node).endswith(ending):
                self.become(node, f"{self.atom(node)}{ending}")
        elif (
            isinstance(role, (Gradients, GradientList, Variables, Tape))
            or isinstance(role, Known)
            and kind_of(role.value)
        ):
            raise self.decline(node, f"{ast.unparse(node)} goes where it cannot be followed")

    def atom(self, node: ast.expr) -> str:
        """The text of an expression as something a method can be called on."""
        return enclosed(self.text(node))

    def see_Name(self, node: ast.Name) -> Any:
        if self.under and node.id in self.stale:
            raise self.decline(node, f"{node.id}, which another tape recorded, is not translated under this one")
        if node.id in self.roles:
            return self.roles[node.id]
        outer = self.writer.tensor_at_top(node)
        if outer is not None:
            return outer
        value = self.value_of(node)
        if value is None or isinstance(value, Unknown) or type(value).__name__ in ("NumpyArray", "Array"):
            return self.known_array(node) or Data()
        return Known(value, node.id)

    def see_Constant(self, node: ast.Constant) -> Any:
        return PLAIN

    def see_Attribute(self, node: ast.Attribute) -> Any:
        role = self.see(node.value)
        if isinstance(role, Known):
            if isinstance(role.value, Model):
                if node.attr in ("trainable_variables", "trainable_weights"):
                    return Variables((self.text(node.value),))
                raise self.decline(node, f"{node.attr} of a model beside a tape is not translated")
            if kind_of(role.value):
                raise self.decline(node, f"{node.attr} of this {kind_of(role.value)} is not translated")
            value = self.value_of(node)
            return PLAIN if value is None else Known(value, ast.unparse(node))
        if isinstance(role, (Tensor, Data)) and node.attr == "shape":
            return Size(role.shape)
        if isinstance(role, Tensor):
            raise self.decline(node, f"{node.attr} of a tensor is not translated here")
        return PLAIN if not isinstance(role, (Gradients, Variables, Tape)) else self.decline_use(node)

    def decline_use(self, node: ast.expr) -> Any:
        raise self.decline(node, f"{ast.unparse(node)} is not translated")

    # --- operators -------------------------------------------------------------------------------------------------

    def see_BinOp(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.Mod) and isinstance(node.left, (ast.Constant, ast.JoinedStr)):
            items = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            for item in items:
                self.leave(item)
            return PLAIN
        roles = [self.see(node.left), self.see(node.right)]
        if all(isinstance(r, Variables) for r in roles) and isinstance(node.op, ast.Add):
            return Variables((*roles[0].models, *roles[1].models))
        return self.operator(node, [node.left, node.right], roles)

    def operator(self, node: ast.expr, parts: Sequence[ast.expr], roles: list[Any]) -> Any:
        if not any(isinstance(r, Tensor) for r in roles):
            if any(isinstance(r, Data) for r in roles):
                return self.arithmetic(parts, roles)
            return PLAIN if NUMBER not in roles else NUMBER
        dtypes = [r.dtype for r in roles if isinstance(r, Tensor)]
        dtype = "float32" if "float32" in dtypes or not any(dtypes) else next(filter(None, dtypes))
        for part, role in zip(parts, roles):
            if isinstance(role, Data) or isinstance(role, Tensor) and role.source is not None:
                if any(dtypes) or any(isinstance(r, Data) for r in roles):
                    self.taken(part, role, f"torch.{dtype}".replace("int64", "long"))
            elif role is not NUMBER and not isinstance(role, Tensor) and not self.is_number(part):
                raise self.decline(node, f"{ast.unparse(part)} beside a tensor is not translated")
        made = joined(roles)
        settled = any(isinstance(r, Data) for r in roles) and not made.dtype
        return replace(made, dtype=dtype, source=None) if settled else made

    def arithmetic(self, parts: Sequence[ast.expr], roles: list[Any]) -> Data:
        """What operators make of arrays and numbers."""
        arrays = [r for r in roles if isinstance(r, Data)]
        plain = all(isinstance(r, Data) or r is NUMBER or self.is_number(p) for p, r in zip(parts, roles))
        kinds = {r.known for r in arrays}
        if not plain or any(r.shape is None for r in arrays) or kinds != {"float32"}:
            return Data()
        return Data(shape=broadcast([r.shape for r in arrays if r.shape is not None]), known="float32")

    def is_number(self, node: ast.expr) -> bool:
        value = self.value_of(node)
        return isinstance(value, (int, float)) or isinstance(value, RunTime) and value.is_number()

    def see_UnaryOp(self, node: ast.UnaryOp) -> Any:
        role = self.see(node.operand)
        return joined([role]) if isinstance(role, Tensor) and isinstance(node.op, ast.USub) else PLAIN

    def see_Compare(self, node: ast.Compare) -> Any:
        parts = [node.left, *node.comparators]
        roles = [self.see(part) for part in parts]
        ordered = not any(isinstance(o, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for o in node.ops)
        if len(parts) == 2 and ordered and any(isinstance(r, Tensor) and not r.scalar for r in roles):
            return replace(self.operator(node, parts, roles), learns=False, dtype="bool", source=None)
        for part, role in zip(parts, roles):
            self.let_go(part, role)
        return PLAIN

    def see_Subscript(self, node: ast.Subscript) -> Any:
        role = self.see(node.value)
        if isinstance(role, Size):
            self.leave(node.slice)
            return PLAIN
        if isinstance(role, Data) and role.place is not None and several_axes(node.slice):
            role.bare = True
            role = Tensor(role.shape, source=role, dtype=role.known)
        if isinstance(role, Tensor):
            self.leave(node.slice)
            return Tensor(shape_of_part(role.shape, node.slice), role.learns, source=role.source, dtype=role.dtype)
        if isinstance(role, Several) and isinstance(node.slice, ast.Constant) and type(node.slice.value) is int:
            return role.items[node.slice.value]
        self.leave(node.slice)
        if isinstance(role, Known):
            value = self.value_of(node)
            return Data() if value is None or isinstance(value, Unknown) else Known(value, ast.unparse(node))
        if isinstance(role, Data):
            return Data(shape=shape_of_part(role.shape, node.slice), known=role.known if role.shape else "")
        return PLAIN

    def see_Tuple(self, node: ast.Tuple | ast.List) -> Any:
        roles = tuple(map(self.see, node.elts))
        return Several(roles) if any(not isinstance(r, (Known, type(PLAIN))) or _is_model(r) for r in roles) else PLAIN

    see_List = see_Tuple

    # --- calls -----------------------------------------------------------------------------------------------------

    def see_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            base = self.see(node.func.value)
            method = node.func.attr
            if isinstance(base, Known) and kind_of(base.value) == "metric":
                return self.metric_method(node, base, method)
            if isinstance(base, Tape) and method == "gradient":
                return self.gradient_list(node) if self.of_weights(node) else self.of_inputs(node)
            if isinstance(base, Known) and kind_of(base.value) or isinstance(base, (Tape, Gradients, Variables)):
                raise self.decline(node, f"{ast.unparse(node.func)}() is not translated here")
            if isinstance(base, Known) and isinstance(base.value, Model) and self.is_method(node):
                return Data()
            if isinstance(base, Tensor):
                return self.tensor_method(node, base, method)
            if isinstance(base, Data) and base.place is not None and method in ("std", "var"):
                self.only_arrays.append((base, node, f"{ast.unparse(node.func)}() of what becomes a tensor"))
            if isinstance(base, Data) and method in STEPS and not self.writer.is_rewritten(node):
                raise self.decline(node, f"{method}() of what {ast.unparse(node.func.value)} holds is not translated")
            if base is NUMBER and method == "numpy":
                self.become(node, self.text(node.func.value))
                return NUMBER
        callee = self.see(node.func) if not isinstance(node.func, ast.Call) else self.see_Call(node.func)
        value = callee.value if isinstance(callee, Known) else None
        if isinstance(value, Model):
            return self.model_call(node, callee)
        if kind_of(value) == "loss":
            return self.loss_call(node, value)
        if kind_of(value) == "metric":
            return self.update(node, callee)
        if isinstance(value, Function):
            return self.function_call(node, value)
        if isinstance(value, ApiValue):
            return self.api_call(node, value)
        if value is float or value is int:
            role = self.see(node.args[0]) if len(node.args) == 1 else PLAIN
            if isinstance(role, Tensor):
                self.become(node, f"{self.atom(node.args[0])}.item()")
            return PLAIN
        if value is sum and len(node.args) == 1 and self.losses_of(node.args[0]):
            return self.penalty(node)
        for argument in (*node.args, *(k.value for k in node.keywords)):
            role = self.see(argument)
            if value is not len:
                self.let_go(argument, role)
        return Data() if not isinstance(value, type) else PLAIN

    def is_method(self, node: ast.Call) -> bool:
        """Whether a call of a method of a model is translated by itself."""
        interpreter = self.writer.interpreter
        if interpreter.rewritten.get(node):
            self.become(node, interpreter.rewritten[node])
        self.note_inner(node)  # it may leave the model in another mode
        return node in interpreter.rewritten or node in interpreter.left_out

    def tensor_method(self, node: ast.Call, base: Tensor, method: str) -> Any:
        assert isinstance(node.func, ast.Attribute)
        if method != "numpy" or node.args or node.keywords:
            raise self.decline(node, f"{method}() of a tensor is not translated here")
        text = self.atom(node.func.value)
        self.become(
            node, f"{text}.item()" if base.scalar else f"{text}{'.detach()' if base.learns else ''}.cpu().numpy()"
        )
        return PLAIN

    def arguments(self, node: ast.Call, names: Sequence[str]) -> dict[str, ast.expr]:
        """The arguments of a call by name."""
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
            raise self.decline(node, "* and ** beside a tape are not translated")
        found = dict(zip(names, node.args)) | {str(k.arg): k.value for k in node.keywords}
        if len(node.args) > len(names) or set(found) - set(names):
            raise self.decline(node, f"these arguments of {ast.unparse(node.func)}() are not translated")
        return found

    def model_call(self, node: ast.Call, callee: Known) -> Any:
        model, text = callee.value, self.text(node.func)
        given = self.arguments(node, ("inputs", "training"))
        root = self.writer.root_of(model, node)
        mode = self.mode_of(given["training"]) if "training" in given else False
        xs = tensors(model.inputs)
        whole = given.get("inputs")
        items = whole.elts if isinstance(whole, (ast.List, ast.Tuple)) else [] if whole is None else [whole]
        if len(items) != len(xs):
            raise self.decline(node, "the inputs of a model have to be listed one by one")
        learns = bool(self.under or self.helper)
        texts = []
        for item, x in zip(items, xs):
            role = self.see(item)
            if isinstance(role, (Data, Tensor)):
                texts.append(self.taken(item, role, DTYPES.get(x.type.dtype, "torch.float32")))
                if isinstance(role, Tensor) and role.shape is None and isinstance(item, ast.Name):
                    self.roles[item.id] = replace(role, shape=x.type.shape)  # as the model could not take another
            else:
                raise self.decline(item, f"{ast.unparse(item)} is no input that can be followed")
        self.become(node, f"{text}({', '.join(texts)})")
        self.note_call(node, text, mode)
        outputs = tensors(model.outputs)
        endings = self.writer.endings(root)
        found = tuple(
            Tensor(y.type.shape, learns, endings[i] if i < len(endings) and len(outputs) == 1 else "", node)
            for i, y in enumerate(outputs)
        )
        return found[0] if len(found) == 1 else Several(found)

    def mode_of(self, node: ast.expr) -> bool | str:
        """Whether a model is called for training, or the expression that says so."""
        value = self.value_of(node)
        if isinstance(value, bool) or self.is_none(node):
            return bool(value)
        role = self.roles.get(node.id) if isinstance(node, ast.Name) else None
        if not isinstance(role, Data) or not self.modes_vary:
            raise self.decline(node, f"{ast.unparse(node)} does not say here whether a model is called for training")
        return self.text(node)

    def taken(self, node: ast.expr, role: Data | Tensor, dtype: str) -> str:
        """The text of an array or a tensor as a tensor of a type."""
        source = role if isinstance(role, Data) else role.source
        if source is not None and (source.place is not None or isinstance(role, Data)):
            return self.want(node, source, dtype)
        if isinstance(role, Tensor) and role.dtype != dtype.removeprefix("torch.").replace("long", "int64"):
            short = {"torch.float32": "float", "torch.long": "long"}.get(dtype)
            ending = f".{short}()" if short else f".to({dtype})"
            if self.writer.casts.setdefault(node, ending) != ending:
                raise self.decline(node, f"{ast.unparse(node)} is used as a tensor of two types")
            if not self.text(node).endswith(ending):
                self.writer.changes.texts[node] = f"{self.atom(node)}{ending}"
        return self.text(node)

    def want(self, node: ast.expr, data: Data, dtype: str) -> str:
        """Has an array become a tensor of a type, where it is bound or here; its text."""
        if data.place is not None:
            if data.dtype not in ("", dtype):
                raise self.decline(node, f"{ast.unparse(node)} is used as a tensor of two types")
            data.dtype = dtype
            return self.text(node)
        text = f"torch.as_tensor({ast.unparse(node)}, dtype={dtype}, device={self.writer.device})"
        self.become(node, text)
        return text

    def note_call(self, node: ast.Call, text: str, mode: bool | str) -> None:
        raise NotImplementedError

    def function_call(self, node: ast.Call, function: Function) -> Any:
        roles = {}
        a = function.node.args
        names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
        inputs = (*node.args, *(k.value for k in node.keywords))
        seen = {n: self.see(n) for n in inputs}
        recorded = bool(self.under or self.helper) and any(isinstance(r, Tensor) and r.learns for r in seen.values())
        if (
            not recorded
            and not self.writer.is_involved(function)
            and not any(_is_model(r) or _is_object(r) for r in seen.values())
        ):
            for argument, role in seen.items():
                self.let_go(argument, role)
            return Data()
        given = self.arguments(node, names)
        roles = {name: seen[argument] for name, argument in given.items()}
        for name, argument in given.items():
            if isinstance(argument, ast.Constant) and type(argument.value) in (int, float):
                roles[name] = NUMBER
        inside = bool(self.under or self.helper)
        helper = inside or function.node in self.writer.recorded()
        for name in given:
            if isinstance(roles[name], Tensor) and not helper:
                roles[name] = Data()
        result = self.writer.function_result(function, roles, inside, node)
        if self.writer.results[function.node].calls:
            self.note_inner(node)
        if helper and not inside and not any(map(is_tape, nodes(function.node))):
            self.plain.append(tuple(self.path))
            return without_gradients(result)
        return result

    def note_inner(self, node: ast.Call) -> None:
        raise NotImplementedError

    def see_JoinedStr(self, node: ast.JoinedStr) -> Any:
        inside = set(ast.walk(node)) - {node}
        self.writer.blocks.formatted |= inside
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                role = self.see(part.value)
                self.let_go(part.value, role)
        if any(n in self.writer.changes.texts for n in inside):
            self.become(node, ast.unparse(self.writer.blocks.substituted(node)))
        return PLAIN


def without_gradients(role: Any) -> Any:
    """A result of code that keeps no gradients."""
    if isinstance(role, Several):
        return Several(tuple(map(without_gradients, role.items)))
    return replace(role, learns=False) if isinstance(role, Tensor) else role


def several_axes(index: ast.expr) -> bool:
    """Whether an index is one of arrays alone: over several axes."""
    return isinstance(index, ast.Tuple) and any(isinstance(n, ast.Slice) for n in index.elts)


def shape_of_part(shape: Shape | None, index: ast.expr) -> Shape | None:
    """The shape of a part of a tensor; None where it is not known."""
    items = index.elts if isinstance(index, ast.Tuple) else [index]
    if shape is None or len(items) > len(shape):
        return None
    found: list[Any] = []
    for size, item in zip(shape, items):
        if isinstance(item, ast.Slice):
            ends = [b.value if isinstance(b, ast.Constant) else b for b in (item.lower, item.upper, item.step)]
            known = type(size) is int and all(b is None or type(b) is int for b in ends)
            found.append(len(range(size)[slice(*ends)]) if known else None)
        elif not isinstance(item, (ast.UnaryOp, ast.Constant)) or isinstance(item, ast.Constant) and item.value is None:
            return None
    return (*found, *shape[len(items) :])


def _is_model(role: Any) -> bool:
    return isinstance(role, Known) and isinstance(role.value, Model)


def _is_object(role: Any) -> bool:
    return isinstance(role, Known) and bool(kind_of(role.value))

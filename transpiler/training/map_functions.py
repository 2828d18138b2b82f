"""Functions that the items of a pipeline go through, as functions on tensors of torch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.values import Function, Model, Module
from transpiler.read.keras.parse import SourceModule
from transpiler.rules.base import parse_signature
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.map_functions import RULES, MapRule
from transpiler.training.edits import edited
from transpiler.training.source import Scopes
from transpiler.training.tape_values import enclosed

TYPES = {
    **{n: f"torch.{n}" for n in ("float16", "float32", "float64", "bfloat16", "bool", "uint8", "int8", "int16")},
    **{n: f"torch.{n}" for n in ("int32", "int64")},
    "half": "torch.float16",
    "double": "torch.float64",
}
GONE = "__gone__"
"""Stands for a statement that is left out."""
FLOATS = ("float16", "float32", "float64", "bfloat16")


@dataclass(frozen=True)
class Item:
    """A tensor: its type, "" where that is not known."""

    dtype: str = ""


Role = Item | tuple[Any, ...] | None
"""A tensor, a tuple of these, or a value of Python."""


@dataclass
class MapFunction:
    """Rewrites one function; `evaluate` gives the value of an expression in a scope of the program.

    `draws` says afterwards whether it draws random numbers, `helpers` what it needs.
    """

    function: Function
    evaluate: Callable[[ast.expr, Any], Any]
    given: tuple[Item, ...] | None = None
    """What it is called with; tensors of unknown types where that is not known."""
    draws: bool = False
    helpers: list[str] = field(default_factory=list)
    edits: dict[ast.AST, str] = field(default_factory=dict)
    inner: list[MapFunction] = field(default_factory=list)
    """The functions of the program that it calls."""

    def __post_init__(self) -> None:
        self.node = self.function.node
        a = self.node.args
        if a.vararg or a.kwarg or a.kwonlyargs:
            raise Declined(TRAINING, f"{self.name} with * or ** among its parameters is not translated in map()")
        names = [p.arg for p in (*a.posonlyargs, *a.args)]
        required = len(names) - len(a.defaults)
        given = self.given or tuple(Item() for _ in range(required))
        self.roles: dict[str, Role] = dict(zip(names, given))
        self.returned: list[Role] = []

    @property
    def name(self) -> str:
        return self.node.name if isinstance(self.node, ast.FunctionDef) else "a lambda"

    def rewrite(self) -> MapFunction:
        """Finds the new texts. Raises Declined for what is not translated."""
        if isinstance(self.node, ast.Lambda):
            self.returned.append(self.see(self.node.body))
        else:
            if any(self.path(d) != "tensorflow.function" for d in self.node.decorator_list):
                raise Declined(TRAINING, f"decorators of {self.name}, which map() is given, are not translated")
            self.block(self.node.body)
        self.check_rest()
        return self

    @property
    def result(self) -> Role:
        """What it returns, as far as that is the same wherever it does."""
        first = self.returned[0] if self.returned else None
        return first if all(r == first for r in self.returned) else Item()

    def check_rest(self) -> None:
        """Raises Declined for names of Keras in what stays."""
        hidden = {n for e in self.edits for n in nodes(e)}
        decorators = {n for d in getattr(self.node, "decorator_list", ()) for n in nodes(d)}
        for node in nodes(self.node):
            if not isinstance(node, ast.Name) or node in hidden or node in decorators or node.id in self.roles:
                continue
            scope = self.function.env.scope_of(node.id)
            value = scope.names.get(node.id) if scope is not None else None
            if isinstance(value, (ApiValue, ApiObject, Layer, Model)):
                raise self.decline(f"{node.id} as it is used")

    def decline(self, what: str) -> Declined:
        return Declined(TRAINING, f"{what} in {self.name}, which map() is given, is not translated")

    # --- statements -----------------------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                self.returned.append(self.see(statement.value))
            elif isinstance(statement, ast.Assign):
                role = self.see(statement.value)
                for target in statement.targets:
                    self.bind(target, role)
            elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
                target = ast.Name(statement.target.id, ast.Load())
                self.roles[target.id] = self.operator(statement.op, [self.see(target), self.see(statement.value)])
            elif isinstance(statement, ast.If) and self.see(statement.test) is None:
                self.block(statement.body)
                self.block(statement.orelse)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            elif isinstance(statement, ast.Expr) and self.sets_shape(statement.value):
                self.edits[statement] = "pass" if len(body) == 1 else GONE
            elif not isinstance(statement, ast.Pass):
                raise self.decline(f"`{ast.unparse(statement).splitlines()[0]}`")

    def sets_shape(self, node: ast.expr) -> bool:
        function = node.func if isinstance(node, ast.Call) else None
        return isinstance(function, ast.Attribute) and function.attr == "set_shape" and self.is_item(function.value)

    def bind(self, target: ast.expr, role: Role) -> None:
        if isinstance(target, ast.Name):
            self.roles[target.id] = role
        elif isinstance(target, (ast.Tuple, ast.List)):
            roles = role if isinstance(role, tuple) and len(role) == len(target.elts) else [role] * len(target.elts)
            for item, inner in zip(target.elts, roles):
                self.bind(item, inner)
        else:
            raise self.decline(f"setting {ast.unparse(target)}")

    # --- expressions ----------------------------------------------------------------------------------------------

    def is_item(self, node: ast.expr) -> bool:
        return isinstance(self.see(node), Item)

    def see(self, node: ast.expr) -> Role:
        """The role of an expression, whose new text is noted."""
        method = getattr(self, f"see_{type(node).__name__}", None)
        if method is not None:
            return method(node)  # type: ignore[no-any-return]
        if any(self.see(n) is not None for n in children(node)):
            raise self.decline(f"`{ast.unparse(node)}`")
        return None

    def see_Name(self, node: ast.Name) -> Role:
        return self.roles.get(node.id)

    def see_Constant(self, node: ast.Constant) -> Role:
        return None

    def see_Tuple(self, node: ast.Tuple | ast.List) -> Role:
        roles = tuple(self.see(n) for n in node.elts)
        return roles if any(r is not None for r in roles) else None

    see_List = see_Tuple

    def see_Attribute(self, node: ast.Attribute) -> Role:
        role = self.see(node.value)
        if role is not None and node.attr not in ("shape", "dtype"):
            raise self.decline(f"`{ast.unparse(node)}`")
        return None

    def see_UnaryOp(self, node: ast.UnaryOp) -> Role:
        role = self.see(node.operand)
        if role is not None and not isinstance(node.op, (ast.USub, ast.UAdd)):
            raise self.decline(f"`{ast.unparse(node)}`")
        return role

    def see_BinOp(self, node: ast.BinOp) -> Role:
        roles = [self.see(node.left), self.see(node.right)]
        for this, other, role in ((node.left, node.right, roles[1]), (node.right, node.left, roles[0])):
            if isinstance(role, Item):
                self.as_operand(this, other)
        if isinstance(node.op, ast.Div) and isinstance(roles[0], Item) and roles[0].dtype in ("int32", "int64"):
            self.edits[node.left] = f"{enclosed(self.text(node.left))}.double()"
        return self.operator(node.op, roles)

    def as_operand(self, node: ast.expr, other: ast.expr) -> None:
        """An operand beside a tensor: a tensor, a number, or an array of the program's that takes on its type."""
        if self.see(node) is None and not is_number(self.value(node)):
            self.edits[node] = f"torch.as_tensor({self.text(node)}, dtype={enclosed(self.text(other))}.dtype)"

    def operator(self, op: ast.operator, roles: list[Role]) -> Role:
        items = [r for r in roles if isinstance(r, Item)]
        if any(isinstance(r, tuple) for r in roles) or items and isinstance(op, (ast.FloorDiv, ast.Mod, ast.MatMult)):
            raise self.decline("this operator on tensors")
        if not items:
            return None
        floats = {r.dtype for r in items if r.dtype in FLOATS}
        if floats:
            return Item(floats.pop())
        dtype = items[0].dtype if len({r.dtype for r in items}) == 1 else ""
        divided = {"uint8": "float32", "int8": "float32", "int16": "float32", "int32": "float64", "int64": "float64"}
        return Item(divided.get(dtype, "") if isinstance(op, ast.Div) else dtype)

    def see_Compare(self, node: ast.Compare) -> Role:
        roles = [self.see(n) for n in (node.left, *node.comparators)]
        if not any(r is not None for r in roles):
            return None
        plain = all(isinstance(o, (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for o in node.ops)
        if len(roles) != 2 or not plain or any(isinstance(r, tuple) for r in roles):
            raise self.decline(f"`{ast.unparse(node)}`")
        for this, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
            self.as_operand(this, other)
        return Item("bool")

    def see_IfExp(self, node: ast.IfExp) -> Role:
        if self.see(node.test) is not None:
            raise self.decline(f"`{ast.unparse(node)}`")
        roles = [self.see(node.body), self.see(node.orelse)]
        return roles[0] if roles[0] == roles[1] else Item()

    def see_Subscript(self, node: ast.Subscript) -> Role:
        role = self.see(node.value)
        if not isinstance(role, Item):
            self.see(node.slice)
            index = node.slice.value if isinstance(node.slice, ast.Constant) else None
            return role[index] if isinstance(role, tuple) and isinstance(index, int) else role
        for part in nodes(node.slice):
            if isinstance(part, ast.Slice) and part.step is not None:
                raise self.decline("an index with a step")
            if isinstance(part, ast.Attribute) and part.attr == "newaxis" and self.path(part.value) == "tensorflow":
                self.edits[part] = "None"
            elif isinstance(part, ast.Name) and self.roles.get(part.id) is not None:
                raise self.decline("an index that is a tensor")
        return role

    def see_Call(self, node: ast.Call) -> Role:
        path = self.path(node.func)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        roles = [self.see(a) for a in arguments]
        if not any(r is not None for r in roles):
            if path and path.startswith(("tensorflow", "keras")):
                raise self.decline(f"{ast.unparse(node.func)}()")
            if isinstance(node.func, ast.Attribute) and self.see(node.func.value) is not None:
                raise self.decline(f"{ast.unparse(node.func)}()")
            return None
        if path in ("tensorflow.cast", "keras.ops.cast", "keras.backend.cast"):
            return self.cast(node)
        if path in RULES:
            return self.by_rule(node, RULES[path], path)
        value = self.value(node.func)
        if isinstance(value, Function):
            return self.call(node, value, roles)
        raise self.decline(f"{path or ast.unparse(node.func)}()")

    def cast(self, node: ast.Call) -> Role:
        given = self.arguments(node, "x, dtype, name=None")
        value = self.value(given["dtype"])
        dtype = value if isinstance(value, str) else getattr(value, "leaf", "") or getattr(value, "__name__", "")
        if dtype not in TYPES:
            raise self.decline(f"a cast to {ast.unparse(given['dtype'])}")
        self.edits[node] = f"{enclosed(self.text(given['x']))}.to({TYPES[dtype]})"
        return Item(dtype)

    def by_rule(self, node: ast.Call, rule: MapRule, path: str) -> Role:
        """A function that has a rule; its first argument has to be the tensor."""
        given = self.arguments(node, rule.signature)
        bound = parse_signature(rule.signature)
        first = next(iter(bound.parameters))
        role = self.see(given[first]) if first in given else None
        others = [n for name, n in given.items() if name != first and name != "name"]
        if not isinstance(role, Item) or any(self.see(n) is not None for n in others):
            raise self.decline(f"this {path}()")
        if rule.numbers and role.dtype not in FLOATS:
            raise self.decline(f"{path}() of a tensor that no cast makes one of floats")
        for name, only in rule.fixed:
            value = self.value(given[name]) if name in given else only
            if getattr(value, "leaf", value) not in (only, str(only).upper()):
                raise self.decline(f"{path}({name}={ast.unparse(given[name])})")
        if rule.draws and "seed" in given:
            raise self.decline(f"{path}(seed=…), whose numbers torch does not draw,")
        texts = {name: p.default for name, p in bound.parameters.items()}
        texts |= {name: self.text(n) for name, n in given.items()}
        texts[first] = texts[first] if "(" in rule.text.partition("{")[0] else enclosed(texts[first])
        text = rule.text.format(**texts)
        if "axis" in texts and texts["axis"] is None:
            text = text.replace("(None, keepdim=False)", "()").replace("(None, keepdim=", "(keepdim=")
        self.edits[node] = text.replace(", keepdim=False", "")
        self.helpers += [rule.helper] if rule.helper else []
        self.draws |= rule.draws
        return Item(rule.dtype or role.dtype)

    def call(self, node: ast.Call, function: Function, roles: list[Role]) -> Role:
        """A function of the program."""
        if node.keywords or any(not isinstance(r, Item) and r is not None for r in roles) or None in roles:
            raise self.decline(f"this call of {ast.unparse(node.func)}()")
        inner = MapFunction(function, self.evaluate, tuple(roles)).rewrite()  # type: ignore[arg-type]
        self.inner += [*inner.inner, inner]
        self.draws |= inner.draws
        self.helpers += inner.helpers
        return inner.result

    def arguments(self, node: ast.Call, signature: str) -> dict[str, ast.expr]:
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
            raise self.decline(f"{ast.unparse(node.func)}() with * or **")
        try:
            named = {k.arg: k.value for k in node.keywords if k.arg}
            return dict(parse_signature(signature).bind(*node.args, **named).arguments)
        except TypeError as error:
            raise self.decline(f"{ast.unparse(node.func)}() ({error})") from None

    # --- values and texts -----------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """What an expression without tensors means in the program; None if that is not known."""
        if any(
            isinstance(n, (ast.Call, ast.Lambda)) or isinstance(n, ast.Name) and n.id in self.roles for n in nodes(node)
        ):
            return None
        try:
            return self.evaluate(node, self.function.env)
        except (Declined, ProgramError, NeedsConstant):
            return None

    def path(self, node: ast.expr) -> str:
        """The name in Keras or TensorFlow that an expression means."""
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return ""
        value = self.value(node)
        return value.path if isinstance(value, ApiValue) else value.name if isinstance(value, Module) else ""

    def text(self, node: ast.AST) -> str:
        """An expression as the result has it."""
        return self.edits[node] if node in self.edits else ast.unparse(self.substituted(node))

    def substituted(self, node: Any) -> Any:
        if node in self.edits:
            return ast.Name(atom(self.edits[node]), ast.Load())
        fields = {
            name: (
                [self.substituted(v) if isinstance(v, ast.AST) else v for v in value]
                if isinstance(value, list)
                else self.substituted(value) if isinstance(value, ast.AST) else value
            )
            for name, value in ast.iter_fields(node)
        }
        return type(node)(**fields)

    def new_text(self, source: str) -> str:
        """The whole function."""
        if isinstance(self.node, ast.Lambda):
            return self.text(self.node)
        outer = {n: t for n, t in self.edits.items() if not any(n in nodes(o) for o in self.edits if o is not n)}
        edits = {n: t if isinstance(n, ast.stmt) else self.bracketed(n) for n, t in outer.items()}
        text = edited(source, self.node, edits)
        return "".join(line for line in text.splitlines(keepends=True) if line.strip() != GONE)

    def bracketed(self, node: ast.AST) -> str:
        """The text of an expression, in brackets where it stands in another one."""
        whole = {n.value for n in nodes(self.node) if isinstance(n, (ast.Return, ast.Assign, ast.AugAssign))}
        inside = {e for n in whole if isinstance(n, (ast.Tuple, ast.List)) for e in n.elts}
        return self.edits[node] if node in whole or node in inside else atom(self.edits[node])


def children(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions directly below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif not isinstance(child, (ast.expr_context, ast.operator)):
            yield from children(child)


def atom(text: str) -> str:
    """An expression that can stand in another one."""
    return text if isinstance(ast.parse(text, mode="eval").body, ast.Constant) else enclosed(text)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def changed_functions(
    changed: MapFunction, source: SourceModule, mapped: Collection[ast.AST], scopes: Scopes
) -> Iterator[tuple[ast.FunctionDef, str]]:
    """The functions of the file that change, and their texts. Raises Declined where one is used elsewhere."""
    for each in (*changed.inner, changed):
        node = each.node
        if not isinstance(node, ast.FunctionDef):
            continue
        if node not in scopes.scope:
            raise Declined(TRAINING, f"{node.name}(), which map() is given, stands in another file")
        inside = {n for m in mapped for n in nodes(m)}
        given = {
            a
            for n in scopes.scope
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "map"
            for a in (*n.args, *(k.value for k in n.keywords))
        }
        for name in scopes.scope:
            if isinstance(name, ast.Name) and name.id == node.name and name not in inside and name not in given:
                raise Declined(TRAINING, f"{node.name}() is used outside of map() as well, which is not translated")
        yield node, each.new_text(source.text)

"""Branches whose condition is not known, as it depends on a disk or a package that is not there.

Such a branch is passed over where it changes nothing that a model could be made of; what it assigns is then unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.model import ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.api import REPORT_METHODS, TRAINING_METHODS, WEIGHT_METHODS
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.values import Class, Env, Function, Instance, Model, Module, Unknown

CONSTANTS = (str, int, float, bool, bytes, complex, type(None), type(...), Sym)
EFFECTS = frozenset(("setattr", "delattr", "exec", "eval", "globals", "locals", "vars"))
"""Builtins that may change anything."""
CALLING = frozenset(("next", "map", "filter"))
"""Builtins that may change what they are given, or call it."""


SETTERS = ("set_", "add_", "register", "enable", "disable", "clear", "reset", "custom_object")
"""How the names of Keras's functions begin that change its state."""


ON_MODELS = frozenset((*WEIGHT_METHODS, *TRAINING_METHODS, *REPORT_METHODS)) - {"add_loss", "add_metric"}
"""Methods that leave models as they were built."""


def is_about_models(statement: ast.AST) -> bool:
    """Whether a statement loads weights into a model, trains or shows it."""
    calls = [n.func for n in nodes(statement) if isinstance(n, ast.Call)]
    return any(isinstance(f, ast.Attribute) and f.attr in ON_MODELS for f in calls)


def changes_nothing(statements: Sequence[ast.stmt], env: Env, builtins: Any) -> bool:
    """Whether running statements, or not, leaves all objects of the program as they are; names they assign aside."""
    return not Effects(env, builtins, {}, 0).any_in(statements)


def changes_data_alone(statement: ast.stmt, env: Env, builtins: Any) -> bool:
    """Whether all that running a statement can change is lists, dictionaries, sets and arrays; names it assigns aside."""
    others = lambda value: is_changeable(value) and not is_data(value)  # noqa: E731
    return not Effects(env, builtins, {}, 0, others).any_in([statement])


def names_of_changed(
    statement: ast.stmt, env: Env, builtins: Any, callers: Iterable[Env] = ()
) -> list[tuple[Env, str]]:
    """The variables, each with its scope, whose lists, dictionaries, sets or arrays a statement may change.

    `callers` are the scopes of the calls under way.
    """
    scopes = scopes_around(env, callers)
    held = [(s, n, v) for s in scopes for n, v in s.names.items() if not n.startswith("__")]
    data = {id(v): v for _, _, v in held if is_data(v)}.values()
    changed = [
        d for d in data if Effects(env, builtins, {}, 0, lambda value, d=d: holds(value, d)).any_in([statement])  # type: ignore[misc]
    ]
    return [(s, n) for s, n, v in held if any(holds(v, d) for d in changed)]


def scopes_around(env: Env, callers: Iterable[Env] = ()) -> list[Env]:
    """A scope and those around it; the same of the calls under way."""
    scopes: list[Env] = []
    for inner in (env, *callers):
        scope: Env | None = inner
        while scope is not None:
            scopes += [scope] if scope not in scopes else []
            scope = scope.parent
    return scopes


def replace_held(names: dict[Any, Any], gone: Any, unknown: Unknown, depth: int = 4) -> None:
    """Puts an unknown value wherever variables, attributes and containers hold an object."""
    for name, value in list(names.items()):
        if value is gone:
            names[name] = unknown
        elif isinstance(value, Instance) and depth:
            replace_held(value.attributes, gone, unknown, depth - 1)
        elif isinstance(value, dict) and depth:
            replace_held(value, gone, unknown, depth - 1)
        elif isinstance(value, list):
            value[:] = [unknown if v is gone else v for v in value]
        elif isinstance(value, tuple) and any(v is gone for v in value):
            names[name] = tuple(unknown if v is gone else v for v in value)


def is_data(value: Any) -> bool:
    """Whether a value is a container, or an array, that programs fill with what they read."""
    return isinstance(value, (list, dict, set, NumpyArray)) and not is_of_models(value)


def is_of_models(value: Any) -> bool:
    """Whether there is more than numbers, texts and arrays in a container."""
    if isinstance(value, (list, tuple, set, dict)):
        return any(map(is_of_models, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, (Unknown, NumpyArray, *CONSTANTS))


def holds(value: Any, item: Any) -> bool:
    """Whether a value is an object, or has it in it."""
    if isinstance(value, Instance):
        return any(holds(v, item) for v in value.attributes.values())
    if isinstance(value, (list, tuple, set, dict)) and value is not item:
        return any(holds(v, item) for v in (value.values() if isinstance(value, dict) else value))
    return value is item


class Effects:
    """Looks for statements that may change an object of the program. `bound` are parameters whose values are known.

    `changeable` says through which values such an object could be reached.
    """

    def __init__(
        self,
        env: Env,
        builtins: Any,
        bound: dict[str, Any],
        depth: int,
        changeable: Callable[[Any], bool] | None = None,
    ) -> None:
        self.env, self.builtins, self.bound, self.depth = env, builtins, bound, depth
        self.changeable = changeable or is_changeable
        self.aliases: dict[str, bool] = {}
        """The names that the statements assign → whether they may stand for an object of the program."""

    def any_in(self, statements: Sequence[ast.stmt]) -> bool:
        inner = [n for s in statements for n in nodes(s)]
        self.find_aliases([n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)], inner)
        return any(map(self.has_effect, inner))

    def find_aliases(self, names: list[str], inner: list[ast.AST]) -> None:
        sources: dict[str, list[str]] = {n: [] for n in names}
        for node in inner:
            for target, value in bindings(node):
                read = [n.id for n in nodes(value) if isinstance(n, ast.Name)]
                if isinstance(node, ast.For) or not isinstance(value, ast.Name):  # what is taken out of it
                    read = [n for n in read if n in sources or not holds_constants(self.value_of(n))]
                for name in [n.id for n in nodes(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]:
                    sources[name] += read
        self.aliases = dict.fromkeys(sources, False)
        for _ in sources:
            self.aliases = {n: any(map(self.may_change, read)) for n, read in sources.items()}

    def value_of(self, name: str) -> Any:
        if name in self.bound:
            return self.bound[name]
        scope = self.env.scope_of(name)
        return scope.names[name] if scope is not None else None

    def may_change(self, name: str) -> bool:
        """Whether an object of the program could be changed through a name."""
        return self.aliases[name] if name in self.aliases else self.changeable(self.value_of(name))

    def has_effect(self, node: ast.AST) -> bool:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom)):
            return True
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            return self.reaches_object(node)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            return self.may_change(node.target.id)
        return isinstance(node, ast.Call) and self.call_has_effect(node)

    def reaches_object(self, root: ast.expr) -> bool:
        """Whether what is stored or called on an expression may reach an object of the program."""
        while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        if isinstance(root, (ast.Constant, ast.JoinedStr)):
            return False
        return not isinstance(root, ast.Name) or self.may_change(root.id)

    def call_has_effect(self, call: ast.Call) -> bool:
        func = call.func
        given = [
            n.id for a in (*call.args, *(k.value for k in call.keywords)) for n in nodes(a) if isinstance(n, ast.Name)
        ]
        if isinstance(func, ast.Name):
            callee = self.value_of(func.id)
            if isinstance(callee, Function):
                return any(map(self.may_change, given)) or self.function_has_effect(callee, {})
            if func.id in CALLING:
                functions = [v for v in map(self.value_of, given) if isinstance(v, Function)]
                return any(map(self.may_change, given)) or any(self.function_has_effect(f, {}) for f in functions)
            return func.id in EFFECTS or self.may_change(func.id)
        if isinstance(func, ast.Attribute) and func.attr.startswith(SETTERS) and self.is_of_keras(func):
            return True
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
            owner = self.value_of(func.value.id)
            if isinstance(owner, Model) and func.attr in ON_MODELS:
                return False
            method = owner.cls.lookup(func.attr) if isinstance(owner, Instance) and owner.cls is not None else None
            if isinstance(method, Function) and method.node.args.args:
                own = {method.node.args.args[0].arg: owner}
                return any(map(self.may_change, given)) or self.function_has_effect(method, own)
            if isinstance(owner, Module) and isinstance(owner.names.get(func.attr), Function):
                return any(map(self.may_change, given)) or self.function_has_effect(owner.names[func.attr], {})
        return self.reaches_object(func)

    def is_of_keras(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and isinstance(self.value_of(node.id), ApiValue)

    def function_has_effect(self, function: Function, bound: dict[str, Any]) -> bool:
        if self.depth >= MAX_CALLS or isinstance(function.node, ast.Lambda):
            return True
        return Effects(function.env, self.builtins, bound, self.depth + 1, self.changeable).any_in(function.node.body)


MAX_CALLS = 4
"""How deep calls of the program's functions are looked into."""


def bindings(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """What a statement or comprehension binds, and to what."""
    if isinstance(node, ast.Assign):
        return [(t, node.value) for t in node.targets]
    if isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        return [(node.target, node.value)] if node.value is not None else []
    if isinstance(node, (ast.For, ast.comprehension)):
        return [(node.target, node.iter)]
    if isinstance(node, ast.With):
        return [(w.optional_vars, w.context_expr) for w in node.items if w.optional_vars is not None]
    return []


def holds_constants(value: Any) -> bool:
    """Whether a container has nothing in it that could be changed."""
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, (list, tuple, set, dict)) and all(isinstance(v, CONSTANTS) for v in items)


def is_changeable(value: Any) -> bool:
    """Whether an object of the program could be changed through this value."""
    if isinstance(value, (Unknown, *CONSTANTS)) or isinstance(value, Module) and value.source is None:
        return False
    if isinstance(value, ApiValue):
        return value.leaf.startswith(SETTERS)
    if isinstance(value, (tuple, frozenset)):
        return any(map(is_changeable, value))
    return isinstance(value, (list, dict, set, Instance, Model)) or not callable(value) and not isinstance(value, Class)

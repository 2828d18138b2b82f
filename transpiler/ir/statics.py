"""The constructor's own variables: which are needed, and what a class must be given."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from transpiler.ir.expr import Sym, rebuilt, to_ast
from transpiler.ir.liveness import results_of
from transpiler.ir.model import Given
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Change,
    Construction,
    ForLoop,
    Let,
    Loop,
    Member,
    ModuleClass,
    Pick,
    Static,
    blocks_of,
)
from transpiler.ir.trees import nodes, variables_in, with_names


@functools.lru_cache(maxsize=4096)
def names_in_code(code: str) -> frozenset[str]:
    """The names that a piece of generated code reads."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return frozenset()
    bound = {n.id for n in nodes(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(n.id for n in nodes(tree) if isinstance(n, ast.Name)) - bound


PLAIN = (int, str, float, bool, type(None))


def names_in(value: Any) -> set[str]:
    """The names that a static value reads."""
    if type(value) in PLAIN:
        return set()
    if isinstance(value, Sym):
        return set(value.free_names)
    if isinstance(value, (list, tuple, set)):
        return set().union(*map(names_in, value))
    if isinstance(value, dict):
        return names_in(list(value.values()))
    if isinstance(value, Given):
        return names_in(value.code)
    if isinstance(value, ast.AST):
        return variables_in(value)
    if isinstance(value, Construction):
        return set().union(*(names_in(value.values.get(p.name)) for p in value.cls.params))
    return set()


def member_names(member: Member) -> set[str]:
    """The names that constructing a submodule reads."""
    found = set(names_in_code(member.code)) if member.code else set()
    if member.choice is not None:
        found |= names_in(member.choice.test)
        for part in (*member.choice.then, *member.choice.otherwise):
            found |= member_names(part)
    found |= names_in(member.construction)
    for part in member.parts:
        found |= member_names(part)
    if member.step is not None:
        for value in member.step.init.values():
            found |= names_in(value)
    return found


def used_names(block: Block, let_values: bool) -> set[str]:
    """The names that the operations of a block read; the right sides of `Let`s only on request."""
    found: set[str] = set()
    for op in block.walk():
        if isinstance(op, Apply):
            if op.member is not None:
                found |= member_names(op.member)
            texts = [op.step.fn] if op.step.fn and (op.member is None or op.step.module is None) else []
            for text in (*texts, *op.outputs):
                names = names_in_code(text.replace("{", "_arg_").replace("}", "_"))
                found |= {n for n in names if not n.startswith("_arg_")}
        elif isinstance(op, Branch):
            found |= names_in(op.test)
        elif isinstance(op, (Loop, ForLoop)):
            found |= names_in(op.iterable)
            if isinstance(op, ForLoop):
                found |= {n for pick in op.picked for n in names_in(pick.index)} - variables_in(op.target)
        elif isinstance(op, Static) and (let_values or not isinstance(op, Change)):
            found |= names_in(op.statement)
        elif isinstance(op, Let) and let_values:
            found |= names_in(op.value)
    return found


def sources_of(block: Block, tests: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """Variable → the names that its values, and the tests that choose among them, depend on."""
    found: dict[str, set[str]] = {}
    for op in block.ops:
        if isinstance(op, Let):
            found.setdefault(op.name, set()).update(names_in(op.value) | tests)
        for inner in blocks_of(op):
            decides = names_in(op.test if isinstance(op, Branch) else op.iterable)
            for name, names in sources_of(inner, tests | decides).items():
                found.setdefault(name, set()).update(names)
    return found


def sources(sym: Sym, lets: dict[str, set[str]]) -> list[str]:
    """The names that an expression depends on, through variables as well."""
    todo, found = list(sym.names()), []
    while todo:
        name = todo.pop()
        if name not in found:
            found.append(name)
            todo += sorted(lets.get(name, ()))
    return found


def remove_dead_lets(block: Block, keep: Iterable[str] = ()) -> None:
    """Drops `Let`s that nothing needs, in place. A variable that only feeds itself is not needed."""
    _drop(block, needed_names(block, keep))


def needed_names(block: Block, keep: Iterable[str] = ()) -> set[str]:
    """The static names that the operations of a block and `keep` need, through the `Let`s that make them."""
    values: dict[str, list[Any]] = {}
    for op in block.walk():
        if isinstance(op, Let):
            values.setdefault(op.name, []).append(op.value)
        elif isinstance(op, Change):
            for name in op.names:
                values.setdefault(name, []).append(op.statement)
        elif isinstance(op, Loop):
            for name, column in (c for part in op.parts for c in part.columns):
                values.setdefault(name, []).append(column)
    todo = [*used_names(block, let_values=False), *keep]
    needed: set[str] = set()
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        for value in values.get(name, ()):
            todo.extend(names_in(value))
    return needed


def choose_columns(block: Block, needed: set[str]) -> None:
    """Makes loops run over those lists of sizes alone that are needed, in place."""
    for op in block.walk():
        if not isinstance(op, Loop) or not op.parts:
            continue
        pairs: list[tuple[ast.expr, Any]] = []
        for part in op.parts:
            columns = [(ast.Name(n, ast.Load()), values) for n, values in part.columns if n in needed]
            if not columns or variables_in(part.target) & needed:
                pairs.append((part.target, part.iterable))
            pairs += columns
        op.target, op.iterable = side_by_side([t for t, _ in pairs], [i for _, i in pairs], len(op.parts) == 1)
        op.parts = []


def side_by_side(targets: list[ast.expr], iterables: list[Any], same_length: bool = False) -> tuple[ast.expr, Any]:
    """One target and iterable for what a loop runs over together."""
    if len(targets) == 1:
        return targets[0], iterables[0]
    strict = ast.keyword("strict", ast.Constant(True))
    return ast.Tuple(targets, ast.Load()), Sym(
        ast.Call(ast.Name("zip", ast.Load()), [to_ast(i) for i in iterables], [strict] if same_length else [])
    )


def _drop(block: Block, needed: set[str]) -> None:
    kept = []
    for op in block.ops:
        if isinstance(op, Let) and op.name not in needed:
            continue
        if isinstance(op, Change) and needed.isdisjoint(op.names):
            continue
        if isinstance(op, Branch):
            _drop(op.then, needed)
            _drop(op.otherwise, needed)
            if not op.then.ops and not op.otherwise.ops and not op.phis:
                continue
        elif isinstance(op, (Loop, ForLoop)):
            _drop(op.body, needed)
            if not op.body.ops and not results_of(op):
                continue
        kept.append(op)
    block.ops[:] = kept


def bound_names(block: Block) -> set[str]:
    """The static variables that a block binds itself."""
    found: set[str] = set()
    for op in block.walk():
        if isinstance(op, Let):
            found.add(op.name)
        elif isinstance(op, (Loop, ForLoop)):
            found |= variables_in(op.target)
    return found


def names_outside(body: Block, cls: ModuleClass) -> set[str]:
    """The static names that a class reads elsewhere than in `body`."""
    inside, body.ops = body.ops, []
    try:
        return used_names(cls.block, let_values=True) | names_in(list(cls.outs.values()))
    finally:
        body.ops = inside


def with_symbols(value: Any, change: Callable[[Sym], Any]) -> Any:
    """The same structure with every open expression in it changed; a construction in place."""
    if isinstance(value, Sym):
        return change(value)
    if isinstance(value, (list, tuple)):
        return rebuilt(value, (with_symbols(v, change) for v in value))
    if isinstance(value, dict):
        return {k: with_symbols(v, change) for k, v in value.items()}
    if isinstance(value, Construction):
        value.values = with_symbols(value.values, change)
    if isinstance(value, Given):
        return replace(value, code=with_symbols(value.code, change))
    return value


def put_in(block: Block, values: Mapping[str, Any]) -> None:
    """Puts values in place of static variables, in the statements of a block without tensors."""
    expressions = {name: to_ast(value) for name, value in values.items()}

    def value(v: Any) -> Any:
        return with_symbols(v, lambda symbol: replace(symbol, expr=with_names(symbol.expr, expressions)))

    for op in block.walk():
        if isinstance(op, Let):
            op.value = value(op.value)
        elif isinstance(op, Static):
            op.statement = with_names(op.statement, expressions)
        elif isinstance(op, Branch):
            op.test = value(op.test)
        elif isinstance(op, Loop):
            op.iterable = value(op.iterable)


def rename_static(block: Block, old: str, new: str) -> None:
    """Renames a static variable in every expression of a block, in place."""
    word = re.compile(rf"\b{re.escape(old)}\b")

    def text(code: str) -> str:
        return word.sub(new, code)

    def renamed(symbol: Sym) -> Sym:
        return Sym.parse(text(symbol.code), symbol.witness) if old in symbol.names() else symbol

    def value(v: Any) -> Any:
        return with_symbols(v, renamed)

    def member(m: Any) -> None:
        m.code = text(m.code)
        if m.choice:
            m.choice.test = value(m.choice.test)
            for part in (*m.choice.then, *m.choice.otherwise):
                member(part)
        if m.construction:
            value(m.construction)
        for part in m.parts:
            member(part)
        if m.step is not None and any(names_in(v) for v in m.step.init.values()):
            m.step = replace(m.step, init={k: value(v) for k, v in m.step.init.items()})

    for op in block.walk():
        if isinstance(op, Let):
            op.name = new if op.name == old else op.name
            op.value = value(op.value)
        elif isinstance(op, Static):
            op.statement = ast.parse(text(ast.unparse(op.statement))).body[0]
            if isinstance(op, Change):
                op.names = tuple(new if n == old else n for n in op.names)
        elif isinstance(op, Apply):
            if op.member is not None:
                member(op.member)
            if op.step.fn and old in op.step.fn:
                op.step = replace(op.step, fn=text(op.step.fn))
            op.outputs = tuple(text(o) if old in o else o for o in op.outputs)
            if isinstance(op, Pick):
                op.index = value(op.index)
        elif isinstance(op, Branch):
            op.test = value(op.test)
        elif isinstance(op, (Loop, ForLoop)):
            op.iterable = value(op.iterable)

"""Scripts without what they do with their models: a child builds a model and leaves the rest of the program alone."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping
from typing import Any

from transpiler.ir.trees import flattened, header

METHODS = frozenset(
    ("fit", "fit_generator", "evaluate", "evaluate_generator", "predict", "predict_generator", "predict_on_batch",
     "train_on_batch", "test_on_batch", "save", "save_weights", "load_weights", "load_state_dict", "load_model",
     "save_model", "summary", "backward", "test")
)  # fmt: skip
"""Methods, of models and of what trains them, that building models does not need."""


def hoisted(text: str, block: str, given: str) -> str:
    """A file in which the statements of one function or loop, the first of this head, stand at the top level.

    They keep their lines; conditions around them are taken to hold, and `given` is what binds the parameters.
    """
    tree = ast.parse(text) if block else None
    found = next((n for n in ast.walk(tree) if isinstance(n, ast.stmt) and header(n) == block), None) if tree else None
    if tree is None or found is None:
        return text
    lines, inner = text.splitlines(), flattened(found.body)  # type: ignore[attr-defined]
    top = next(s for s in tree.body if found in ast.walk(s))
    result = [line if not _start(top) <= i <= (top.end_lineno or 0) else "" for i, line in enumerate(lines, start=1)]
    for statement in inner:
        for i in range(_start(statement), (statement.end_lineno or statement.lineno) + 1):
            line = lines[i - 1]
            indented = line[: statement.col_offset].isspace()
            result[i - 1] = line[statement.col_offset :] if indented else line
    result[found.lineno - 1] = given
    return "\n".join(result) + "\n"


def with_numbers(text: str, numbers: Mapping[str, Any]) -> str:
    """A file with numbers for expressions, or arrays (`{"code": …}`), on the lines it had; what binds such a variable stays."""
    if not numbers:
        return text
    lines = [line.encode() for line in text.splitlines()]
    todo: list[tuple[ast.AST, Mapping[str, Any]]] = [(ast.parse(text), numbers)]
    found: list[tuple[ast.expr, bytes]] = []
    while todo:
        node, known = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):  # its own variables are others
            own = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
            own |= _bound(node.body) if isinstance(node, ast.FunctionDef) else set()
            known = {k: v for k, v in known.items() if not own & _read(ast.parse(k))}
        read = isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))
        number = known.get(ast.unparse(node)) if read else None
        if number is not None:
            text = number["code"] if isinstance(number, dict) else repr(number)
            found.append((node, text.encode()))  # type: ignore[arg-type]
        else:
            todo += [(child, known) for child in ast.iter_child_nodes(node)]
    for node, number in sorted(found, key=lambda f: (f[0].lineno, f[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        rest = lines[last][node.end_col_offset :]
        lines[first] = lines[first][: node.col_offset] + number + (rest if first == last else b"")
        for i in range(first + 1, last + 1):
            lines[i] = rest if i == last else b""
    return b"\n".join(lines).decode() + "\n"


def building_part(text: str, needed: str, functions: tuple[str, ...] = (), always: bool = False) -> str:
    """A script with those of its top-level statements that the expressions `needed` depend on, on the lines they have.

    Imports and definitions stay; what reads a variable that only the training binds goes with it. `functions` are those that train or predict: what calls them goes. A file that
    trains nothing at its top level is left as it is, but `always` is said.
    """
    tree = ast.parse(text)
    defined = {s.name: s for s in tree.body if isinstance(s, ast.FunctionDef)}
    functions = functions if "load_model" in defined else (*functions, "load_model")
    while more := [n for n, s in defined.items() if n not in functions and _trains(s, functions)]:
        functions = (*functions, *more)
    if not always and not any(
        _trains(s, functions) for s in tree.body if not isinstance(s, (ast.FunctionDef, ast.ClassDef))
    ):
        return text
    names = _read(ast.parse(needed)) | _objects(tree, functions)
    rest = {s for s in tree.body if not isinstance(s, (ast.FunctionDef, ast.ClassDef))}
    gone = {s for s in rest if _trains(s, functions)}
    while more := [s for s in rest - gone if _read(s) & (_bound(gone) - _bound(rest - gone))]:
        gone.update(more)
    kept: set[ast.stmt] = set()
    while more := [s for s in tree.body if s not in kept | gone and _stays(s, names)]:
        kept.update(more)
        names = names.union(*map(_read, more))
    tree.body = [s for s in tree.body if s in kept or isinstance(s, (ast.FunctionDef, ast.ClassDef))]
    lines = text.splitlines()
    shown = {i for s in tree.body for i in range(_start(s), (s.end_lineno or s.lineno) + 1)}
    return "\n".join(line if i in shown else "" for i, line in enumerate(lines, start=1)) + "\n"


def _start(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _stays(statement: ast.stmt, names: set[str]) -> bool:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name in names
    return bool(_changed(statement) & names)


def _bound(statements: Iterable[ast.stmt]) -> set[str]:
    """The variables that statements of the top level bind."""
    return {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _trains(statement: ast.AST, functions: tuple[str, ...]) -> bool:
    calls = [n for n in ast.walk(statement) if isinstance(n, ast.Call)]
    methods = {(c.func.attr, bool(c.args)) for c in calls if isinstance(c.func, ast.Attribute)}
    names = {c.func.id for c in calls if isinstance(c.func, ast.Name)}
    return (
        "load_model" in names
        or any(n in METHODS or not given and n in ("eval", "backward") for n, given in methods)
        or bool(names & {*functions})
    )


def _read(tree: ast.AST) -> set[str]:
    """The names in a part of a program, but for the variables of its functions."""
    if isinstance(tree, (ast.FunctionDef, ast.Lambda)):
        outer = [d for d in (*tree.args.defaults, *tree.args.kw_defaults) if d is not None]
        body = tree.body if isinstance(tree.body, list) else [tree.body]
        inner = _read_in(body) - {a.arg for a in ast.walk(tree.args) if isinstance(a, ast.arg)}
        return _read_in([*outer, *getattr(tree, "decorator_list", ())]) | inner - (_bound(body) - _globals(body))  # type: ignore[arg-type]
    own = {tree.id} if isinstance(tree, ast.Name) else set()
    return own | _read_in(ast.iter_child_nodes(tree))


def _read_in(parts: Iterable[ast.AST]) -> set[str]:
    return set().union(*map(_read, parts))


def _globals(body: Iterable[ast.AST]) -> set[str]:
    return {
        name for part in body for n in ast.walk(part) if isinstance(n, (ast.Global, ast.Nonlocal)) for name in n.names
    }


def _objects(tree: ast.Module, functions: tuple[str, ...]) -> set[str]:
    """The variables of the top level that hold what classes and functions of the file make, losses, which these functions read."""
    training = [s for s in tree.body if isinstance(s, (ast.FunctionDef, ast.ClassDef)) and s.name in functions]
    makers = {s.name for s in tree.body if isinstance(s, (ast.FunctionDef, ast.ClassDef)) and s not in training}
    assigned = [
        (s, s.value.func if isinstance(s.value, ast.Call) else s.value) for s in tree.body if isinstance(s, ast.Assign)
    ]
    names = _bound(s for s, made in assigned if isinstance(made, ast.Name) and made.id in makers)
    own = {n.arg for s in training for n in ast.walk(s) if isinstance(n, ast.arg)}
    return names & {n for s in training for n in _read(s) - _bound([s])} - own


def _changed(statement: ast.stmt) -> set[str]:
    """The variables that a statement binds or may change: those whose methods it calls, or that it gives to calls."""
    found = set()
    for n in ast.walk(statement):
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
            found.add(n.id)
        elif isinstance(n, (ast.Attribute, ast.Subscript)) and isinstance(n.ctx, (ast.Store, ast.Del)):
            found |= _read(n.value)
    if isinstance(statement, ast.Expr) or not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        for n in ast.walk(statement):
            if isinstance(n, ast.Call) and not (isinstance(n.func, ast.Name) and hasattr(builtins, n.func.id)):
                receiver = n.func.value if isinstance(n.func, ast.Attribute) else None
                found |= {name for part in (receiver, *n.args, *n.keywords) if part is not None for name in _read(part)}
    return found

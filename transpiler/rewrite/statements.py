"""What statements of a source are and use, to decide what becomes of them."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Sequence
from typing import Any

from transpiler.diagnostics import Finding, Span
from transpiler.ir.model import ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import Function, Module, Partial
from transpiler.read.keras.names import is_framework
from transpiler.read.keras.parse import SourceModule
from transpiler.write.torch.module import FileEdit, used_identifiers


def called_in(text: str) -> set[str]:
    """What a new text calls, as it is written there."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:  # a part of a statement
        return set()
    return {ast.unparse(n.func) for n in nodes(tree) if isinstance(n, ast.Call)}


def in_lines(finding: Finding, around: Span, lines: range) -> bool:
    """Whether a finding is about some lines of the file of a span."""
    return finding.span is not None and finding.span.file == around.file and finding.span.line in lines


def read_by_others(body: Sequence[ast.stmt], candidates: Sequence[ast.stmt], edit: FileEdit) -> set[ast.stmt]:
    """Those of some assignments whose variables are read by functions and classes that stay as they are."""
    stays = [s for s in body if isinstance(s, (ast.FunctionDef, ast.ClassDef)) and s not in edit.replaced]
    used = {n for s in stays if s not in edit.removed for n in used_identifiers(s)}
    found: set[ast.stmt] = set()
    while more := [s for s in candidates if s not in found and used.intersection(assigned_names([s]))]:
        found.update(more)
        used = used.union(*map(used_identifiers, more))
    return found


def only_for_models(
    statement: ast.stmt, moved: Sequence[ast.stmt], body: Sequence[ast.stmt], names: dict[str, Any]
) -> bool:
    """Whether an assignment asks the tensors of a script's models for sizes that nothing but their layers reads: `K.int_shape(x)`."""
    bound = set(assigned_names([statement])) if isinstance(statement, ast.Assign) else set()
    sizes = all(are_sizes(names.get(n)) for n in bound)
    tensors_read = used_identifiers(statement) & set(assigned_names(moved))
    others = [s for s in body if s is not statement and s not in moved]
    return bool(bound) and sizes and bool(tensors_read) and not any(bound & used_identifiers(s) for s in others)


def are_sizes(value: Any) -> bool:
    """Whether a value is a size or a shape, with None for that of the batch."""
    if isinstance(value, (tuple, list)):
        return all(size is None or type(size) is int for size in value)
    return type(value) is int


def of_framework(value: Any) -> bool:
    """Whether a module, function or class stands in the framework's own source."""
    module = value if isinstance(value, Module) else getattr(value, "module", getattr(value, "env", None))
    return is_framework(getattr(module, "name", "") or "")


def without_decorators(statement: ast.stmt, source: SourceModule) -> str:
    """A function of the source as it stands, without its decorators; "" for other statements."""
    decorated = isinstance(statement, ast.FunctionDef) and statement.decorator_list
    return ast.get_source_segment(source.text, statement) or "" if decorated else ""


def default_names(function: Function) -> list[str]:
    """The parameters of a function that have defaults."""
    a = function.node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    return names[len(names) - len(function.defaults) :]


def names_bound(source: SourceModule) -> set[str]:
    """The names that the top level of a file imports."""
    imports = [n for s in source.tree.body for n in nodes(s) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return {a.asname or a.name.partition(".")[0] for n in imports for a in n.names}


def module_names(source: SourceModule) -> set[str]:
    """The names a file binds at its top level, functions that will be replaced left out."""
    found: set[str] = set()
    for statement in source.tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.Assign, ast.AnnAssign)):
            found |= (
                {statement.name}
                if isinstance(statement, ast.FunctionDef)
                else {n.id for n in nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            )
    return found


def expressions_of(statement: ast.stmt) -> list[ast.AST]:
    """The expression nodes of a statement, those of statements inside it left out."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = [
        c for c in ast.iter_child_nodes(statement) if not isinstance(c, (ast.stmt, ast.ExceptHandler))
    ]
    while todo:
        node = todo.pop()
        found.append(node)
        todo += [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.stmt)]
    return found


def is_alias(statement: ast.stmt, names: dict[str, Any], visited: Collection[Any]) -> bool:
    """`layers = tf.keras.layers`, `conv3 = partial(Conv2D, kernel_size=3)`: another name for a part of Keras, or for a
    function that became a class, which the result does not need."""
    if not isinstance(statement, ast.Assign) or not all(isinstance(t, ast.Name) for t in statement.targets):
        return False
    values = [names.get(t.id) for t in statement.targets]  # type: ignore[attr-defined]
    plain = [v.function if isinstance(v, Partial) else v for v in values]
    return all(
        isinstance(p, ApiValue) or p is not v and isinstance(p, Function) and p.node in visited
        for p, v in zip(plain, values)
    )


def stored_names(statement: ast.stmt) -> set[str]:
    """The names that an assignment binds and does not read."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return set()
    names = [n for n in nodes(statement) if isinstance(n, ast.Name)]
    return {n.id for n in names if isinstance(n.ctx, ast.Store)} - {n.id for n in names if isinstance(n.ctx, ast.Load)}


def changed_names(statement: ast.stmt) -> set[str]:
    """The variables that an assignment binds, or of which it sets an item or an attribute."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    plain = [n for t in targets for n in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
    roots = [n.value if isinstance(n, ast.Starred) else n for n in plain]
    while any(isinstance(n, (ast.Attribute, ast.Subscript)) for n in roots):
        roots = [n.value if isinstance(n, (ast.Attribute, ast.Subscript)) else n for n in roots]
    return {n.id for n in roots if isinstance(n, ast.Name)}


def is_import_block(statement: ast.stmt) -> bool:
    """An `if` or `try` that only chooses between imports."""
    if isinstance(statement, ast.If):
        return all(
            isinstance(s, (ast.Import, ast.ImportFrom)) or is_import_block(s)
            for s in (*statement.body, *statement.orelse)
        )
    if isinstance(statement, ast.Try):
        parts = [
            *statement.body,
            *statement.orelse,
            *statement.finalbody,
            *(s for h in statement.handlers for s in h.body),
        ]
        return all(isinstance(s, (ast.Import, ast.ImportFrom, ast.Pass)) for s in parts)
    return False


def imported_names(tree: ast.AST) -> set[str]:
    """The names that code imports from the framework."""
    imports = [n for n in nodes(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) and imports_framework(n)]
    return {(a.asname or a.name).partition(".")[0] for n in imports for a in n.names}


def imports_framework(statement: ast.stmt) -> bool:
    for node in nodes(statement):
        if isinstance(node, ast.Import) and any(is_framework(a.name) for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.level == 0 and is_framework(node.module or ""):
            return True
    return False

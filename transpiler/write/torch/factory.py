"""A model-building function of the result: its statements, and the class it constructs."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

from transpiler.ir.expr import MISSING, Sym, code_of
from transpiler.ir.program import Block, Branch, Let, ModuleClass, Static
from transpiler.ir.trees import nodes, variables_in
from transpiler.write.torch.layout import render
from transpiler.write.torch.pieces import VERSION, Lines, construction_code, negated, write_if


def factory_text(
    node: ast.FunctionDef,
    cls: ModuleClass,
    prologue: Block,
    epilogue: Block,
    arguments: dict[str, Any],
    frozen: dict[str, Any],
    unused: dict[str, list[str]],
    printed: dict[str, str],
    known: set[str],
    bound: set[str],
) -> str:
    """The function `node` as it stands in the result.

    `unused` are keyword arguments that it takes and does nothing with, by the parameter that has them (`**kwargs`).
    `known` are the names that annotations and defaults may use, `bound` the frozen parameters whose function or class
    has its own name in the file.
    """
    body = Lines()
    doc = ast.get_docstring(node, clean=False)
    for name, value in frozen.items():
        body.add(*guard(name, value, name in bound, unused.get(name, ())))
    for name, keywords in unused.items():
        if name not in frozen:
            others = f"{name}.keys() - {{{', '.join(map(repr, keywords))}}}"
            message = f"{node.name}() takes no other keyword arguments than {', '.join(keywords)}"
            body.add(f"if {others}:", f"    raise TypeError({message!r})")
    statements(prologue, body, printed)
    statements(epilogue, body, printed)
    body.add(f"return {construction_code(cls, {p.name: arguments[p.name] for p in cls.params})}")
    head = signature(node, cls.name, known)
    text = render("factory", signature=head, doc=[] if doc is None else _doc_lines(doc), body=body.lines)
    return VERSION.sub(lambda m: printed.get(m.group(0), m.group(1)), text)


def _doc_lines(doc: str) -> list[str]:
    quote = '"""' if '"""' not in doc else "'''"
    raw = "r" if "\\" in doc else ""
    return f"    {raw}{quote}{doc}{quote}".split("\n")


def signature(node: ast.FunctionDef, returns: str, known: set[str]) -> list[str]:
    """The `def` line with the source's own parameters."""
    args = ast.parse(f"def f({ast.unparse(node.args)}): pass").body[0].args  # type: ignore[attr-defined]
    for a in nodes(args):
        if isinstance(a, ast.arg) and a.annotation is not None and not _names(a.annotation) <= known:
            a.annotation = None
    args.defaults = [d if _names(d) <= known else ast.Constant(None) for d in args.defaults]
    args.kw_defaults = [d if d is None or _names(d) <= known else ast.Constant(None) for d in args.kw_defaults]
    decorators = [f"@{ast.unparse(d)}" for d in node.decorator_list if _names(d) <= known]
    return [*decorators, f"def {node.name}({ast.unparse(args)}) -> {returns}:"]


def _names(node: ast.AST) -> set[str]:
    return variables_in(node)


def guard(name: str, value: Any, bound: bool, unused: Collection[str] = ()) -> list[str]:
    """What keeps a frozen parameter from being used with another value; a `bound` one can be named in the file.

    Of one that is a dictionary, the items `unused` may have any value.
    """
    if value is MISSING:
        return []
    named = getattr(value, "name", None)
    if isinstance(named, str) and named.isidentifier() and not isinstance(value, (str, Sym)):  # a function or class
        test = f"{name} is not {named}" if bound else f"getattr({name}, '__name__', '') != {named!r}"
        return [f"if {test}:", f"    raise NotImplementedError({f'K2T301: converted for {name}={named} only'!r})"]
    try:
        shown = code_of(value)
    except TypeError:
        return []
    test = f"{name} is not {shown}" if value is None or isinstance(value, bool) else f"{name} != {shown}"
    if unused:
        test = f"{{k: v for k, v in {name}.items() if k not in {code_of(tuple(unused))}}} != {shown}"
    return [f"if {test}:", f"    raise NotImplementedError({f'K2T301: converted for {name}={shown} only'!r})"]


def statements(block: Block, out: Lines, printed: dict[str, str]) -> None:
    """Static statements of a function."""

    def shown(text: str) -> str:
        return VERSION.sub(lambda m: printed.get(m.group(0), m.group(1)), text)

    for op in block.ops:
        if isinstance(op, Let):
            value = code_of(op.value)
            if shown(value) != shown(op.name):  # else it goes on under its name
                out.add(f"{op.name} = {value}")
        elif isinstance(op, Static):
            out.add(*ast.unparse(op.statement).splitlines())
        elif isinstance(op, Branch):
            then, otherwise = Lines([], out.level + 1), Lines([], out.level + 1)
            statements(op.then, then, printed)
            statements(op.otherwise, otherwise, printed)
            write_if(out, op.test.code, negated(op.test), then.lines, otherwise.lines)

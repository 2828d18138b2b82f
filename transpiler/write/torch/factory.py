"""A model-building function of the result: its statements, and the class it constructs."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from transpiler.ir.expr import Sym, code_of
from transpiler.ir.program import Block, Branch, Construction, Let, Static
from transpiler.ir.statics import used_names
from transpiler.ir.trees import nodes, variables_in
from transpiler.write.torch.guards import guard
from transpiler.write.torch.layout import render
from transpiler.write.torch.pieces import Lines, construction_code, let_code, negated, shown, write_if


def factory_text(
    node: ast.FunctionDef,
    prologue: Block,
    returned: Any,
    frozen: dict[str, Any],
    unused: dict[str, list[str]],
    printed: dict[str, str],
    known: set[str],
    bound: set[str],
    by_default: set[str],
    classes: Mapping[str, str],
    ending: tuple[str, list[str]] | None = None,
) -> str:
    """The function `node` as it stands in the result.

    `unused` are keyword arguments that it takes and does nothing with, by the parameter that has them (`**kwargs`).
    `known` are the names that annotations and defaults may use, `bound` the frozen parameters whose function or class
    has its own name in the file, `by_default` those for which None stands, as their default has no name in the result,
    `classes` those whose default is a class of torch instead of one of Keras. `ending` is its variable for the model, and
    what it does with it before it returns.
    """
    body = Lines()
    doc = ast.get_docstring(node, clean=False)
    for name, value in frozen.items():
        body.add(*guard(name, value, name in bound, unused.get(name, ()), name in by_default))
    for name, keywords in unused.items():
        if name not in frozen:
            others = f"{name}.keys() - {{{', '.join(map(repr, keywords))}}}"
            message = f"{node.name}() takes no other keyword arguments than {', '.join(keywords)}"
            body.add(f"if {others}:", f"    raise TypeError({message!r})")
    head = signature(node, type_of_models(returned, prologue), known, classes)
    last = prologue.ops[-1] if prologue.ops else None
    if isinstance(last, Let) and isinstance(returned, Sym) and last.name == returned.code:
        prologue, returned = Block(prologue.ops[:-1]), last.value
    statements(prologue, body, printed)
    model, ending_lines = ending or ("", [])
    made = code_of_models(returned)
    if model and shown(made, printed) != model:
        body.add(f"{model} = {made}")
    body.add(*ending_lines, f"return {model or made}")
    text = render("factory", signature=head, doc=[] if doc is None else doc_lines(doc), body=body.lines)
    return shown(text, printed)


def script_texts(
    places: Sequence[tuple[ast.stmt, Block]], returned: Any, names: list[str], printed: dict[str, str]
) -> dict[ast.stmt, list[str]]:
    """The statements that make the models of a script, by where they stand; each binds its models to variables of the script."""
    texts: dict[ast.stmt, list[str]] = {}
    left = [(n, v) for n, v in zip(names, returned)] if len(names) > 1 else []
    for place, part in places[:-1]:
        made = {op.name for op in part.ops if isinstance(op, Let)}
        own = [(n, v) for n, v in left if code_of_models(v) in made]
        left = [pair for pair in left if pair not in own]
        texts[place] = script_lines(part, [v for _, v in own], [n for n, _ in own], printed)
    place, part = places[-1]
    values = [v for _, v in left] if len(names) > 1 else [returned]
    texts[place] = script_lines(part, values, [n for n, _ in left] if len(names) > 1 else names, printed)
    return texts


def script_lines(prologue: Block, values: Sequence[Any], names: list[str], printed: dict[str, str]) -> list[str]:
    """The statements that make models of a script, the `values`, and bind them to its variables `names`."""
    body = Lines()
    statements(prologue, body, printed)
    lines = [shown(line, printed) for line in body.lines]
    codes = [shown(code_of_models(value), printed) for value in values]
    pairs = [(name, code) for name, code in zip(names, codes) if code != name]
    if any(name in variables_in(ast.parse(code)) for i, (name, _) in enumerate(pairs) for _, code in pairs[i + 1 :]):
        return [*lines, f"{', '.join(n for n, _ in pairs)} = {', '.join(c for _, c in pairs)}"]
    return [*lines, *(f"{name} = {code}" for name, code in pairs)]


def constructor_texts(
    prologue: Block, found: Any, frozen: dict[str, Any], printed: dict[str, str]
) -> dict[ast.stmt, str]:
    """What stands for the statements about models of a constructor: the construction of their classes; "" for nothing.

    `found` says which statements these are, and which of them bind an attribute to a model.
    """
    waiting = [op for op in prologue.ops if isinstance(op, Let) and (op.items or not is_named(op, printed, found))]
    texts: dict[ast.stmt, str] = {}
    guards = [line for name, value in frozen.items() for line in guard(name, value)]
    for statement in found.body:
        if statement not in found.about_models:
            continue
        lines = []
        variables = [variable for _, variable in found.assigned.get(statement, ())]
        while any(op.name in variables for op in waiting):
            lines.append(let_code(waiting.pop(0)))
        lines, guards = ([*guards, *lines], []) if lines else (lines, guards)
        texts[statement] = shown("\n".join(lines), printed)
    return texts


def is_named(op: Let, printed: dict[str, str], found: Any) -> bool:
    """Whether the constructor has a variable or attribute of its own for a value that is no model."""
    models = {variable for pairs in found.assigned.values() for _, variable in pairs}
    return op.name not in models and not isinstance(op.value, Construction) and printed.get(op.name) == op.hint


def composed_expression(prologue: Block, returned: Any, root: str, printed: dict[str, str]) -> str:
    """What a function of static statements returns as one expression; the class of the model is called `root`."""
    text = code_of_models(returned)
    if isinstance(returned, Construction):
        text = f"{root}{text[text.index('('):]}"
    for op in reversed(prologue.ops):
        text = f"(lambda {op.name}: {text})({code_of(op.value)})"
    return shown(text, printed)


def code_of_models(value: Any) -> str:
    """What is returned: the construction of a class, variables that hold models, tuples and lists of these."""
    if isinstance(value, Construction):
        return construction_code(value.cls, value.values)
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(code_of_models, value))
        return f"[{inner}]" if isinstance(value, list) else inner if len(value) > 1 else f"({inner},)"
    return code_of(value)


def type_of_models(value: Any, prologue: Block) -> str:
    """The annotation for what is returned."""
    if isinstance(value, Construction):
        return value.cls.name
    if isinstance(value, tuple):
        return f"tuple[{', '.join(type_of_models(v, prologue) for v in value)}]"
    if isinstance(value, list):
        return "list[nn.Module]"
    made = next((op.value for op in prologue.ops if isinstance(op, Let) and op.name == code_of(value)), None)
    return made.cls.name if isinstance(made, Construction) else "nn.Module"


def doc_lines(doc: str) -> list[str]:
    quote = '"""' if '"""' not in doc else "'''"
    raw = "r" if "\\" in doc else ""
    return f"    {raw}{quote}{doc}{quote}".split("\n")


def unnamed_defaults(node: ast.FunctionDef, known: set[str]) -> set[str]:
    """The parameters whose defaults are nothing that the result knows: None takes their place."""
    return {n for n, d in _defaults(node.args).items() if not _names(d) <= known}


def _defaults(a: ast.arguments) -> dict[str, ast.expr]:
    """Parameter → the expression of its default."""
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    found = dict(zip(names[len(names) - len(a.defaults) :], a.defaults))
    return found | {p.arg: d for p, d in zip(a.kwonlyargs, a.kw_defaults) if d is not None}


def signature(node: ast.FunctionDef, returns: str, known: set[str], classes: Mapping[str, str] = {}) -> list[str]:
    """The `def` line with the source's own parameters; with "", nothing is said of what it returns.

    `classes` are the defaults that are classes of torch here.
    """
    args = ast.parse(f"def f({ast.unparse(node.args)}): pass").body[0].args  # type: ignore[attr-defined]
    for a in nodes(args):
        if isinstance(a, ast.arg) and a.annotation is not None and not _names(a.annotation) <= known:
            a.annotation = None
    own = {d: ast.Name(classes[n]) if n in classes else ast.Constant(None) for n, d in _defaults(args).items()}
    args.defaults = [d if _names(d) <= known else own[d] for d in args.defaults]
    args.kw_defaults = [d if d is None or _names(d) <= known else own[d] for d in args.kw_defaults]
    decorators = [f"@{ast.unparse(d)}" for d in node.decorator_list if _names(d) <= known]
    return [*decorators, f"def {node.name}({ast.unparse(args)}){returns and f' -> {returns}'}:"]


def _names(node: ast.AST) -> set[str]:
    return variables_in(node)


def items_of(op: Any, rest: list[Any]) -> list[Let]:
    """The variables that take the items of `op` one by one, if nothing else reads it: they unpack it."""
    found: list[Let] = []
    if not isinstance(op, Let):
        return found
    for other in rest:
        if not isinstance(other, Let) or code_of_let(other) != f"{op.name}[{len(found)}]":
            break
        found.append(other)
    if op.name in used_names(Block(rest[len(found) :]), let_values=True):
        return []
    return found if len(found) == op.items else []


def code_of_let(op: Let) -> str:
    return op.value.code if isinstance(op.value, Sym) else ""


def statements(block: Block, out: Lines, printed: dict[str, str]) -> None:
    """Static statements of a function."""
    unpacked: set[Let] = set()
    for index, op in enumerate(block.ops):
        if op in unpacked:
            continue
        items = items_of(op, block.ops[index + 1 :])
        if items:
            unpacked.update(items)
            out.add(f"{', '.join(i.name for i in items)} = {code_of(op.value)}")
        elif isinstance(op, Let):
            if shown(code_of_let(op), printed) != shown(op.name, printed):  # else it goes on under its name
                out.add(let_code(op))
        elif isinstance(op, Static):
            out.add(*ast.unparse(op.statement).splitlines())
        elif isinstance(op, Branch):
            then, otherwise = Lines([], out.level + 1), Lines([], out.level + 1)
            statements(op.then, then, printed)
            statements(op.otherwise, otherwise, printed)
            write_if(out, op.test.code, negated(op.test), then.lines, otherwise.lines)

"""What a conversion wrote: how many lines, from how many of the source, and what ruff says of them.

Lines that are not blank count, those of docstrings and comments too, on both sides. Generated is a function, class or
statement (in a class that stays, a method) that does not stand in the source as it is; imports are left out of the
count. The source's are the lines of the functions, classes and statements whose code went into the result. A function that
is copied from another file is on both sides, but what ruff says of it does not count.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from transpiler.ir.conversion import Conversion

OPTIONS = ["--isolated", "--target-version=py310", "--line-length=120", "--select=F,B,SIM"]
RUFF = [sys.executable, "-m", "ruff", "check", *OPTIONS]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


def quality(conversion: Conversion) -> dict[str, Any]:
    """`source` and `generated` lines of a conversion, and `lint`: what is wrong in those generated, one text each."""
    origins = {p: lines for p, lines in conversion.origins.items() if p.is_file()}  # not those of a setup
    texts = [path.read_text(errors="replace") for path in origins]
    source = sum(map(count, texts, origins.values()))
    copies = {ast.unparse(s) for t in texts for s in ast.parse(t).body if isinstance(s, FUNCTIONS)}
    generated, lint = 0, []
    entries = " ".join(plan.torch_expression for plan in conversion.entries)
    for module in conversion.modules:
        if not module.changed:
            continue
        before = module.path.read_text(errors="replace")
        new = new_statements(module.text, before)
        generated += count(module.text, {n for s in new if not isinstance(s, IMPORTS) for n in span(s)})
        lines = {n for s in new if ast.unparse(s) not in copies for n in span(s)}
        lint += [f"{module.path.name}:{found}" for found in ruff(module.text, lines)]
        lint += [f"{module.path.name}:{name}" for name in unused(module.text, before, new, entries)]
    return {"source": source, "generated": generated, "lint": lint}


def count(text: str, numbers: Iterable[int]) -> int:
    """How many of the lines `numbers`, from 1, are not blank."""
    lines = text.splitlines()
    return sum(bool(lines[n - 1].strip()) for n in numbers)


def span(node: Any) -> range:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    return range(first, (node.end_lineno or first) + 1)


def new_statements(text: str, before: str) -> list[ast.stmt]:
    """The top-level statements of `text` that do not stand in `before`; of a class that stayed, its new members."""
    tree, old = ast.parse(text), ast.parse(before)
    lines, old_lines = text.splitlines(), before.splitlines()
    kept = {code(s, old_lines) for s in ast.walk(old) if isinstance(s, ast.stmt)}
    heads = {head(s) for s in old.body if isinstance(s, ast.ClassDef)}
    new: list[ast.stmt] = []
    for statement in tree.body:
        if code(statement, lines) in kept:
            continue
        members = statement.body if isinstance(statement, ast.ClassDef) and head(statement) in heads else [statement]
        new += [m for m in members if code(m, lines) not in kept]
    return new


def code(node: Any, lines: list[str]) -> str:
    """The text of a statement in the `lines` of a file."""
    own = span(node)
    return "\n".join(lines[own.start - 1 : own.stop - 1])


def head(cls: ast.ClassDef) -> tuple[str, ...]:
    return cls.name, *map(ast.unparse, cls.bases)


def ruff(text: str, lines: set[int]) -> list[str]:
    """What ruff finds in the `lines` of a text: place, rule and message."""
    command = [*RUFF, "--output-format=json", "-"]
    found = json.loads(subprocess.run(command, input=text, capture_output=True, text=True).stdout)
    return [f"{f['location']['row']} {f['code']} {f['message']}" for f in found if f["location"]["row"] in lines]


def unused(text: str, before: str, new: list[ast.stmt], entries: str) -> list[str]:
    """The functions and classes that were added and that nothing uses."""
    old = {s.name for s in ast.walk(ast.parse(before)) if isinstance(s, FUNCTIONS)}
    used = {n.id for n in ast.walk(ast.parse(text + "\n" + entries)) if isinstance(n, ast.Name)}
    used |= {n.attr for n in ast.walk(ast.parse(entries)) if isinstance(n, ast.Attribute)}
    added = [s for s in new if isinstance(s, FUNCTIONS) and s.name not in old | used]
    return [f"{s.lineno} unused nothing uses {s.name}" for s in added]

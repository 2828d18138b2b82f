"""What a function becomes, as text: the classes after all passes, and the function around them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from transpiler.assemble import Assembly, Written
from transpiler.diagnostics import Findings
from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS3
from transpiler.ir.pprint import pprint
from transpiler.ir.program import ModuleClass
from transpiler.read.keras.program import Program

HEAD = """\
import keras
from keras import layers
from keras.layers import *
from keras.models import Model, Sequential

"""


@dataclass(frozen=True)
class Staged:
    """The outcome of staging one entry."""

    text: str
    tier: str
    classes: tuple[str, ...]
    frozen: tuple[str, ...]
    codes: tuple[str, ...]
    """Codes of the findings."""


def stage(source: str, folder: Path, entry: str = "build()") -> Staged:
    """Stages the function that `entry` calls."""
    path = folder / "prog.py"
    path.write_text(HEAD + source)
    findings = Findings()
    program = Program(path, None, "prog", [folder], KERAS3, findings)
    assembly = Assembly(program, findings, False, True)
    program.run_setup("")
    assembly.plan_entries([entry], "")
    written, *_ = [w for w in assembly.done.values() if isinstance(w, Written)]
    factory = written.factory
    assert factory is not None
    names = tuple(c.name for c in written.classes)
    text = plain("\n".join([*map(class_text, written.classes), factory_text(written)]))
    return Staged(text, factory.tier, names, tuple(factory.frozen), tuple(f.code for f in findings.items))


def class_text(cls: ModuleClass) -> str:
    params = ", ".join(f"{p.name}={code_of(p.default)}" if p.has_default else p.name for p in cls.params)
    first, *rest = pprint(cls).split("\n")
    return "\n".join([f"{first[:-1]} of ({params}):", *rest])


def factory_text(written: Written) -> str:
    factory = written.factory
    assert factory is not None
    given = ", ".join(f"{p.name}={code_of(factory.returned.values[p.name])}" for p in factory.root.params)
    fixed = f" with {', '.join(factory.frozen)} fixed" if factory.frozen else ""
    node = factory.function.node
    lines = pprint(factory.prologue).split("\n")
    body = "".join(f"  {line}\n" for line in lines if line)
    assert isinstance(node, ast.FunctionDef)
    return f"def {node.name}({ast.unparse(node.args)}){fixed}:\n{body}  {factory.root.name}({given})"


def plain(text: str) -> str:
    """Numbered names counted from 1 in order of appearance."""
    seen: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        base = found.group(1)
        count = sum(1 for k in seen if k.rpartition("__")[0].split("__v")[0] == base)
        return seen.setdefault(found.group(0), f"{base}.{count + 1}")

    text = re.sub(r"\b([A-Za-z_]\w*?)__v?(\d+)\b", number, text)
    return text

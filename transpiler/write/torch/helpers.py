"""Helper classes and functions that a generated file may need, as text."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from transpiler.resources import template_dir
from transpiler.write.torch.layout import render

_NEEDS = re.compile(r"\{#\s*needs:\s*([\w, ]+)#\}\s*")
_IMPORTS = re.compile(r"\{#\s*imports:\s*([\w., ]+)#\}\s*")


def _source(name: str) -> str:
    return (template_dir() / "torch" / "helpers" / f"{name}.py.j2").read_text(encoding="utf-8")


@functools.cache
def _helper(name: str) -> tuple[str, tuple[str, ...]]:
    text = _source(name)
    needs = tuple(n.strip() for m in _NEEDS.finditer(text) for n in m.group(1).split(","))
    return render(f"helpers/{name}").strip(), needs


def helper_texts(names: Iterable[str]) -> list[str]:
    """The texts of helpers and of those that they need, each once, needed ones first."""
    return list(_with_needed(names).values())


def helper_names(names: Iterable[str]) -> list[str]:
    """The names of helpers and of those that they need."""
    return list(_with_needed(names))


def helper_imports(names: Iterable[str]) -> dict[str, str]:
    """What helpers import by themselves: name → the module it comes from, "" for a module itself."""
    found: dict[str, str] = {}
    for name in _with_needed(names):
        for listed in _IMPORTS.findall(_source(name)):
            for path in listed.split(","):
                module, _, leaf = path.strip().rpartition(".")
                found[leaf] = module
    return found


def _with_needed(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}

    def add(name: str) -> None:
        if name in found:
            return
        text, needs = _helper(name)
        for n in needs:
            add(n)
        found[name] = text

    for name in names:
        add(name)
    return found

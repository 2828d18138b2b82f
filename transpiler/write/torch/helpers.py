"""Helper classes and functions that a generated file may need, as text."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from transpiler.resources import template_dir
from transpiler.write.torch.layout import render

_NEEDS = re.compile(r"\{#\s*needs:\s*([\w, ]+)#\}\s*")


@functools.cache
def _helper(name: str) -> tuple[str, tuple[str, ...]]:
    text = (template_dir() / "torch" / "helpers" / f"{name}.py.j2").read_text(encoding="utf-8")
    needs = tuple(n.strip() for m in _NEEDS.finditer(text) for n in m.group(1).split(","))
    return render(f"helpers/{name}").strip(), needs


def helper_texts(names: Iterable[str]) -> list[str]:
    """The texts of helpers and of those that they need, each once, needed ones first."""
    return list(_with_needed(names).values())


def helper_names(names: Iterable[str]) -> list[str]:
    """The names of helpers and of those that they need."""
    return list(_with_needed(names))


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

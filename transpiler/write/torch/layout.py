"""The templates of generated code: they lay out what Python has decided."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from transpiler.resources import template_dir

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(template_dir() / "torch")
    env = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )  # noqa: S701 - Python, not HTML
    env.filters["indented"] = lambda line, level: "    " * level + line if line else ""
    return env


def render(template: str, **values: Any) -> str:
    """The text of `templates/torch/TEMPLATE.py.j2` with its values."""
    return _environment().get_template(f"{template}.py.j2").render(**values).rstrip("\n")

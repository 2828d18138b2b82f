"""What keeps a fixed parameter from being used with another value."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from transpiler.ir.expr import MISSING, Sym, code_of
from transpiler.ir.model import ApiValue
from transpiler.rules.registry import module_class


def guard(
    name: str, value: Any, bound: bool = False, unused: Collection[str] = (), by_default: bool = False
) -> list[str]:
    """The statement that raises for other values; a `bound` function or class can be named in the file.

    Of a dictionary, the items `unused` may have any value. With `by_default`, None stands for the value, which is the
    default and has no name in the result.
    """
    if value is MISSING:
        return []
    read = f"{{k: v for k, v in {name}.items() if k not in {code_of(tuple(unused))}}}" if unused else name
    test = other_value(read, value, bound)
    if by_default:
        test = f"{name} is not None" + (f" and {in_brackets(test)}" if test else "")
    if not test:
        return []
    shown = shown_value(value) or ("its default" if by_default else "the value seen")
    what = f"K2T301: converted for {name}={shown} only"
    return [f"if {test}:", f"    raise NotImplementedError({what!r})"]


def other_value(x: str, value: Any, bound: bool = False) -> str:
    """The test that the expression `x` is another value than `value`; empty if nothing tells."""
    name = name_of(value)
    if module_class(value):
        return f"{x} is not {module_class(value)}"
    if name:
        return f"{x} is not {name}" if bound else f"getattr({x}, '__name__', '') != {name!r}"
    try:
        shown = code_of(value)
        return f"{x} is not {shown}" if value is None or isinstance(value, bool) else f"{x} != {shown}"
    except TypeError:
        pass
    parts: list[str] = []
    if isinstance(value, (list, tuple)):
        parts = [f"len({x}) != {len(value)}", *(other_value(f"{x}[{i}]", v) for i, v in enumerate(value))]
    elif isinstance(value, dict):
        parts = [f"{x}.keys() != {{{', '.join(map(repr, value))}}}"]
        parts += [other_value(f"{x}[{k!r}]", v) for k, v in value.items()]
    elif is_partial(value):
        function = other_value(f"getattr({x}, 'func', None)", value.function)
        parts = [function, other_value(f"{x}.args", value.args), other_value(f"{x}.keywords", value.keywords)]
    return " or ".join(parts) if parts and all(parts) else ""


def shown_value(value: Any) -> str:
    """A value in a message; empty if it has no short text."""
    if name_of(value):
        return module_class(value) or name_of(value)
    try:
        return code_of(value)
    except TypeError:
        pass
    if is_partial(value):
        given = [*map(shown_value, value.args), *(f"{k}={shown_value(v) or '…'}" for k, v in value.keywords.items())]
        return f"partial({', '.join(v or '…' for v in [shown_value(value.function), *given])})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(shown_value(v) or '…' for v in value)}]"
    return ""


def in_brackets(test: str) -> str:
    return f"({test})" if " or " in test else test


def name_of(value: Any) -> str:
    """The name of a function or class, of the program or of Keras."""
    name = value.leaf if isinstance(value, ApiValue) else getattr(value, "name", None)
    is_one = isinstance(name, str) and name.isidentifier() and not isinstance(value, (str, Sym))
    return name if is_one else ""


def is_partial(value: Any) -> bool:
    """Whether a value is a `functools.partial` of the program."""
    return all(hasattr(value, n) for n in ("function", "args", "keywords"))

"""Python's own functions and modules, as far as model-building code may use them without side effects."""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import math
import operator
import re
import string
import types
import typing
from typing import Any

from transpiler.read.keras.evaluate.syntax import MUTATING
from transpiler.read.keras.evaluate.values import Native, Partial

EXCEPTIONS = {
    n: getattr(__import__("builtins"), n)
    for n in dir(__import__("builtins"))
    if isinstance(getattr(__import__("builtins"), n), type)
    and issubclass(getattr(__import__("builtins"), n), BaseException)
}

PURE = {
    f.__name__: f
    for f in (
        abs, all, any, ascii, bin, bool, bytes, chr, complex, dict, divmod, enumerate, filter, float, format, frozenset,
        hash, hex, id, int, iter, len, list, map, max, min, next, oct, ord, pow, range, repr, reversed, round, set, slice,
        sorted, str, sum, tuple, zip, object,
    )
}  # fmt: skip


PUTS = ("append", "appendleft", "insert")
"""Methods of lists and deques that put a value into them as it is."""


def changes(function: Any) -> bool:
    """Whether a function is a method that changes a list, dictionary or set."""
    return (
        isinstance(getattr(function, "__self__", None), (list, dict, set, collections.deque))
        and function.__name__ in MUTATING
    )


def puts(function: Any) -> bool:
    """Whether a function is such a method."""
    return isinstance(getattr(function, "__self__", None), (list, collections.deque)) and function.__name__ in PUTS


def _wraps(wrapped: Any, *_: Any, **__: Any) -> Any:
    """`functools.wraps` for functions of the program: the wrapper takes over the name."""

    def decorate(wrapper: Any) -> Any:
        if hasattr(wrapper, "attributes"):
            wrapper.attributes.update({"__name__": getattr(wrapped, "name", ""), "__wrapped__": wrapped})
        return wrapper

    return decorate


def _partial(function: Any, *args: Any, **keywords: Any) -> Partial:
    if isinstance(function, Partial):
        return Partial(function.function, (*function.args, *args), {**function.keywords, **keywords})
    return Partial(function, args, keywords)


FUNCTOOLS = types.SimpleNamespace(
    **{
        **vars(functools),
        "partial": Native("partial", _partial),
        "wraps": _wraps,
        "update_wrapper": lambda wrapper, wrapped, *_: _wraps(wrapped)(wrapper),
    }
)
"""functools, without what copies the insides of one function of the program over another's."""

MODULES: dict[str, Any] = {
    "math": math,
    "operator": operator,
    "itertools": itertools,
    "functools": FUNCTOOLS,
    "collections": collections,
    "copy": copy,
    "re": re,
    "string": string,
    "typing": typing,
    "__future__": __import__("__future__"),
}
"""Standard modules that are used as they are: they compute and do nothing else."""

LIBRARIES = ("packaging", "packaging.version", "packaging.requirements", "packaging.specifiers")
"""Third-party modules of the same kind, which this package needs itself; imported when the program does."""

INERT = (
    "os", "sys", "distutils", "six", "warnings", "logging", "time", "datetime", "random", "json", "pathlib", "abc", "types", "enum", "contextlib",
    "inspect", "importlib", "dataclasses", "glob", "argparse", "pickle", "shutil", "uuid", "tempfile", "subprocess", "io", "csv",
    "collections.abc", "threading", "multiprocessing", "hashlib", "urllib", "gc", "platform", "traceback", "textwrap", "struct",
)  # fmt: skip
"""Standard modules that would act on the world: only the few names given meaning by the evaluator work."""

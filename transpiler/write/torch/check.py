"""A last look at generated text: a name that nothing binds would fail only when the code runs."""

from __future__ import annotations

import builtins
import re
import symtable
from collections.abc import Iterator

_STAR = re.compile(r"^\s*from\s.*\simport\s+\*", re.M)


def tables_of(text: str) -> Iterator[symtable.SymbolTable]:
    """The scopes of a file, the top level first."""
    todo = [symtable.symtable(text, "<generated>", "exec")]
    while todo:
        table = todo.pop()
        yield table
        todo += table.get_children()


def undefined_names(text: str) -> set[str]:
    """The names that functions and classes of a file read and that neither the file nor Python binds."""
    if _STAR.search(text):
        return set()
    known = {*dir(builtins), "__file__", "__name__", "__class__", "__doc__", *names_at_top(text)}
    symbols = (s for table in tables_of(text) for s in table.get_symbols())
    return {s.get_name() for s in symbols if s.is_global() and s.is_referenced()} - known


def names_at_top(text: str) -> set[str]:
    """The names that the top level of a file binds."""
    symbols = next(tables_of(text)).get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


def global_names(text: str) -> set[str]:
    """The variables of the top level that a file reads, wherever in it."""
    return {
        s.get_name()
        for table in tables_of(text)
        for s in table.get_symbols()
        if s.is_referenced() and (s.is_global() or table.get_type() == "module")
    }


def local_names(text: str) -> set[str]:
    """The names that are nothing but variables of functions: no code of the file reads them as its own or an import's."""
    local, read = set[str](), set[str]()
    for table in tables_of(text):
        inside = table.get_type() == "function"
        for s in table.get_symbols():
            if inside and (s.is_local() or s.is_free()):
                local.add(s.get_name())
            elif s.is_referenced():
                read.add(s.get_name())
    return local - read

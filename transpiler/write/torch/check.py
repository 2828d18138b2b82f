"""A last look at generated text: a name that nothing binds would fail only when the code runs."""

from __future__ import annotations

import builtins
import re
import symtable

_STAR = re.compile(r"^\s*from\s.*\simport\s+\*", re.M)


def undefined_names(text: str) -> set[str]:
    """The names that functions and classes of a file read and that neither the file nor Python binds."""
    known = {*dir(builtins), "__file__", "__name__", "__class__", "__doc__"}
    table = symtable.symtable(text, "<generated>", "exec")
    if _STAR.search(text):
        return set()
    known |= {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return set(_free(table, known))


def names_at_top(text: str) -> set[str]:
    """The names that the top level of a file binds."""
    symbols = symtable.symtable(text, "<generated>", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


def _free(table: symtable.SymbolTable, known: set[str]) -> list[str]:
    found = [
        s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced() and s.get_name() not in known
    ]
    for child in table.get_children():
        found += _free(child, known)
    return found


def local_names(text: str) -> set[str]:
    """The names that are nothing but variables of functions: no code of the file reads them as its own or an import's."""
    todo, local, read = [symtable.symtable(text, "<generated>", "exec")], set[str](), set[str]()
    while todo:
        table = todo.pop()
        inside = table.get_type() == "function"
        for s in table.get_symbols():
            if inside and (s.is_local() or s.is_free()):
                local.add(s.get_name())
            elif s.is_referenced():
                read.add(s.get_name())
        todo += table.get_children()
    return local - read

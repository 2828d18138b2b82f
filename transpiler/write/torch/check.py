"""A last look at generated text: a name that nothing binds would fail only when the code runs."""

from __future__ import annotations

import ast
import builtins
import symtable


def undefined_names(text: str) -> set[str]:
    """The names that functions and classes of a file read and that neither the file nor Python binds."""
    known = {*dir(builtins), "__file__", "__name__", "__class__", "__doc__"}
    table = symtable.symtable(text, "<generated>", "exec")
    if any(isinstance(n, ast.ImportFrom) and any(a.name == "*" for a in n.names) for n in ast.walk(ast.parse(text))):
        return set()
    known |= {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return set(_free(table, known))


def _free(table: symtable.SymbolTable, known: set[str]) -> list[str]:
    found = [
        s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced() and s.get_name() not in known
    ]
    for child in table.get_children():
        found += _free(child, known)
    return found

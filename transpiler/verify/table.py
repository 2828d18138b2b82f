"""The results of verification as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from transpiler.verify.result import FAIL, Result

HEAD = ("status", "tier", "parameters", "outputs", "training", "gradients", "steps", "seconds", "entry")


def print_results(results: Sequence[Result], stream: TextIO) -> None:
    """One line per entry; below it, for what is not a pass, why and where, and what is trained on one side only."""
    rows = [HEAD, *map(_cells, results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD) - 1)]
    for row, result in zip(rows, (None, *results)):
        print("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[-1]]).rstrip(), file=stream)
        for line in _details(result) if result else ():
            print(f"    {line}", file=stream)


def _cells(result: Result) -> tuple[str, ...]:
    parameters = "-" if result.parameters is None else f"{result.parameters:,}"
    errors = [_error(row) for row in (result.forward, result.training, result.gradients, result.fitting)]
    entry = " ".join(result.entry.split())
    return (result.status, result.tier or "-", parameters, *errors, f"{result.seconds:.1f}", entry)


def _error(row: dict[str, Any]) -> str:
    value = row.get("max_rel")
    return "-" if value is None else f"{value:.1e}"


def _details(result: Result) -> list[str]:
    lines = result.reason.splitlines()
    where = result.first_divergence
    if result.status == FAIL and where:
        lines.append(f"Keras: {where['keras']}")
        lines.append(f"torch: {where['torch']}" + (f"  ({where['module']})" if where.get("module") else ""))
        if where.get("after"):
            lines.append(f"between the last layer that agrees and this one: {', '.join(where['after'])}")
    return [*lines, *result.trained_apart]

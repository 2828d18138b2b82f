"""`keras2torch coverage`: prints how far each public name of Keras is translated."""

from __future__ import annotations

import click

from transpiler.report.coverage import Coverage
from transpiler.report.run import DONE


def coverage() -> int:
    """Prints the table as Markdown, and returns the exit code."""
    click.echo(Coverage().markdown(), nl=False)
    return DONE

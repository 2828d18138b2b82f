"""The command line: `keras2torch convert` and `keras2torch verify`.

Results go to standard output, messages to standard error. A command imports what it needs when it runs, so that
`--help` and `--version` answer at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from transpiler import __version__
from transpiler.config import GENERATIONS
from transpiler.options import TRAINERS
from transpiler.report.run import COULD_NOT

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line on `argv` (default: the process's own) and returns the exit code."""
    try:
        code = app.main(args=None if argv is None else list(argv), prog_name="keras2torch", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return COULD_NOT
    except BrokenPipeError:  # whoever read our output, such as head, has gone
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT


def reading_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of both commands that say how a source is to be read."""
    options = [
        click.option("--entry", "entries", multiple=True, metavar="EXPR", help="A model: 'build(3)', 'model'. Repeat."),
        click.option("--setup", metavar="CODE", help="Python to run first, with the module's names in scope."),
        click.option("--keras", type=click.Choice(GENERATIONS), help="The Keras that the source was written for."),
        click.option(
            "--input-shape",
            "shapes",
            multiple=True,
            metavar="N,…",
            help="An input of a model that declares none, without batch: 28,28,1. Repeat.",
        ),
        click.option(
            "--trainer", type=click.Choice(TRAINERS), help="What the training becomes (default: plain loops)."
        ),
        click.option(
            "--strict/--no-strict", default=None, help="Exact training where an idiomatic form is off by little."
        ),
        click.option("--path", "roots", multiple=True, metavar="DIR", help="Look for imports here as well. Repeat."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="keras2torch", message="%(prog)s %(version)s")
def app() -> None:
    """Converts Keras source into PyTorch source, and proves that both compute the same."""


@app.command(epilog="Exit codes: 0 done or nothing to do; 1 would change (--check); 2 could not.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", metavar="OUT", help="Write the result to this file, or the files of a folder below it.")
@click.option("--in-place", is_flag=True, help="Write each result over its source.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@click.option("--allow-partial/--no-allow-partial", default=None, help="Translate the rest where a part cannot be.")
@click.option("--json", "json_target", metavar="FILE", help="Write the findings to FILE ('-': standard output).")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@reading_options
def convert(
    paths: tuple[str, ...],
    output: str | None,
    in_place: bool,
    check: bool,
    diff: bool,
    json_target: str | None,
    quiet: bool,
    **reading: Any,
) -> int:
    """Converts PATH: a Python file, '-' for standard input, or a folder whose files belong together.

    Without -o, --in-place, --check or --diff the result goes to standard output; only the last three take several
    files, and a folder needs one of the four. What a folder has besides is copied to OUT. A file with the comment "# keras2torch: skip" is left alone.
    """
    from transpiler.commands.common import ReadingOptions
    from transpiler.commands.convert import ConvertJob

    return ConvertJob(paths, ReadingOptions(**reading), output, in_place, check, diff, json_target, quiet).run()


@app.command(epilog="Exit codes: 0 all pass; 1 a mismatch; 2 could not.")
@click.argument("path", metavar="PATH")
@reading_options
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a model may run under each framework.",
)
@click.option(
    "--train",
    "steps",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also train both sides for N steps, where the file says how, and compare the losses and the weights.",
)
@click.option("--json", "json_target", metavar="FILE", help="Write the results to FILE ('-': standard output).")
def verify(path: str, timeout: float, steps: int, json_target: str | None, **reading: Any) -> int:
    """Runs the Keras source PATH and its conversion side by side, and compares what they compute.

    Without --entry every model-building function that can be called with its defaults, and every module-level model,
    is verified. Needs torch and TensorFlow: pip install "keras2torch[verify]".
    """
    from transpiler.commands import verify as command
    from transpiler.commands.common import ReadingOptions

    return command.verify(path, ReadingOptions(**reading), timeout, steps, json_target)


@app.command(epilog="Exit codes: 0 done; 2 could not, and nothing was written.")
@click.argument("path", metavar="SOURCE")
@click.argument("file", metavar="WEIGHTS")
@click.option("-o", "--output", metavar="OUT", help="The file to write; default: WEIGHTS with the end .safetensors.")
@click.option(
    "--map", "map_target", metavar="FILE", help="Write which weight goes where to FILE ('-': standard output)."
)
@click.option(
    "--reverse", metavar="STATE", help="Write the weights of STATE, a safetensors file, into a copy of WEIGHTS."
)
@reading_options
def weights(
    path: str, file: str, output: str | None, map_target: str | None, reverse: str | None, **reading: Any
) -> int:
    """Brings WEIGHTS, a file that Keras has saved, to the result of converting SOURCE.

    WEIGHTS is an .h5, .weights.h5 or .keras, a checkpoint of TensorFlow by any of its files, or the folder of a SavedModel.
    Writes safetensors that load_state_dict(strict=True) takes. WEIGHTS is read without Keras, and nothing in it is run. The result is
    built under torch to learn its keys. Needs torch, h5py and safetensors: pip install "keras2torch[weights]".
    """
    from transpiler.commands import weights as command
    from transpiler.commands.common import ReadingOptions

    return command.weights(path, file, ReadingOptions(**reading), output, map_target, reverse)


@app.command()
def coverage() -> int:
    """Prints how far each public name of Keras is translated, as Markdown."""
    from transpiler.commands import coverage as command

    return command.coverage()

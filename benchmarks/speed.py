"""How long a conversion takes, against what libcst and black alone take on the same file.

    python benchmarks/speed.py [FILE] [--rounds N] [--json OUT] [--max-ratio R]

In one run: `libcst.parse_module` plus `black.format_str` on the source, and `convert_file` on the same source, in turns;
medians and their ratio. Start-up is measured apart, as whole processes. With --max-ratio the exit code is 1 if the
ratio is above R.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import black
import libcst

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from transpiler.diagnostics import Severity
from transpiler.pipeline import Conversion, convert_file

DEFAULT = Path(__file__).resolve().parent / "models" / "segmentation_keras.py"


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def in_process(path: Path, rounds: int) -> dict[str, object]:
    """Times in milliseconds; a first, unmeasured turn warms both sides."""
    text = path.read_text(encoding="utf-8")
    actions: dict[str, Callable[[], object]] = {
        "libcst": lambda: libcst.parse_module(text),
        "black": lambda: black.format_str(text, mode=black.Mode(line_length=120)),
        "convert": lambda: convert_file(path, text=text),
    }
    first = {name: milliseconds(action) for name, action in actions.items()}
    refuse_unconverted(convert_file(path, text=text))
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(milliseconds(action))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "file": path.name,
        "lines": text.count("\n"),
        "rounds": rounds,
        "first_ms": first,
        "median_ms": median,
        "fastest_ms": {name: min(values) for name, values in times.items()},
        "ratio": median["convert"] / (median["libcst"] + median["black"]),
        "first_ratio": first["convert"] / (first["libcst"] + first["black"]),
    }


def refuse_unconverted(conversion: Conversion) -> None:
    """A file that is declined early would make a fine figure."""
    errors = [finding for finding in conversion.findings if finding.severity is Severity.ERROR]
    if errors or not conversion.modules or not conversion.modules[0].changed:
        raise SystemExit(f"the file does not convert, so there is nothing to measure: {errors[:1]}")


def start_up(path: Path, rounds: int) -> dict[str, float]:
    """Median milliseconds of whole processes."""
    baseline = (
        "import sys, libcst, black; text = open(sys.argv[1], encoding='utf-8').read(); "
        "libcst.parse_module(text); black.format_str(text, mode=black.Mode())"
    )
    commands = {
        "python": ["-c", "pass"],
        "libcst and black": ["-c", baseline, str(path)],
        "keras2torch --version": ["-m", "transpiler", "--version"],
        "keras2torch convert": ["-m", "transpiler", "convert", str(path), "-q"],
    }
    medians = {}
    for name, command in commands.items():
        run = [sys.executable, *command]
        times = [milliseconds(lambda: subprocess.run(run, capture_output=True)) for _ in range(rounds)]  # noqa: B023
        medians[name] = statistics.median(times)
    return medians


def table(result: dict[str, object], processes: dict[str, float]) -> str:
    rows = [f"{result['file']}: {result['lines']} lines, median of {result['rounds']}"]
    median: dict[str, float] = result["median_ms"]  # type: ignore[assignment]
    rows += [f"  {name:24}{value:9.1f} ms" for name, value in median.items()]
    rows.append(f"  convert / (libcst + black){result['ratio']:8.2f}")
    rows.append(f"  the same, first time      {result['first_ratio']:8.2f}")
    rows.append("whole processes")
    rows += [f"  {name:24}{value:9.1f} ms" for name, value in processes.items()]
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--max-ratio", type=float, metavar="R")
    options = parser.parse_args()
    result = in_process(options.file, options.rounds)
    processes = start_up(options.file, max(3, options.rounds // 3))
    print(table(result, processes))
    if options.json:
        options.json.write_text(json.dumps({**result, "process_ms": processes}, indent=2) + "\n", encoding="utf-8")
    return int(options.max_ratio is not None and result["ratio"] > options.max_ratio)


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""Convert and verify every model of a manifest: corpus.py MANIFEST SRC [--convert-only] [--json OUT] [--jobs N] [ID ...]

MANIFEST has one JSON object a line: `id, file, flavor, setup, builder, paths` and, where needed, `bypass` (packages
whose `__init__` is skipped), `stubs` (modules replaced by stand-ins), `inputs, shapes, int_high, intfloat`.
SRC holds the unpacked packages. Each entry runs in a process of its own; a crash or a hang is a row.

A row also says how many lines were generated from how many of the source, and what ruff finds in them (see
`generated.py`). With `--convert-only` nothing is verified, which takes a second for each entry; all findings are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TIMEOUT = 600
PASSED = ("pass", "written")

IMPORTS = """\
import importlib, importlib.util, os, re, sys, types
import numpy as np
import tensorflow as tf
import keras
K = keras.backend
SRC = {src!r}
"""

STUB = """\
class _Any(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub
class Stub(metaclass=_Any):
    def __new__(cls, *args, **kwargs):
        if cls is Stub and len(args) == 1 and not kwargs and callable(args[0]):
            return args[0]
        return object.__new__(cls)
    def __init__(self, *args, **kwargs):
        pass
    def __call__(self, *args, **kwargs):
        return args[0] if len(args) == 1 and callable(args[0]) else Stub()
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub()
def _any(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Stub
"""

BYFILE = """\
def byfile(dist_rel, name=None):
    path = os.path.join(SRC, dist_rel)
    name = name or re.sub(r"\\W", "_", dist_rel)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
"""

STUBBED = """\
_m = types.ModuleType({name!r})
_m.__path__ = []
_m.__getattr__ = _any
sys.modules[{name!r}] = _m
"""

BYPASSED = """\
_m = types.ModuleType({name!r})
_m.__path__ = [{folder!r}]
sys.modules[{name!r}] = _m
"""


def prelude(entry: dict[str, Any], src: Path) -> str:
    """The environment of an entry as plain Python, for both sides and for the converter to evaluate."""
    needs = entry.get("setup", "") + entry["builder"]
    parts = [IMPORTS.format(src=str(src))]
    if entry.get("stubs") or "Stub" in needs:
        parts.append(STUB)
    if "byfile(" in needs:
        parts.append(BYFILE)
    for name in entry.get("stubs", ()):
        parts += [STUBBED.format(name=n) for n in (name, *_imported_from(name, source_file(entry, src)))]
    for package in entry.get("bypass", ()):
        parts.append(BYPASSED.format(name=package, folder=str(_package_folder(package, entry, src))))
        parent, _, leaf = package.rpartition(".")
        if parent in entry["bypass"]:
            parts.append(f"sys.modules[{parent!r}].{leaf} = _m\n")
    return "".join([*parts, entry.get("setup", ""), "\n"])


def _imported_from(package: str, file: Path) -> list[str]:
    """The modules of a package that a file imports: those of a stand-in are stand-ins as well."""
    found = re.findall(
        rf"^\s*(?:from|import)\s+({re.escape(package)}(?:\.\w+)+)", file.read_text(encoding="utf-8"), re.M
    )
    parts = [name.split(".") for name in found]
    return sorted({".".join(p[:n]) for p in parts for n in range(package.count(".") + 2, len(p) + 1)})


def _package_folder(package: str, entry: dict[str, Any], src: Path) -> Path:
    for base in entry["paths"]:
        folder = src.joinpath(base, *package.split("."))
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{entry['id']}: no folder for the package {package}")


def source_file(entry: dict[str, Any], src: Path) -> Path:
    """The file that defines the builder: `file` is relative to one of `paths`, to SRC, or to the distribution."""
    bases = [src.joinpath(p) for p in entry["paths"]]
    bases += [src, *(b.parent for b in bases), src / f"{entry['package']}-{entry['version']}"]
    for base in bases:
        if (base / entry["file"]).is_file():
            return base / entry["file"]
    raise FileNotFoundError(f"{entry['id']}: {entry['file']}")


def options(entry: dict[str, Any], src: Path) -> dict[str, Any]:
    """The arguments of `verify_file` for an entry."""
    from transpiler.verify import InputSpec

    given = entry.get("shapes") or entry.get("inputs") and entry.get("input_shapes")
    shapes = tuple(map(tuple, given)) if given else None
    inputs = InputSpec(entry.get("inputs"), shapes, entry.get("int_high"), bool(entry.get("intfloat")))
    roots = tuple(src / p for p in entry["paths"])
    return {
        "entries": [entry["builder"]],
        "setup": prelude(entry, src),
        "generation": entry["flavor"],
        "roots": roots,
        "inputs": inputs,
    }


def run_entry(entry: dict[str, Any], src: Path, convert_only: bool, timeout: float) -> list[dict[str, Any]]:
    """The rows of one entry, in this process; each framework may run for half of `timeout` (seconds)."""
    from transpiler.verify import verify_file

    given = options(entry, src)
    row = convert(entry, src, {k: v for k, v in given.items() if k != "inputs"})
    if convert_only:
        return [row]
    results = verify_file(source_file(entry, src), **given, timeout=timeout / 2)
    return [{**r.to_json(), "reason": r.reason, "quality": row["quality"]} for r in results]


def convert(entry: dict[str, Any], src: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """The row of an entry that is converted and not run."""
    from generated import quality

    from transpiler.pipeline import convert_file

    done = convert_file(source_file(entry, src), **arguments)
    if done.entries:
        return {"status": "written", "tier": done.entries[0].tier, "reason": "", "quality": quality(done)}
    why = "; ".join(f"{f.code} {f.message}" for f in done.findings)
    return {"status": "declined", "tier": None, "reason": why, "quality": None}


def run_child(entry: dict[str, Any], args: argparse.Namespace, src: Path) -> dict[str, Any]:
    """One entry in a process group of its own; a crash or a hang becomes a row."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [
            sys.executable,
            __file__,
            str(args.manifest),
            str(src),
            entry["id"],
            "--child",
            str(out),
            "--timeout",
            str(args.timeout),
        ]
        command += ["--convert-only"] if args.convert_only else []
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            errors = child.communicate(timeout=args.timeout)[1]
            problem = errors.strip().splitlines()[-1] if errors.strip() else f"exit code {child.returncode}"
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            problem = f"no result within {args.timeout:.0f} s"
        rows = json.loads(out.read_text()) if out.exists() else []
    seconds = round(time.monotonic() - started, 1)
    first = rows[0] if rows else {"status": "error", "tier": None, "reason": problem}
    summary = {k: first.get(k) for k in ("status", "tier", "reason", "quality")}
    return {"id": entry["id"], **summary, "seconds": seconds, "rows": rows}


def table(results: list[dict[str, Any]]) -> str:
    """The results as text: one line each (with source lines, generated lines and what ruff finds), the share that
    passes, the size of all that was generated, the other reasons by frequency."""
    width = max((len(r["id"]) for r in results), default=2)
    lines = []
    for r in results:
        reason = " ".join((r["reason"] or "").split())[:110]
        size = _size([r])
        lines.append(
            f"{r['id']:{width}}  {r['status']:8}  {r['tier'] or '-':11}  {r['seconds']:6.1f} s  {size}  {reason}"
        )
    for status, what in (("pass", "verify"), ("written", "are converted")):
        count = sum(r["status"] == status for r in results)
        if count:
            lines.append(f"{count} of {len(results)} {what} ({count / len(results):.0%})")
    lines.append(f"lines of source, generated, ratio, lint: {_size(results)}")
    reasons = Counter(_kind(r) for r in results if r["status"] not in PASSED)
    lines += [f"{n:4}  {why}" for why, n in reasons.most_common()]
    return "\n".join(lines)


def _size(results: list[dict[str, Any]]) -> str:
    """Lines of the source, lines generated, their ratio, and the number of findings of ruff."""
    known = [r["quality"] for r in results if r["quality"]]
    if not known:
        return f"{'-':>5} {'-':>5} {'-':>5} {'-':>3}"
    source, generated = (sum(q[k] for q in known) for k in ("source", "generated"))
    return f"{source:5} {generated:5} {generated / max(source, 1):5.2f} {sum(len(q['lint']) for q in known):3}"


def _kind(result: dict[str, Any]) -> str:
    reason = " ".join((result["reason"] or "").split())
    return f"{result['status']}: {reason[:90]}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("src", type=Path)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--convert-only", action="store_true", help="do not verify, and print all that ruff finds")
    parser.add_argument("--json", type=Path, dest="out", help="write the results here")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds an entry may take")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args(argv)  # ids may follow the options
    src = args.src.resolve()
    entries = [json.loads(line) for line in args.manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    unknown = set(args.ids) - {e["id"] for e in entries}
    if unknown:
        parser.error(f"not in the manifest: {', '.join(sorted(unknown))}")
    chosen = [e for e in entries if not args.ids or e["id"] in args.ids]
    if args.child:
        args.child.write_text(json.dumps(run_entry(chosen[0], src, args.convert_only, args.timeout)), encoding="utf-8")
        return 0
    results = _run_all(chosen, args, src)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    for r in results if args.convert_only else ():
        for finding in r["quality"]["lint"] if r["quality"] else ():
            print(f"{r['id']}  {finding}")
    print(table(results))
    return 0 if all(r["status"] in PASSED for r in results) else 1


def _run_all(entries: list[dict[str, Any]], args: argparse.Namespace, src: Path) -> list[dict[str, Any]]:
    results = []
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(run_child, e, args, src) for e in entries]
        for n, future in enumerate(futures, 1):
            result = future.result()
            results.append(result)
            print(f"[{n}/{len(futures)}] {result['id']} {result['status']} {result['seconds']} s", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())

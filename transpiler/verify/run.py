"""Verifies the entries of a file: convert, run the Keras child, run the torch child, report."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Finding, Severity
from transpiler.ir.model import AUTO, KERAS2, KERAS3
from transpiler.options import PLAIN
from transpiler.pipeline import Conversion, EntryPlan, text_of
from transpiler.read.keras.names import generation_of
from transpiler.verify.children import Ended, run_side
from transpiler.verify.job import InputSpec, Job, job_for, module_name
from transpiler.verify.result import DECLINED, ERROR, FAIL, PASS, Result

TIMEOUT = 300.0
PACKAGES = {KERAS3: ("tensorflow", "keras"), KERAS2: ("tensorflow", "tf_keras")}


class _OriginalFails(Exception):
    """The Keras program cannot be run under this generation."""


@dataclass(frozen=True)
class _Context:
    path: Path
    roots: tuple[Path, ...]
    inputs: InputSpec
    timeout: float
    steps: int = 0


def verify_file(
    path: Path,
    *,
    entries: Sequence[str] = (),
    setup: str = "",
    generation: str = AUTO,
    roots: Sequence[Path] = (),
    inputs: InputSpec | None = None,
    timeout: float = TIMEOUT,
    steps: int = 0,
    trainer: str = PLAIN,
    strict: bool = False,
) -> list[Result]:
    """Converts the file at `path` and verifies each entry; `timeout` (seconds) holds for each child process.

    `steps` of the training, which becomes what `trainer` says, are compared as well, for models of which the file says how they are trained.

    `auto` takes legacy Keras for a file that names it, else Keras 3 first, and legacy Keras for the entries whose original
    does not run there.
    Raises Declined for a file that cannot be read or parsed, ModuleNotFoundError if a framework is not installed.
    """
    from transpiler import pipeline

    def convert(which: str, expressions: Sequence[str]) -> Conversion:
        known = inputs or InputSpec()
        return pipeline.convert_file(
            path,
            entries=expressions,
            setup=setup,
            roots=roots,
            generation=which,
            shapes=known.shapes or (),
            ids=known.all_ids,
            trainer=trainer,
            strict=strict,
        )

    return verify_with(
        convert, path, entries=entries, generation=generation, roots=roots, inputs=inputs, timeout=timeout, steps=steps
    )


def verify_with(
    convert: Callable[[str, Sequence[str]], Conversion],
    path: Path,
    *,
    entries: Sequence[str] = (),
    generation: str = AUTO,
    roots: Sequence[Path] = (),
    inputs: InputSpec | None = None,
    timeout: float = TIMEOUT,
    steps: int = 0,
) -> list[Result]:
    """`verify_file` with any converter: `convert(generation, entries)`."""
    if generation == AUTO and generation_of([text_of(Path(path))]) == KERAS2:
        generation = KERAS2
    generations = (KERAS3, KERAS2) if generation == AUTO else (generation,)
    _require("torch", *(name for g in generations[:1] for name in PACKAGES[g]))
    context = _Context(Path(path), tuple(map(Path, roots)), inputs or InputSpec(), timeout, steps)
    started = time.monotonic()
    conversion = convert(generations[0], entries)
    if generation == AUTO and conversion.only_legacy:
        generations = (KERAS2,)
        _require(*PACKAGES[KERAS2])
        conversion = convert(KERAS2, entries)
    spent = time.monotonic() - started
    results, retry = _verify_all(conversion, entries, generations[0], context, keep_failures=len(generations) == 1)
    if retry:
        _require(*PACKAGES[KERAS2])
        second, _ = _verify_all(convert(KERAS2, retry), retry, KERAS2, context, keep_failures=True)
        by_entry = {r.entry: r for r in second}
        results = [by_entry.get(r.entry, r) for r in results]
    for result in results[:1]:
        result.seconds += spent
    return results


def verify_conversion(
    conversion: Conversion,
    path: Path,
    *,
    generation: str = KERAS3,
    roots: Sequence[Path] = (),
    inputs: InputSpec | None = None,
    timeout: float = TIMEOUT,
) -> list[Result]:
    """Verifies the entries of a conversion that is already there."""
    return verify_with(
        lambda *_: conversion, path, generation=generation, roots=roots, inputs=inputs, timeout=timeout
    )  # fmt: skip


def _require(*packages: str) -> None:
    for name in ("numpy", *packages):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _verify_all(
    conversion: Conversion, entries: Sequence[str], generation: str, context: _Context, *, keep_failures: bool
) -> tuple[list[Result], list[str]]:
    """The results, and the entries whose original does not run under this generation."""
    results, retry = [], []
    for plan in conversion.entries:
        started = time.monotonic()
        result = Result(plan.expression, ERROR, plan.tier, assumptions=[f"Keras generation: {generation}"])
        result.assumptions += conversion.assumptions
        result.findings += [f.to_json() for f in plan.findings]
        try:
            _verify(plan, conversion, generation, context, result)
        except _OriginalFails as error:
            if not keep_failures and not plan.block:
                retry.append(plan.expression)
            _say(result, "K2T601", str(error), "Check that the original runs under this Keras generation.")
        result.seconds = time.monotonic() - started
        results.append(result)
    planned = {plan.expression for plan in conversion.entries}
    for entry in entries:
        if entry not in planned:
            findings = [f.to_json() for f in conversion.findings]
            results.append(Result(entry, DECLINED, assumptions=list(conversion.assumptions), findings=findings))
    return results, retry


def _say(result: Result, code: str, message: str, advice: str = "") -> None:
    result.findings.append(Finding(code, Severity.ERROR, message, advice).to_json())


def _verify(plan: EntryPlan, conversion: Conversion, generation: str, context: _Context, result: Result) -> None:
    if any(f.severity >= Severity.ERROR for f in plan.findings):
        result.status = DECLINED
        return
    name, top = module_name(context.path, context.roots)
    if conversion.modules:
        name = conversion.modules[0].name
    roots = (*context.roots, *([top] if top not in context.roots else []))
    job = job_for(context.path, name, roots, generation, plan, conversion.modules, context.inputs, context.steps)
    if context.steps and plan.training is None:
        result.assumptions.append("the training was not compared: the file does not say how, or it is not translated")
    with tempfile.TemporaryDirectory(prefix="keras2torch-") as name:
        _compare(job, context, Path(name), result)


def _compare(job: Job, context: _Context, folder: Path, result: Result) -> None:
    job_file, prefix, verdict = folder / "job.json", folder / "keras", folder / "verdict.json"
    job.write(job_file)
    ended = run_side("keras_side", job.generation, [str(job_file), str(prefix)], context.timeout, folder)
    if not _keras_ran(ended, folder / "keras.json", context, result):
        return
    arguments = [str(job_file), str(prefix), str(verdict)]
    ended = run_side("torch_side", job.generation, arguments, context.timeout, folder)
    if ended.status is None:
        _say(result, "K2T603", f"the result did not finish within {context.timeout:.0f} s")
    elif not verdict.exists():
        _say(result, "K2T602", f"the process of the result ended with status {ended.status}\n{ended.tail}")
    else:
        _judge(json.loads(verdict.read_text(encoding="utf-8")), result)


def _keras_ran(ended: Ended, report: Path, context: _Context, result: Result) -> bool:
    """Whether at least one precision ran; notes in `result` what did not. Raises _OriginalFails."""
    if ended.status is None:
        _say(result, "K2T603", f"the original did not finish within {context.timeout:.0f} s")
        return False
    if not report.exists():
        raise _OriginalFails(f"the process of the original ended with status {ended.status}\n{ended.tail}")
    attempts = json.loads(report.read_text(encoding="utf-8"))
    done = [a for a in attempts if a["ok"]]
    for attempt in attempts:
        floatx = attempt["floatx"]
        if not attempt["ok"] and done and floatx not in {a["floatx"] for a in done}:
            why = attempt["error"].strip().splitlines()[:1]
            result.assumptions.append(f"the original does not run in {floatx}: {''.join(why)[:300]}")
        if attempt["ok"] and attempt["promoted"]:
            result.assumptions.append("what the original asks for in float32 was promoted to float64")
        if attempt.get("draw"):
            result.assumptions.append(f"weak test data ({floatx}): {attempt['draw']}")
    if done:
        result.parameters = done[0]["parameters"]
        if done[0]["stubs"]:
            result.assumptions.append(f"stand-ins under Keras for: {', '.join(done[0]['stubs'])}")
        return True
    pairing = [a for a in attempts if a["stage"] == "pairing"]
    if pairing:
        _say(result, "K2T604", pairing[0]["error"], "This is a mistake of the converter; please report it.")
        return False
    raise _OriginalFails(attempts[-1]["error"] or ended.tail)


def _judge(verdict: dict[str, Any], result: Result) -> None:
    if verdict.get("stubs"):
        result.assumptions.append(f"stand-ins under torch for: {', '.join(verdict['stubs'])}")
    result.assumptions += verdict.get("notes", ())
    if not verdict["ok"]:
        code = "K2T604" if verdict["stage"] == "pairing" else "K2T602"
        _say(result, code, verdict["error"], "This is a mistake of the converter; please report it.")
        return
    result.trained_apart = verdict["trained_apart"]
    result.forward, result.training = verdict["forward"], verdict["training"]
    result.gradients, result.first_divergence = verdict["gradients"], verdict.get("first_divergence")
    result.fitting = verdict.get("fitting", {})
    result.status = PASS if verdict["same"] else FAIL

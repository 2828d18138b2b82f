"""Every name by which a function on tensors is found, in every home that has it: an example under that name, compared."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_ops import RULES, SCOPE, compare, draw, promoted

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.read.keras.names import canonical
from transpiler.rules.ops.base import Example, OpRule

CALL = re.compile(r"\b((?:K|ops|tf|keras)(?:\.\w+)+)(?=\()")
OTHERWISE = {"tensorflow.lin_space": "it makes float32, which cannot be multiplied by the float64 of these tests"}
ROOTS = {"K": "keras.backend", "ops": "keras.ops", "tf": "tensorflow", "keras": "keras"}


def path_of(spelling: str) -> str:
    """`K.exp` → `backend.exp`."""
    root, _, rest = spelling.partition(".")
    return canonical(f"{ROOTS[root]}.{rest}").removeprefix("keras.")


def spellings(path: str) -> list[str]:
    """How programs write `path`."""
    home, _, rest = path.partition(".")
    if home == "tensorflow":
        return [f"tf.{rest}", f"tf.compat.v1.{rest}"]
    return [{"backend": "K", "ops": "ops"}.get(home, f"keras.{home}") + f".{rest}"]


def exists(spelling: str, generation: str) -> bool:
    root, *rest = spelling.split(".")
    return functools.reduce(lambda m, n: getattr(m, n, None), rest, SCOPE[generation].get(root)) is not None


def examples_named(rule: OpRule, path: str, spelling: str) -> list[Example]:
    """The examples of a rule with one of its names replaced by `spelling`, its own first, then those of the same last name."""
    found = []
    for e in rule.examples:
        own = [c for c in CALL.findall(e.code) if path_of(c) in rule.names]
        if own:
            other = (path_of(own[0]) != path, own[0].rpartition(".")[2] != spelling.rpartition(".")[2])
            code = re.sub(rf"\b{re.escape(own[0])}(?=\()", spelling, e.code, count=1)
            found.append((other, replace(e, code=code)))
    return [e for _, e in sorted(found, key=lambda pair: pair[0])]


def runs(e: Example, generation: str) -> bool:
    """Whether the original takes this call."""
    rng = np.random.default_rng(3)
    try:
        value = promoted(e.code, {**SCOPE[generation], **{n: tf.constant(draw(s, rng)) for n, s in e.inputs.items()}})
        return isinstance(value, tf.Tensor) and bool(tf.reduce_all(tf.math.is_finite(tf.cast(value, tf.float64))))
    except Exception:
        return False


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_name_of_a_rule(name: str, rule: OpRule, tmp_path: Path) -> None:
    untested: list[str] = []
    for path in sorted({*rule.names} - {*OTHERWISE}):
        for generation in (KERAS3, KERAS2):
            if generation == KERAS2 and not path.startswith(("backend.", "activations.")):
                continue  # the same for both
            found = next((s for s in spellings(path) if exists(s, generation)), None)
            if found is None:
                continue  # the library has it elsewhere
            e = next((e for e in examples_named(rule, path, found) if runs(e, generation)), None)
            if e is None:
                untested.append(f"{path} {generation}")
                continue
            try:
                compare(e, generation, tmp_path)
            except AssertionError as error:
                raise AssertionError(f"{e.code} in {generation}: {error}") from error
    assert not untested

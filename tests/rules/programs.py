"""Small programs and single layers on values that a test chooses: Keras beside the result of the conversion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from harness import LIBRARY, TOLERANCE, caller, input_types, randomise, read, real, relative, translate
from torch import nn

from transpiler.ir.model import KERAS3
from transpiler.pipeline import convert_file

HEAD = """
import tensorflow as tf
import {package} as keras
from {package} import Input, Model, Sequential
from {package}.layers import *


def build():
"""


def both(body: str, generation: str, folder: Path) -> tuple[Any, nn.Module]:
    """The live model of a function with this body, and that of its conversion, in inference mode.

    Their weights are the initial ones: the body says constants.
    """
    text = HEAD.format(package=LIBRARY[generation].__name__)
    text += "".join(f"    {line}\n" for line in body.strip().splitlines())
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    done = convert_file(path, entries=["build()"], generation=generation)
    problems = [f.message for f in done.all_findings if f.severity.name == "ERROR"]
    assert not problems, problems
    source: dict[str, Any] = {}
    exec(text, source)
    result: dict[str, Any] = {}
    exec(next(m.text for m in done.modules if m.changed), result)
    return source["build"](), result["build"]().eval()


def arrays(outputs: Any) -> list[np.ndarray]:
    listed = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [y.detach().numpy() if isinstance(y, torch.Tensor) else np.asarray(y) for y in listed]


def agree(body: str, generation: str, folder: Path, *xs: Any, training: bool = False) -> list[np.ndarray]:
    """The outputs of a program, which are those of its conversion."""
    model, module = both(body, generation, folder)
    given = [np.asarray(x) for x in xs]
    wanted = arrays(model(given[0] if len(given) == 1 else given, training=training))
    found = arrays(module.train(training)(*map(torch.from_numpy, given)))
    close(wanted, found)
    return wanted


def close(wanted: list[np.ndarray], found: list[np.ndarray], bound: float = TOLERANCE["float64"]) -> None:
    assert [y.shape for y in found] == [y.shape for y in wanted]
    for want, have in zip(wanted, found):
        assert np.array_equal(np.isnan(want), np.isnan(have))
        assert relative(np.nan_to_num(want), np.nan_to_num(have)) <= bound, (want, have)


def layer(
    code: str,
    *xs: Any,
    generation: str = KERAS3,
    training: bool = False,
    masks: dict[int, Any] | None = None,
    named: tuple[str, ...] = (),
    bound: float = TOLERANCE["float64"],
) -> list[np.ndarray]:
    """What a layer of Keras makes of these values, which is what its translation makes of them."""
    given = [np.asarray(x) for x in xs]
    masks = {i: np.asarray(m) for i, m in (masks or {}).items()}
    live = real(code, generation)
    call = caller(live, list(map(tf.constant, given)), named, {}, masks)
    call()
    randomise(live, np.random.default_rng(7))
    made = read(code, generation)
    types = [replace(t, dtype=str(x.dtype)) for t, x in zip(input_types([x.shape for x in given], ""), given)]
    carried = [replace(t, masked=i in masks) for i, t in enumerate(types)]
    reads = made.rule.reads_masks(made.args, carried)
    found = translate(made, [replace(t, masked=i in reads) for i, t in enumerate(types)])
    found.load(live)
    found.train(training)
    wanted = arrays(call(training=training) if training else call())
    close(
        wanted, arrays(found(*map(torch.from_numpy, given), masks=[torch.from_numpy(masks[i]) for i in reads])), bound
    )
    return wanted

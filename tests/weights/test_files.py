"""Weights saved by real Keras, of every kind of file and model: they load strictly, and the outputs are those of Keras."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from transpiler.diagnostics import Severity
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.weights.opening import opened
from transpiler.weights.transfer import find, state_of

sys.path.insert(0, str(Path(__file__).parent))
from conftest import MODELS  # noqa: E402

KINDS = {KERAS3: 3, KERAS2: 4}
"""How many kinds of files a generation writes; legacy Keras writes no whole `.h5` of subclassed models."""

QUICK = ("plain()", "out_of_order()", "operators()", "nested()", "wrapped()", "custom()", "trained()", "Net()")


@pytest.mark.parametrize("generation", KINDS)
@pytest.mark.parametrize("entry", [e if e in QUICK else pytest.param(e, marks=pytest.mark.slow) for e in MODELS])
def test_every_file_loads_strictly_and_computes_the_same(saved, entry, generation):
    net = saved(entry, generation)
    assert len(net.files) == KINDS[generation] - (entry == "Net()" and generation == KERAS2)
    target, model = net.target(), net.model()
    for file in net.files:
        with opened(file) as content:
            found = find(content, target.plan.saved, target.keys)
            assert [f.message for f in found.findings if f.severity > Severity.NOTE] == [], file.name
            assert net.error(model, state_of(target, found)) < 1e-5, file.name

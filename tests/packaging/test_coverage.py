"""The table of what is translated: complete for the installed Keras, and the same in the documentation."""

from __future__ import annotations

import functools
import runpy
from pathlib import Path

import pytest

from transpiler.report.coverage import READ, Coverage, State
from transpiler.rules.declined import DECLINED, DECLINED_OF_TENSORFLOW
from transpiler.rules.ops import op_rules
from transpiler.rules.registry import layer_rules


def test_every_public_name_of_the_installed_keras_is_in_the_table(root: Path):
    script = runpy.run_path(str(root / "benchmarks" / "keras_names.py"))
    coverage = Coverage()
    installed = script["public_names"]()
    assert coverage.generations == tuple(installed), "run benchmarks/keras_names.py"
    for generation, families in installed.items():
        for family, names in families.items():
            known = {name for name, has in coverage.names[family].items() if generation in has}
            assert known == set(names), f"{family} of {generation}: run benchmarks/keras_names.py"


def test_the_page_is_what_the_command_prints(root: Path):
    page = (root / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert page == Coverage().markdown(), "run keras2torch coverage > docs/coverage.md"


def test_what_is_declined_on_purpose_has_no_rule_and_exists():
    coverage = Coverage()
    names = {f"{family}.{name}" for family in coverage.families for name in coverage.names[family]}
    assert not {*DECLINED, *READ} - names
    layers = {f"layers.{name}" for name in layer_rules()} - {"layers.InputLayer"}
    assert not {*DECLINED, *READ} & {*op_rules(), *layers}


def test_what_is_declined_of_tensorflow_has_no_rule_and_exists():
    import tensorflow as tf

    assert not {*DECLINED_OF_TENSORFLOW} & {*op_rules()}
    for name in DECLINED_OF_TENSORFLOW:
        path = name.removeprefix("tensorflow.").split(".")
        assert any(functools.reduce(lambda m, leaf: getattr(m, leaf, None), path, m) for m in (tf, tf.compat.v1)), name


@pytest.mark.parametrize(
    ("path", "state", "remark"),
    [
        ("layers.Identity", State.TRANSLATED, ""),
        ("layers.Dense", State.PARTLY, "`lora_rank`: low-rank adapters"),
        ("layers.add", State.TRANSLATED, ""),
        ("layers.RNN", State.PARTLY, "only LSTMCell"),
        ("layers.Hashing", State.DECLINED, "strings"),
        ("layers.NeverHeardOf", State.UNKNOWN, ""),
        ("initializers.GlorotUniform", State.TRANSLATED, ""),
        ("initializers.VarianceScaling", State.PARTLY, "chosen axes"),
        ("constraints.NonNeg", State.TRANSLATED, ""),
        ("optimizers.Adam", State.PARTLY, "`use_ema`: an average of the weights"),
        ("optimizers.legacy.RMSprop", State.PARTLY, "at once"),
        ("optimizers.Muon", State.DECLINED, "paths in Keras"),
        ("optimizers.schedules.CosineDecay", State.TRANSLATED, ""),
        ("losses.get", State.TRANSLATED, ""),
        ("ops.softmax", State.PARTLY, "over all axes"),
        ("backend.int_shape", State.TRANSLATED, "read where the model is built"),
        ("backend.function", State.DECLINED, "TensorFlow 1"),
    ],
)
def test_states(path: str, state: State, remark: str):
    found, said = Coverage().state(path)
    assert found is state and remark in said

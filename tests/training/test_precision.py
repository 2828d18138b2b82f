"""Policies of precision: what is said of them."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
import keras
from keras import layers, mixed_precision

{policy}
model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.zeros((8, 4)), np.zeros((8, 1)))
"""
MADE = 'policy = mixed_precision.Policy("mixed_bfloat16")\nmixed_precision.set_global_policy(policy)'


def converted(tmp_path: Path, policy: str):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(policy=policy))
    conversion = convert_file(path, generation="keras3")
    assert "keras" not in conversion.modules[0].text
    return [f for f in conversion.all_findings if f.severity.name in ("ERROR", "WARNING")]


@pytest.mark.parametrize(
    ("policy", "name", "advice"),
    (
        ('mixed_precision.set_global_policy("mixed_float16")', "mixed_float16", "torch.amp.GradScaler"),
        ('keras.config.set_dtype_policy("mixed_bfloat16")', "mixed_bfloat16", "torch.bfloat16"),
        (MADE, "mixed_bfloat16", "torch.bfloat16"),
    ),
)
def test_mixed_precision_is_left_out_and_named(policy: str, name: str, advice: str, tmp_path: Path):
    (finding,) = converted(tmp_path, policy)
    assert finding.severity.name == "WARNING"
    assert name in finding.message and "float32" in finding.message
    assert advice in finding.advice


def test_the_usual_policy_is_nothing_to_say(tmp_path: Path):
    assert not converted(tmp_path, 'keras.config.set_dtype_policy("float32")')


def test_another_policy_is_declined(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(policy='keras.config.set_dtype_policy("float64")'))
    conversion = convert_file(path, generation="keras3")
    assert any(f.severity.name == "ERROR" for f in conversion.all_findings)

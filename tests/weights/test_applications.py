"""`keras.applications` of either generation: read from its own source, and its files load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.pipeline import convert_file

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = {KERAS2: "expanded_conv/depthwise", KERAS3: "expanded_conv_depthwise"}
"""What the generations call one layer of MobileNetV3."""


@pytest.mark.parametrize("generation", NAMES)
@pytest.mark.parametrize("home", ["applications", "applications.mobilenet_v3"])
def test_an_application_is_that_of_the_generation(tmp_path, home, generation):
    source = tmp_path / "net.py"
    source.write_text(
        f"from tensorflow.keras.{home} import MobileNetV3Small\n"
        "def build():\n    return MobileNetV3Small(weights=None, input_shape=(32, 32, 3), classes=10)\n"
    )
    done = convert_file(source, generation=generation)
    assert done.entries[0].saved is not None
    names = {layer.name for layer in done.entries[0].saved.layers}
    assert NAMES[generation] in names
    assert not set(NAMES.values()) - {NAMES[generation]} & names


def test_names_that_keras_counts(tmp_path):
    source = tmp_path / "net.py"
    source.write_text(
        "from tf_keras.applications import RegNetX080\n"
        "def build():\n    return RegNetX080(weights=None, input_shape=(32, 32, 3), classes=10)\n"
    )
    done = convert_file(source, generation=KERAS2)
    assert "1head_dense" in {layer.name for layer in done.entries[0].saved.layers}
    assert " or 1" in done.modules[0].text  # its first stage has no groups, which legacy Keras takes for one


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["keras.MobileNetV2", "keras.EfficientNetV2B1", "tf_keras.ResNet50", "tf_keras.ConvNeXtTiny"]
)
def test_files_of_applications_load(tmp_path, name):
    def run(*arguments):
        return subprocess.run([sys.executable, *arguments], capture_output=True, text=True).stdout

    manifest, rows = tmp_path / "applications.jsonl", tmp_path / "rows.jsonl"
    manifest.write_text(run(BENCHMARKS / "applications.py"))
    src = run(BENCHMARKS / "applications.py", "--src").strip()
    said = run(BENCHMARKS / "weights.py", manifest, src, name, "--json", rows)
    assert json.loads(rows.read_text())["status"] == "pass", said

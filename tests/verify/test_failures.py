"""Whatever either side does, verification ends with a row that says what happened."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from verify_plans import unit

from transpiler.diagnostics import Finding, Severity
from transpiler.pipeline import Conversion, EntryPlan
from transpiler.verify import verify_conversion

DENSE = """
    import keras

    def build():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
"""
DENSE_TORCH = """
    from torch import nn

    def build():
        return nn.Sequential(nn.Linear(4, 3))
"""


def errors(result):
    return [(f["code"], f["message"]) for f in result.findings if f["severity"] == "error"]


def test_importing_the_package_imports_no_framework():
    code = "import sys, transpiler.verify; print(sorted({'torch', 'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_result_that_raises(verify):
    result = verify(DENSE, DENSE_TORCH.replace("nn.Linear(4, 3)", "nn.Linear(4)"), [unit("Dense")])
    assert result.status == "error"
    ((code, message),) = errors(result)
    assert code == "K2T602"
    assert "TypeError" in message


def test_a_result_that_crashes_the_process(verify):
    result = verify(DENSE, "import os\nos.kill(os.getpid(), 11)\n", [unit("Dense")])
    assert result.status == "error"
    assert errors(result)[0][1].startswith("the process of the result ended with status -11")


def test_an_original_that_crashes_the_process(verify):
    result = verify("import os\nos.kill(os.getpid(), 11)\n", DENSE_TORCH, [unit("Dense")])
    assert result.status == "error"
    ((code, message),) = errors(result)
    assert (code, "status 11" in message) == ("K2T601", True)


def test_a_hang_meets_the_time_limit(verify):
    started = time.monotonic()
    result = verify("while True:\n    pass\n", DENSE_TORCH, [unit("Dense")], timeout=8)
    assert time.monotonic() - started < 16
    assert (result.status, errors(result)[0][0]) == ("error", "K2T603")


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([unit("Dense", "tail")], "> 1: Dense 'tail' | Dense 'head'"),
        ([unit("Conv2D")], "> 1: Conv2D | Dense 'head'"),
        ([], "> 1: - | Dense 'head'"),
        ([unit("Dense"), unit("Dense")], "> 2: Dense | -"),
    ],
    ids=["name", "class", "missing", "extra"],
)
def test_units_that_are_not_the_layers_of_the_model(verify, units, message):
    result = verify(DENSE, DENSE_TORCH, units)
    assert result.status == "error"
    assert errors(result)[0][0] == "K2T604"
    assert message in errors(result)[0][1]


@pytest.mark.parametrize(
    ("torch", "message"),
    [
        ("nn.Linear(4, 3), nn.Linear(3, 3)", "modules without a Keras layer: 1"),
        ("nn.Linear(4, 3, bias=False)", "0 (Linear) has no bias for bias of Dense"),
        ("nn.Linear(5, 3)", "does not fit a parameter of shape (3, 5)"),
        ("nn.ReLU()", "no module is left for Dense"),
    ],
)
def test_torch_weights_that_do_not_correspond(verify, torch, message):
    result = verify(DENSE, DENSE_TORCH.replace("nn.Linear(4, 3)", torch), [unit("Dense")])
    assert result.status == "error"
    assert errors(result)[0][0] == "K2T604"
    assert message in errors(result)[0][1]


def test_auto_falls_back_to_legacy_keras(verify):
    old = """
        from keras.layers.core import Dense
        from keras.engine.topology import Input
        from keras.models import Model
        import not_installed_anywhere

        def build():
            inputs = Input((4,))
            return Model(inputs, Dense(3)(inputs))
    """
    result = verify(old, DENSE_TORCH, [unit("Dense")], generation="auto")
    assert result.status == "pass", result.reason
    assert result.assumptions[0] == "Keras generation: tf_keras"
    assert "stand-ins under Keras for: not_installed_anywhere" in result.assumptions


def test_an_original_that_runs_nowhere(verify):
    result = verify(
        "import keras\n\ndef build():\n    return keras.layers.Nope()\n", DENSE_TORCH, [], generation="auto"
    )
    assert result.status == "error"
    ((code, message),) = errors(result)
    assert (code, "Nope" in message) == ("K2T601", True)


def test_an_entry_with_errors_is_declined_without_running(tmp_path):
    finding = Finding("K2T101", Severity.ERROR, "no rule")
    plan = EntryPlan("build()", "", "build()", "", "flat", (), (finding,))
    started = time.monotonic()
    (result,) = verify_conversion(Conversion([], [plan]), tmp_path / "net.py")
    assert (result.status, result.reason) == ("declined", "K2T101 no rule")
    assert time.monotonic() - started < 1


def test_a_module_that_a_package_makes_itself_is_no_missing_one():
    code = """
import builtins, sys
from transpiler.verify.imports import StubFinder
finder = StubFinder(None)
sys.meta_path.append(finder)
from six.moves import range, zip
import absent.deep
assert range is builtins.range and zip is builtins.zip
assert finder.names == ["absent", "absent.deep"], finder.names
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_of_a_missing_module_by_star(tmp_path):
    (tmp_path / "user.py").write_text(
        "from absent.cells import *\nclass Cell(RNNCell):\n    def call(self): return helper(1)\n"
    )
    code = f"""
import sys
from transpiler.verify.imports import StubFinder
sys.meta_path.append(StubFinder(None))
sys.path.insert(0, {str(tmp_path)!r})
import user
assert user.Cell.__mro__[1] is user.RNNCell
user.Cell().call()
"""
    subprocess.run([sys.executable, "-c", code], check=True)

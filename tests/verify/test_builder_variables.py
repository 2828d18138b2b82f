"""Variables of a builder that take another value: what was read before keeps the older one."""

from __future__ import annotations

import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import keras
import pytest

from transpiler.pipeline import convert_file

HEAD = "import numpy as np\nimport keras\nfrom keras import layers\n"

BUILDERS = {
    "a variable and what it was before": """
        def build(a=3):
            n = a * 2
            m = n
            n = n + 1
            k = m * 10 + n
            i = keras.Input((4,))
            return keras.Model(i, layers.Dense(k)(i))
        """,
    "on one side of a branch": """
        def build(a=3, more=True):
            n = a * 2
            m = n
            if more:
                n = n + 1
            k = m * 10 + n
            i = keras.Input((4,))
            return keras.Model(i, layers.Dense(k)(i))
        """,
    "arrays of one name": """
        def half(size, by):
            kernel = np.ones((4, size)) * by
            return kernel / np.abs(kernel).sum()

        def build(a=3):
            kernel = half(a, 2) + half(a, 3)
            i = keras.Input((4,))
            start = keras.initializers.Constant(kernel)
            return keras.Model(i, layers.Dense(a, kernel_initializer=start, bias_initializer="ones")(i))
        """,
}


def run(text: str, name: str) -> dict[str, Any]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), vars(module))
    return vars(module)


@pytest.mark.parametrize("name", BUILDERS)
def test_variables_keep_their_values(name: str, tmp_path: Path):
    source = HEAD + textwrap.dedent(BUILDERS[name])
    path = tmp_path / "prog.py"
    path.write_text(source)
    text = convert_file(path, entries=["build()"]).modules[0].text
    theirs, ours = run(source, "theirs"), run(text, "ours")
    for a in (3, 5):
        keras.utils.set_random_seed(0)
        kernel = theirs["build"](a).layers[-1].kernel.numpy()
        weight = ours["build"](a).dense.weight.detach().numpy()
        assert weight.shape == kernel.T.shape
        assert name != "arrays of one name" or abs(weight - kernel.T).max() < 1e-6

"""One embedding, there and back."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.ir.model import KERAS3
from transpiler.verify import verify_file

SOURCE = """
    from keras import Input, Model, layers

    def build(words=11):
        ids = Input((6,), dtype="int32")
        table = layers.ReversibleEmbedding(words, 4{options})
        x = layers.Dense(4, activation="tanh")(table(ids))
        return Model(ids, table(x, reverse=True))
"""


@pytest.mark.parametrize("options", ["", ", tie_weights=False", ", logit_soft_cap=2.0"])
def test_both_ways(options: str, tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE.replace("{options}", options)))
    (result,) = verify_file(path, entries=["build()"], generation=KERAS3)
    assert result.status == "pass", result

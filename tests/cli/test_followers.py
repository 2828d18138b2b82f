"""Statements that are not translated because others are not: one finding, which names the cause."""

from pathlib import Path

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
from keras import Input, Model
from keras import backend as K
from keras.layers import Dense, add

inputs = Input((4,))
hidden = K.no_such_function(inputs)
more = add([hidden, hidden])
outputs = Dense(2)(more)
model = Model(inputs, outputs)
K.clear_everything()
"""


def test_what_follows_from_one_cause_is_one_finding(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    found = [(f.span.line, f.message) for f in convert_file(path).all_findings if f.span is not None]
    followers = [m for _, m in found if "go with what is not translated" in m or "goes with" in m]
    assert len(followers) == 1 and followers[0].endswith(dict(found)[8]), found
    assert (12, "this statement uses Keras and is not translated") in found

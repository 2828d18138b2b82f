"""Branches and loops that make layers and go by what only the run knows: what the training of such models is, and where it is declined."""

from pathlib import Path

import pytest
from test_added_losses import converted

HEAD = """
import argparse
from tensorflow.keras import Sequential

parser = argparse.ArgumentParser()
parser.add_argument("--deep", action="store_true")
parser.add_argument("--depth", type=int, default=1)
args = parser.parse_args()
y = np.zeros((8, 1))
"""
MODEL = """
model = Sequential([keras.Input((4,))])
{layers}
model.compile({compiled})
model.fit(x, y, verbose=0)
"""
BRANCH = """
if args.deep:
    model.add(layers.Dense(3{more}))
model.add(layers.Dense(1, activation="sigmoid"))
"""
LOOP = """
model.add(layers.Dense(1, activation="sigmoid"))
for _ in range(args.depth):
    model.add(layers.Dense(1))
"""
END = """
if args.deep:
    model.add(layers.Dense({size}))
else:
    model.add(layers.Dense(1, activation="sigmoid"))
"""
CROSSENTROPY, SQUARES = "'sgd', 'binary_crossentropy'", "'sgd', 'mse'"


def test_a_branch_is_one_on_a_parameter(tmp_path: Path):
    text, errors = converted(HEAD + MODEL.format(layers=BRANCH.format(more=""), compiled=CROSSENTROPY), tmp_path)
    assert not errors
    assert "(nn.Linear(4, 3) if deep else nn.Identity()), nn.Linear(3 if deep else 4, 1)" in text
    assert "model = Net(args.deep)" in text and "binary_cross_entropy_with_logits" in text


def test_a_loop_has_as_many_rounds_as_the_program_says(tmp_path: Path):
    text, errors = converted(HEAD + MODEL.format(layers=LOOP, compiled=SQUARES), tmp_path)
    assert not errors
    assert "nn.Sequential(*[nn.Linear(1, 1) for _ in range(depth)])" in text and "model = Net(args.depth)" in text


@pytest.mark.parametrize(
    ("layers", "compiled", "why"),
    (
        (LOOP, CROSSENTROPY, "a crossentropy is computed from the logits"),
        (END.format(size=1), CROSSENTROPY, "a crossentropy is computed from the logits"),
        (END.format(size=2), SQUARES, "the sizes of the outputs are not known"),
        (BRANCH.format(more=", kernel_regularizer='l2'"), SQUARES, "kernel_regularizer of a layer"),
        (BRANCH.format(more="").replace("args.deep", "args.deep is not None"), SQUARES, "not converted"),
        (BRANCH.format(more="").replace("args.deep", "open(args.deep).read()"), SQUARES, "not converted"),
    ),
)
def test_what_may_be_another_on_the_other_side_is_declined(layers: str, compiled: str, why: str, tmp_path: Path):
    _, errors = converted(HEAD + MODEL.format(layers=layers, compiled=compiled), tmp_path)
    assert any(why in e for e in errors)


def test_layers_that_a_branch_adds_are_not_read_one_by_one(tmp_path: Path):
    """Every loop is unrolled then, which what only the run knows cannot decide."""
    layers = BRANCH.format(more="") + "top = model.layers[-1]\nmodel.add(layers.Dense(top.units))"
    _, errors = converted(HEAD + MODEL.format(layers=layers, compiled=SQUARES), tmp_path)
    assert errors

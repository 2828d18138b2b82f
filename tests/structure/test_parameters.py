"""Parameters that decide what kind of value there is stay parameters, and the result is right for other values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from held import assert_same, build, convert, load
from torch import Tensor, nn

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

"""
POOLED = """
def build(shape=(8, 8, 3), pool=None):
    x = inputs = keras.Input(shape)
    x = Conv2D(4, 3)(x)
    if pool == "avg":
        x = GlobalAveragePooling2D()(x)
    elif pool == "max":
        x = GlobalMaxPooling2D(keepdims=True)(x)
    elif pool == "rows":
        x = Reshape((-1, 4))(x)
"""
USES = ("build()", "build(pool='avg')", "build((9, 7, 1), 'max')", "build(pool='rows')")
KEPT = {
    "the rank of what is returned": (f"{POOLED}    return Model(inputs, x)", USES),
    "layers that act on the last axis": (
        f"""{POOLED}
    x = LayerNormalization(epsilon=1e-6)(x)
    x = Dropout(0.5)(Dense(6, activation="relu")(x))
    return Model(inputs, Dense(5, activation="softmax")(x) * 2.0)
""",
        USES,
    ),
    "the rank of what a function returns": (
        """
def tail(x, flat):
    x = Conv2D(4, 3)(x)
    if flat:
        return GlobalAveragePooling2D()(x)
    return x

def build(shape=(8, 8, 3), flat=True):
    inputs = keras.Input(shape)
    return Model(inputs, Dense(5, activation="softmax")(tail(inputs, flat)))
""",
        ("build()", "build(flat=False)"),
    ),
    "the rank of what a function is given": (
        f"""
def head(x, n):
    return Softmax()(Dense(n)(x))

{POOLED}
    return Model(inputs, head(x, 5))
""",
        USES,
    ),
    "a decision on the rank": (
        f"""{POOLED}
    n = 5 if len(x.shape) == 2 else 7
    return Model(inputs, Dense(n)(x))
""",
        USES,
    ),
    "a loop over layers for any rank": (
        f"""{POOLED}
    for n in (5, 6):
        x = Dense(n, activation="tanh")(x)
    return Model(inputs, x)
""",
        USES,
    ),
    "the rank is known again": (
        f"""{POOLED}
    x = Dense(6, activation="tanh")(x)
    if pool == "avg":
        x = Concatenate()([x, x])
    elif pool == "max":
        x = Flatten()(Conv2D(4, 1)(x))
    return Model(inputs, x)
""",
        USES,
    ),
}


def text_of(source: str, seen: str, folder: Path) -> str:
    conversion = convert(HEAD + source, seen, folder)
    assert conversion.entries[0].tier == "structure", [f.message for f in conversion.findings]
    return conversion.modules[0].text


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_parameter_holds_for_other_values(name: str, tmp_path: Path):
    source, uses = KEPT[name]
    for seen in uses[:2]:
        names = load(text_of(source, seen, tmp_path))
        for entry in uses:
            assert_same(names, HEAD + source, entry, tmp_path)


FIXED = {
    "another layer for each rank": f"{POOLED}    return Model(inputs, Dense(3)(Flatten()(x)))",
    "tensors of other ranks": f"{POOLED}    return Model(inputs, Concatenate()([x, x]))",
    "a loop that may not run": f"""{POOLED}
    for i in range(len(shape)):
        x = Dense(4, activation="relu")(x)
    return Model(inputs, x)
""",
}


@pytest.mark.parametrize("name", FIXED)
def test_what_differs_by_rank_fixes_the_parameter(name: str, tmp_path: Path):
    source = HEAD + FIXED[name]
    for seen, other in (("build(pool='avg')", "build()"), ("build()", "build(pool='avg')")):
        names = load(convert(source, seen, tmp_path).modules[0].text)
        assert_same(names, source, seen, tmp_path)
        try:
            build(names, other)
        except NotImplementedError as error:
            assert "K2T30" in str(error)
        else:
            assert_same(names, source, other, tmp_path)


GIVEN = """
def stem(x, width, aug):
    if aug:
        x = aug(x)
    return Conv2D(width, 3)(x)

def build(shape=(8, 8, 3), aug=None, inner=None):
    inputs = keras.Input(shape)
    x = aug(inputs) if aug is not None else inputs
    x = stem(x, 4, inner)
    return Model(inputs, Dense(5)(Flatten()(x)))
"""


class Shift(nn.Module):
    """Shifts rows: on an axis that tells a tensor in Keras's order from another one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        nn.init.constant_(self.conv.weight, 7.0)

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, dims=1)


def test_a_layer_that_the_caller_may_give_is_a_module_in_the_result(tmp_path: Path):
    names = load(text_of(GIVEN, "build()", tmp_path))
    for entry in ("build()", "build((9, 7, 2))"):
        assert_same(names, HEAD + GIVEN, entry, tmp_path)
    torch.manual_seed(0)
    plain, given = build(names, "build()").model, names["build"](aug=Shift(), inner=Shift()).double().eval()
    assert all((m.conv.weight == 7).all() for m in given.modules() if isinstance(m, Shift))
    own = {k: v for k, v in plain.state_dict().items()}
    missing = given.load_state_dict(own, strict=False)
    assert not missing.unexpected_keys and all("module.conv" in k for k in missing.missing_keys)
    x = torch.randn(2, 8, 8, 3, dtype=torch.float64)
    assert torch.equal(given(x), plain(x.roll(2, dims=1)))
    assert not torch.equal(plain(x), plain(x.roll(2, dims=1)))


def test_a_given_module_must_keep_the_shape(tmp_path: Path):
    names = load(text_of(GIVEN, "build()", tmp_path))
    with pytest.raises(ValueError, match=r"changes the shape \(2, 8, 8, 3\) to \(2, 192\)"):
        names["build"](aug=nn.Flatten())(torch.zeros(2, 8, 8, 3))
    with pytest.raises(TypeError, match="a PyTorch module is needed"):
        names["build"](aug="flip")


def test_a_given_layer_is_reported(tmp_path: Path):
    found = [f for f in convert(HEAD + GIVEN, "build()", tmp_path).findings if f.code == "K2T305"]
    assert [f.severity.name for f in found] == ["NOTE", "NOTE"]

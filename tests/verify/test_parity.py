"""Right conversions pass, wrong ones are caught and the layer is named; under both generations of Keras."""

from __future__ import annotations

import pytest
from verify_plans import unit

from transpiler.ir.model import Weight

CNN = """
    import keras
    from keras import layers

    def build(filters=6):
        inputs = keras.Input((9, 8, 3))
        x = layers.Conv2D(filters, 3, strides=2, padding="same", name="stem")(inputs)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.ReLU()(x)
        x = layers.Dropout(0.25)(x)
        x = layers.Flatten()(x)
        return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x))
"""
CNN_TORCH = """
    import torch.nn.functional as F
    from torch import nn

    class Net(nn.Module):
        def __init__(self, filters=6):
            super().__init__()
            self.stem = nn.Conv2d(3, filters, 3, stride=2)
            self.norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
            self.dropout = nn.Dropout(p=0.25)
            self.head = nn.Linear(5 * 4 * filters, 5)

        def forward(self, x):
            x = F.pad(x.permute(0, 3, 1, 2), (0, 1, 1, 1))
            x = self.dropout(F.relu(self.norm(self.stem(x))))
            return F.softmax(self.head(x.permute(0, 2, 3, 1).flatten(1)), dim=1)

    def build(filters=6):
        return Net(filters)
"""
CNN_UNITS = [unit("Conv2D", "stem"), unit("BatchNormalization", "norm"), unit("Dense", "head")]


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_a_right_conversion_passes(verify, generation):
    result = verify(CNN, CNN_TORCH, CNN_UNITS, generation=generation)
    assert result.reason == ""
    assert result.status == "pass"
    assert result.parameters == 3 * 3 * 3 * 6 + 6 + 24 + 120 * 5 + 5
    assert result.forward["dtype"] == "float64"
    assert 0 < result.forward["max_rel"] < 1e-12
    assert 1e-12 < result.forward["float32"]["max_rel"] < 1e-5
    assert [c["shapes"][0][0] for c in result.forward["cases"]] == [8, 3]
    assert result.training["state"]["changed"] == 2
    assert result.training["noise"] == {"keras": [0.25], "torch": [0.25]}
    assert result.gradients["inference"]["compared"] == 7
    assert result.gradients["max_rel"] < 1e-12
    assert list(result.to_json()) == [
        "entry", "status", "tier", "parameters", "forward", "training", "gradients", "fitting", "first_divergence",
        "trained_apart", "assumptions", "findings", "seconds",
    ]  # fmt: skip


def test_the_unbiased_running_variance_is_accounted_for(verify):
    result = verify(CNN, CNN_TORCH, CNN_UNITS)
    assert result.training["state"]["running_variance"] == ["unbiased"]
    wrong = CNN_TORCH.replace("momentum=0.01", "momentum=0.02")
    result = verify(CNN, wrong, CNN_UNITS)
    assert result.status == "fail"
    assert "norm.running_" in result.reason
    assert result.forward["max_rel"] < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong", "layer"),
    [
        ("eps=1e-3", "eps=1.1e-3", "norm"),
        ("(0, 1, 1, 1)", "(1, 0, 1, 1)", "stem"),
        ("x.permute(0, 2, 3, 1).flatten(1)", "x.flatten(1)", "head"),
        ("F.relu(self.norm", "F.leaky_relu(self.norm", "head"),
    ],
    ids=["epsilon", "pad side", "flatten order", "activation"],
)
def test_a_wrong_conversion_is_caught_and_named(verify, right, wrong, layer):
    assert right in CNN_TORCH
    result = verify(CNN, CNN_TORCH.replace(right, wrong), CNN_UNITS)
    assert result.status == "fail"
    where = result.first_divergence
    assert where["layer"] == layer
    assert where["keras"].rpartition("net.py:")[2] == str(_line(CNN, f'name="{layer}"'))
    assert where["torch"].rpartition("net.py:")[2] == str(_line(CNN_TORCH, f"self.{layer} ="))


def test_a_wrong_rate_is_caught(verify):
    result = verify(CNN, CNN_TORCH.replace("p=0.25", "p=0.2"), CNN_UNITS)
    assert result.status == "fail"
    assert "noise rates [0.2] instead of [0.25]" in result.reason


def _line(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


GRU = """
    import keras
    from keras import layers

    def build():
        inputs = keras.Input((None,))
        x = layers.Embedding(11, 6, name="ids")(inputs)
        x = layers.GRU(5, name="memory")(x)
        return keras.Model(inputs, layers.Dense(3, name="head")(x))
"""
GRU_TORCH = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.ids = nn.Embedding(11, 6)
            self.memory = nn.GRU(6, 5, batch_first=True)
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.memory(self.ids(x.long()))[0][:, -1])

    build = Net
"""


def gru_unit(order):
    gates = ("gates", 0, order)
    return unit(
        "GRU",
        "memory",
        {
            "weight_ih_l0": Weight("cell.kernel", (("permute", (1, 0)), gates)),
            "weight_hh_l0": Weight("cell.recurrent_kernel", (("permute", (1, 0)), gates)),
            "bias_ih_l0": Weight("cell.bias", (("take", 0, 0), gates)),
            "bias_hh_l0": Weight("cell.bias", (("take", 0, 1), gates)),
        },
    )


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_ids_are_found_and_gates_checked(verify, generation):
    units = [unit("Embedding"), gru_unit((1, 0, 2)), unit("Dense")]
    result = verify(GRU, GRU_TORCH, units, generation=generation)
    assert result.reason == ""
    assert result.status == "pass"
    assert [c["shapes"] for c in result.forward["cases"]] == [[[8, 20]], [[3, 20]], [[2, 27]]]
    wrong = [unit("Embedding"), gru_unit((0, 1, 2)), unit("Dense")]
    result = verify(GRU, GRU_TORCH, wrong, generation=generation)
    assert result.status == "fail"
    assert result.first_divergence["layer"] == "memory"


ORDER = """
    import keras
    from keras import layers

    def build():
        a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
        second = layers.Dense(3, name="second")
        first = layers.Dense(3, name="first")
        return keras.Model([a, b], {"sum": layers.add([first(a), second(b)]), "first": first(a)})
"""
ORDER_TORCH = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.second = nn.Linear(6, 3)
            self.first = nn.Linear(4, 3)

        def forward(self, a, b):
            first = self.first(a)
            return {"sum": first + self.second(b), "first": first}

    build = Net
"""


def test_several_inputs_and_outputs_by_name(verify):
    assert verify(ORDER, ORDER_TORCH, [unit("Dense"), unit("Dense")]).status == "pass"
    swapped = ORDER_TORCH.replace('{"sum": first + self.second(b), "first": first}', "(first + self.second(b), first)")
    assert verify(ORDER, swapped, [unit("Dense"), unit("Dense")]).status == "fail"

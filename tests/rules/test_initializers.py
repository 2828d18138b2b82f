"""Initial weights have the distribution that Keras draws from."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
import torch
from harness import helper_namespace, load_helper, read

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym
from transpiler.ir.model import KERAS3, ApiObject, ApiValue
from transpiler.rules.initializers import FROZEN_ZEROS, forget_bias, init_call

QUANTILES = np.linspace(0.002, 0.998, 60)


def fill(value, shape, fans=None, names=None):
    """A torch weight filled by the code for `value`."""
    code, helpers = init_call(value, "weight", fans)
    weight = torch.nn.Parameter(torch.full(shape, 7.0))
    namespace = helper_namespace() | {"weight": weight} | (names or {})
    for helper in helpers:
        load_helper(helper, namespace)
    returned = eval(code, namespace)
    assert returned is weight
    return weight


def spelled(text):
    """`initializers.RandomNormal(stddev=0.02)` or a name, as the reader delivers it."""
    if "(" not in text:
        return text
    return eval(text, {n: maker(n) for n in dir(keras.initializers)})


def maker(name):
    return lambda *args, **kwargs: ApiObject(ApiValue(f"keras.initializers.{name}"), args, kwargs)


def keras_draw(text, shape, library):
    if "(" not in text:
        return np.array(library.initializers.get(text)(shape))
    scope = {n: getattr(library.initializers, n) for n in dir(library.initializers)}
    return np.array(eval(text, scope)(shape))


def same_distribution(ours, theirs):
    a, b = np.quantile(ours, QUANTILES), np.quantile(theirs, QUANTILES)
    spread = np.abs(b).max()
    assert np.abs(a - b).max() < 0.06 * spread, f"quantiles differ by {np.abs(a - b).max() / spread:.2f}"
    assert abs(np.abs(ours).max() - np.abs(theirs).max()) < 0.25 * np.abs(theirs).max()
    assert abs(ours.std() - theirs.std()) < 0.02 * theirs.std()


NAMES = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]
OBJECTS = [
    "RandomNormal(mean=0.1, stddev=0.02)",
    "RandomNormal()",
    "RandomUniform(-0.1, 0.3)",
    "RandomUniform()",
    "TruncatedNormal(stddev=0.3)",
    "TruncatedNormal(0.2, 0.01)",
    "VarianceScaling(0.5, 'fan_out', 'uniform')",
    "VarianceScaling(scale=2.0, mode='fan_avg', distribution='untruncated_normal')",
    "VarianceScaling()",
    "HeNormal()",
    "GlorotUniform(seed=3)",
]


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras3", "tf_keras"])
@pytest.mark.parametrize("text", [*NAMES, "random_normal", "random_uniform", "truncated_normal", *OBJECTS])
def test_convolution_kernel(text, library):
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    ours = fill(spelled(text), (128, 48, 3, 3)).detach().numpy()
    same_distribution(ours, keras_draw(text, (3, 3, 48, 128), library))


@pytest.mark.parametrize("text", NAMES)
def test_depthwise_kernel_has_the_fans_of_keras(text):
    torch.manual_seed(0)
    step = read("DepthwiseConv2D(5, depth_multiplier=2)", KERAS3)
    from transpiler.ir.shape import Layout, TensorType

    lowering = step.rule.lower(step.args, [TensorType((None, 9, 9, 2000), layout=Layout.FIRST)])
    ours = fill(spelled(text), (4000, 1, 5, 5), lowering.steps[0].fans).detach().numpy()
    same_distribution(ours, keras_draw(text, (5, 5, 2000, 2), keras))


@pytest.mark.parametrize(
    "text, shape", [("zeros", (4, 3)), ("ones", (4, 3)), ("Constant(0.3)", (4, 3)), ("Zeros()", (5,))]
)
def test_constants(text, shape):
    assert np.allclose(fill(spelled(text), shape).detach().numpy(), keras_draw(text, shape, keras), rtol=1e-7)


def test_scaled_bias():
    """torch's own initializers want two axes; Keras takes the length for both fans."""
    bias = torch.nn.Parameter(torch.zeros(6000))
    code, helpers = init_call("glorot_uniform", "layer.bias")
    namespace = helper_namespace() | {"layer": torch.nn.Module()}
    namespace["layer"].bias = bias
    for helper in helpers:
        load_helper(helper, namespace)
    eval(code, namespace)
    same_distribution(bias.detach().numpy(), keras_draw("glorot_uniform", (6000,), keras))


def test_legacy_names():
    for text in ("zero", "one", "normal", "uniform"):
        code = init_call(text, "w")[0]
        assert (
            code
            == {
                "zero": "nn.init.zeros_(w)",
                "one": "nn.init.ones_(w)",
                "normal": "nn.init.normal_(w, std=0.05)",
                "uniform": "nn.init.uniform_(w, -0.05, 0.05)",
            }[text]
        )


def test_orthogonal_over_the_whole_matrix():
    weight = fill("orthogonal", (32, 8)).detach()
    assert torch.allclose(weight.T @ weight, torch.eye(8), atol=1e-9)
    scaled = fill(spelled("Orthogonal(gain=2.0)"), (8, 8)).detach()
    assert torch.allclose(scaled @ scaled.T, 4 * torch.eye(8), atol=1e-9)


def test_identity():
    assert torch.equal(fill("identity", (3, 4)).detach(), torch.eye(3, 4))
    assert torch.equal(fill(spelled("Identity(0.5)"), (4, 4)).detach(), 0.5 * torch.eye(4))


def test_forget_bias():
    bias = fill(forget_bias("zeros"), (12,)).detach()
    assert bias.tolist() == [0] * 3 + [1] * 3 + [0] * 6
    real = keras.layers.LSTM(3)
    real.build((1, 2, 2))
    assert np.array_equal(bias.numpy(), real.cell.bias.numpy())


def test_what_keras_does_not_have_is_not_trained():
    weight = fill(FROZEN_ZEROS, (3,))
    assert not weight.requires_grad and not weight.any()


@pytest.mark.parametrize("name", [*NAMES, "random_normal", "zeros", "truncated_normal", "orthogonal"])
def test_a_kept_name(name):
    torch.manual_seed(0)
    ours = fill(Sym.name("initializer", name), (128, 48, 3, 3), names={"initializer": name}).detach().numpy()
    if name == "orthogonal":
        assert np.allclose(ours.reshape(128, -1) @ ours.reshape(128, -1).T, np.eye(128))
    elif name == "zeros":
        assert not ours.any()
    else:
        same_distribution(ours, keras_draw(name, (3, 3, 48, 128), keras))


def test_unknown_initializers_are_declined():
    with pytest.raises(Declined):
        init_call("my_initializer", "w")
    with pytest.raises(Declined):
        init_call(ApiObject(ApiValue("m.Mine")), "w")

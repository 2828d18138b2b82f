"""Every example of the rules for functions on tensors: Keras and TensorFlow against the converted text, in float64.

An example is converted as it would stand in a program: a `Lambda`'s function over inputs.
"""

from __future__ import annotations

import functools
import itertools
import re
from operator import itemgetter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch
from harness import ROUNDED, relative
from keras._tf_keras.keras import backend as backend3

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.pipeline import convert_file
from transpiler.rules.ops import op_rules
from transpiler.rules.ops.base import Example, OpRule
from transpiler.verify.draws import Draws

RULES = sorted({type(rule): (type(rule).__name__, rule) for rule in op_rules().values()}.values(), key=itemgetter(0))
HEAD = {
    KERAS3: "import keras\nfrom keras import ops, backend as K\nimport tensorflow as tf\n",
    KERAS2: "import tf_keras as keras\nfrom tf_keras import backend as K\nimport tensorflow as tf\n",
}
FLOAT32 = r"leaky|log_cosh|ctc|alpha=|gelu|resize|erf|hard_sigmoid|hard_silu|l2_norm|axis=1, eps|linspace|hamming|hanning|kaiser|dot_product_attention"
"""TensorFlow computes these with constants of float32."""
COARSE = r"scale_and_translate|affine_transform|perspective_transform"
"""TensorFlow computes the weights of these in float32, step by step."""
SCOPE = {
    KERAS3: {"keras": keras, "K": backend3, "ops": keras.ops, "tf": tf},
    KERAS2: {"keras": tf_keras, "K": tf_keras.backend, "tf": tf},
}


def cases() -> list[Any]:
    found = []
    for (name, rule), generation in itertools.product(RULES, (KERAS3, KERAS2)):
        for e in rule.examples:
            if generation == KERAS2 and (
                re.search(r"\bops\.|keras\.random", e.code) or "tf." in e.code and "K." not in e.code
            ):
                continue  # TensorFlow is the same for both
            if generation == KERAS3 and not all(hasattr(backend3, leaf) for leaf in re.findall(r"\bK\.(\w+)", e.code)):
                continue  # of legacy Keras alone
            if not all(has(SCOPE[generation]["keras"], path) for path in re.findall(r"\bkeras\.([\w.]+)", e.code)):
                continue  # of the other generation
            found.append(pytest.param(e, generation, id=f"{name}-{generation}-{e.code}"))
    return found


def has(module: Any, path: str) -> bool:
    return functools.reduce(lambda m, leaf: getattr(m, leaf, None), path.split("."), module) is not None


def draw(shape: tuple[Any, ...], rng: np.random.Generator) -> np.ndarray:
    if "ids" in shape:
        return rng.integers(0, shape[0], shape[2:])
    return rng.normal(0, 1, shape[1:]) > 0 if shape[:1] == ("bool",) else rng.normal(0, 1, shape)


def program(e: Example, generation: str) -> str:
    """A program whose model computes the example."""
    lines = [HEAD[generation], "def build():"]
    for name, shape in e.inputs.items():
        kind = "int64" if "ids" in shape else "bool" if shape[:1] == ("bool",) else None
        dims = shape[2:] if "ids" in shape else shape[1:] if kind else shape
        option = f", dtype={kind!r}" if kind else ""
        lines.append(f"    {name} = keras.Input({tuple(dims[1:])}, name={name!r}{option})")
    names = ", ".join(e.inputs)
    lines += [f"    f = lambda {names}: {e.code}", f"    result = f({names})"]
    return "\n".join([*lines, f"    return keras.Model([{names}], result)", ""])


def converted(e: Example, generation: str, folder: Path) -> str:
    path = folder / "prog.py"
    path.write_text(program(e, generation))
    done = convert_file(path, entries=["build()"], generation=generation)
    problems = [f"{f.code}: {f.message}" for f in done.findings if f.severity.name == "ERROR"]
    assert not problems, problems
    return next(m.text for m in done.modules if m.changed)


@pytest.mark.parametrize(("e", "generation"), cases())
def test_example(e: Example, generation: str, tmp_path: Path) -> None:
    compare(e, generation, tmp_path)


def compare(e: Example, generation: str, tmp_path: Path) -> None:
    """Asserts that values and gradients of an example agree with its translation's."""
    text = converted(e, generation, tmp_path)
    scope: dict[str, Any] = {}
    exec(compile(text, "converted", "exec"), scope)
    model = scope["build"]()
    rng = np.random.default_rng(3)
    arrays = {n: draw(s, rng) for n, s in e.inputs.items()}
    floats = [n for n, v in arrays.items() if v.dtype.kind == "f"]
    live = {n: tf.constant(v) for n, v in arrays.items()}
    with tf.GradientTape() as tape:
        for n in floats:
            tape.watch(live[n])
        drawn = Draws()
        with drawn.in_tensorflow():
            wanted = promoted(e.code, {**SCOPE[generation], **live})
        weights = rng.normal(0, 1, wanted.shape)
        total = tf.reduce_sum(tf.cast(wanted, tf.float64) * weights) if wanted.dtype.is_floating else None
    inputs = {n: torch.from_numpy(v).requires_grad_(n in floats) for n, v in arrays.items()}
    with Draws(drawn.counts).in_torch():
        have = model(*inputs.values())
    assert tuple(have.shape) == tuple(wanted.shape), text
    assert have.dtype.is_floating_point == wanted.dtype.is_floating, text
    assert (have.dtype == torch.bool) == (wanted.dtype == tf.bool), text
    single = wanted.dtype == tf.float32
    tolerance = 1e-5 if single or re.search(COARSE, e.code) else ROUNDED if re.search(FLOAT32, e.code) else 1e-9
    assert relative(wanted.numpy().astype("float64"), have.detach().numpy().astype("float64")) <= tolerance, text
    if total is None or not floats:
        return
    gradients = tape.gradient(total, [live[n] for n in floats], unconnected_gradients="zero")
    if have.requires_grad:
        (have * torch.from_numpy(weights)).sum().backward()
    for n, g in zip(floats, gradients):
        own = inputs[n].grad
        own = torch.zeros_like(inputs[n]) if own is None else own
        assert relative(tf.convert_to_tensor(g).numpy(), own.numpy(), 1.0) <= 10 * tolerance, f"gradient of {n}: {text}"


def promoted(code: str, scope: dict[str, Any]) -> Any:
    """The value of the example where `float32` means the test's float64."""
    if "tf.cast(x, 'float32')" in code:  # there is no float64 kernel
        return eval(code, scope)
    code = code.replace("tf.float32", "tf.float64").replace("'float32'", "'float64'")
    for maker in ("constant", "zeros", "ones", "eye", "linspace", "fill", "convert_to_tensor", "range"):
        code = code.replace(f"tf.{maker}(", f"tf_{maker}(").replace(f"ops.{maker}(", f"ops_{maker}(")
    own = {f"{h}_{m}": as_double(getattr(scope[h], m)) for h in ("tf", "ops") if h in scope for m in dir(scope[h])}
    return eval(code, {**scope, **own})


def as_double(function: Any) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return tf.cast(result, tf.float64) if result.dtype == tf.float32 else result

    return wrapped


@pytest.mark.parametrize(
    ("code", "kept"),
    [("K.dropout(x, 0.25)", 0.75), ("tf.nn.dropout(x, rate=0.4)", 0.6), ("tf.compat.v1.nn.dropout(x, 0.9)", 0.9)],
)
def test_dropout_as_a_function_drops_and_scales_in_every_mode(code: str, kept: float, tmp_path: Path) -> None:
    scope: dict[str, Any] = {}
    exec(converted(Example(code, {"x": (2, 50, 400)}), KERAS2, tmp_path), scope)
    y = scope["build"]().eval()(torch.ones(2, 50, 400))
    assert torch.allclose(y[y != 0], torch.tensor(1 / kept)) and abs((y != 0).double().mean() - kept) < 0.01
    shared = f"{code[:-1]}, noise_shape=[2, 1, 400])"
    exec(converted(Example(shared, {"x": (2, 50, 400)}), KERAS2, tmp_path), scope)
    y = scope["build"]()(torch.ones(2, 50, 400))
    assert torch.equal(y, y[:, :1].expand_as(y)) and 0 < (y == 0).sum() < y.numel()


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_rule_has_examples(name: str, rule: OpRule) -> None:
    assert rule.examples, name


DECLINED = {
    "a cast to half precision": "K.cast(x, 'float16')",
    "a reduction of integers by the mean": "tf.reduce_mean(tf.cast(x, tf.int32))",
    "a mean that TensorFlow rounds": "K.mean(tf.cast(x, tf.int32), axis=1)",
    "limits in the wrong order": "tf.clip_by_value(x, 0.5, -0.5)",
    "a relu that ends below zero": "K.relu(x, max_value=-1.0)",
    "truths and a number": "ops.logical_and(x > 0.0, 1)",
    "reflection of truths": "tf.pad(x > 0.0, [[0, 0], [0, 0], [1, 1]], 'REFLECT')",
    "a table in parts": "tf.nn.embedding_lookup([x[0], x[0]], tf.constant([0, 2]))",
    "a remainder by a tensor": "x % (x + 2.0)",
    "arithmetic on truths": "(x > 0.0) * x",
    "bits of numbers": "tf.cast(x, tf.int32) & 1",
    "a sum over no axes": "tf.reduce_sum(x, axis=[])",
    "indices that torch takes for a mask": "tf.gather(x, tf.cast(x[0], tf.uint8), axis=1)",
    "squeeze of all axes": "tf.squeeze(x)",
    "where without values": "tf.where(x > 0.0)",
    "repeat of all elements": "ops.repeat(x, 2)",
    "a grid of pixels that torch lacks": "tf.compat.v1.image.resize_bilinear(x[..., None], (6, 8))",
    "another grid of TensorFlow 1": "tf.compat.v1.image.resize(x[..., None], (6, 8))",
    "pixels with the corners aligned and centred": "tf.image.resize(x[..., None], (6, 8), antialias=True)",
    "symmetric padding": "tf.pad(x, [[0, 0], [1, 1], [0, 0]], 'SYMMETRIC')",
    "a shape that is computed": "tf.reshape(x, tf.cast(tf.reduce_sum(x, [0, 1]), tf.int32))",
    "an axis that is not there": "tf.concat([x, x], 3)",
    "an index that is a tensor": "x[x > 0.0]",
    "a relu with a threshold": "K.relu(x, threshold=0.5)",
    "a fraction of a size": "x * (tf.shape(x)[0] / 3)",
    "an argument that is not known": "ops.round(x, decimals=2)",
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_is_not_exact_is_declined(name: str, tmp_path: Path) -> None:
    path = tmp_path / "prog.py"
    path.write_text(program(Example(DECLINED[name], {"x": (2, 3, 4)}), KERAS3))
    found = [f for f in convert_file(path, entries=["build()"]).findings if f.severity.name == "ERROR"]
    assert [f.code[:4] for f in found] == ["K2T1"], found


def test_the_activation_of_a_layer_is_the_function_that_was_named(tmp_path: Path) -> None:
    path = tmp_path / "prog.py"
    layers = "keras.layers.Dense(3, activation=ops.gelu), keras.layers.Dense(3, activation=keras.activations.gelu)"
    path.write_text(f"{HEAD[KERAS3]}\nmodel = keras.Sequential([keras.Input((4,)), {layers}])\n")
    text = next(m.text for m in convert_file(path).modules if m.changed)
    assert "nn.GELU(approximate=" in text and "nn.GELU()" in text

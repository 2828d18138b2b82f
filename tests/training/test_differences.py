"""Where trainings of Keras and PyTorch differ, one test for each difference; layers have theirs in tests/rules.

Every script is run as it is and as it is converted, in one process. Weights start as constants, and nothing is random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
import torch

from transpiler.pipeline import convert_file

PACKAGES = {"keras3": "keras", "tf_keras": "tf_keras"}
HEAD = """
import numpy as np
import {package} as keras
from {package} import Input, Model, Sequential, callbacks, losses, optimizers, regularizers
from {package}.layers import Activation, Dense, Dropout, Embedding, Flatten, Reshape

"""
FIT = "h = model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0)\nfound = h.history\n"
X = "x = np.array([[1.0, -2.0], [0.5, 1.0], [-1.0, 3.0], [2.0, 0.5], [0.25, -0.5]])\n"
ONES = "kernel_initializer='ones'"


@pytest.fixture(autouse=True)
def float32():
    keras.config.set_floatx("float32")
    tf_keras.backend.set_floatx("float32")
    torch.set_default_dtype(torch.float32)


def converted(text: str, generation: str, folder: Path) -> str:
    path = folder / "script.py"
    path.write_text(HEAD.format(package=PACKAGES[generation]) + text, encoding="utf-8")
    done = convert_file(path, generation=generation)
    errors = [f.message for f in done.all_findings if f.severity.name == "ERROR"]
    assert not errors, errors
    return next(m.text for m in done.modules if m.changed)


def run(text: str, generation: str, folder: Path, found: str = "found") -> Any:
    """What a script finds, which is what its conversion finds."""
    names: dict[str, Any] = {}
    exec(HEAD.format(package=PACKAGES[generation]) + text, names)
    result: dict[str, Any] = {}
    code = converted(text, generation, folder)
    exec(compile(code, "converted", "exec"), result)
    compare(names[found], result[found])
    return names[found]


def compare(wanted: Any, have: Any) -> None:
    if isinstance(wanted, dict):
        assert wanted.keys() == have.keys()
        for key in wanted:
            np.testing.assert_allclose(have[key], wanted[key], rtol=2e-5, atol=1e-6, err_msg=key)
    else:
        np.testing.assert_allclose(have, wanted, rtol=2e-5, atol=1e-6)


def losses_of(text: str, folder: Path, generation: str = "keras3") -> list[float]:
    return run(text + FIT, generation, folder)["loss"]


def declined(text: str, folder: Path, generation: str = "keras3") -> None:
    with pytest.raises(AssertionError, match="not translated|not known"):
        converted(text, generation, folder)


def model(
    layers: str, compiled: str, x: str = X, y: str = "y = np.array([[1.0], [0.0], [2.0], [1.0], [0.5]])\n"
) -> str:
    return f"{x}{y}model = Sequential([{layers}])\nmodel.compile({compiled})\n"


@pytest.mark.parametrize("generation", PACKAGES)
def test_24_masks_and_losses(generation: str, tmp_path: Path):
    """Steps that a mask leaves out do not count in losses."""
    x = "x = np.array([[1, 2, 0], [3, 0, 0]])\ny = np.where(x == 0, 7.0, 3.0)[..., None]\n"
    layers = f"Input((3,)), Embedding(4, 1, mask_zero=True, embeddings_initializer='ones'), Dense(1, {ONES})"
    text = model(layers, "optimizers.SGD(0.0), 'mse'", x, "")
    assert losses_of(text, tmp_path, generation) == pytest.approx([4, 4])


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize("told", ["losses.BinaryCrossentropy()", "losses.BinaryCrossentropy(from_logits=True)"])
def test_25_losses_on_the_last_activation(told: str, generation: str, tmp_path: Path):
    """A crossentropy right after a sigmoid is that of the logits, also where it is told that it is given logits."""
    x, y = "x = np.full((2, 1), 40.0)\n", "y = np.zeros((2, 1))\n"
    text = model(f"Input((1,)), Dense(1, activation='sigmoid', {ONES})", f"optimizers.SGD(0.0), {told}", x, y)
    assert losses_of(text, tmp_path, generation) == pytest.approx([40, 40])
    text = text.replace("Binary", "SparseCategorical").replace("'sigmoid'", "'softmax'").replace("Dense(1", "Dense(2")
    text = text.replace("'ones'", "keras.initializers.Constant([[-1.0, 1.0]])").replace(
        "np.zeros((2, 1))", "np.zeros((2,))"
    )
    assert losses_of(text, tmp_path, generation) == pytest.approx([80, 80])


@pytest.mark.parametrize("generation", PACKAGES)
def test_26_crossentropy_of_probabilities(generation: str, tmp_path: Path):
    """Probabilities are clipped to 1e-7 where torch clamps the logarithm at -100; legacy Keras adds 1e-7 as well."""
    x, y = "x = np.zeros((2, 1))\n", "y = np.ones((2, 1))\n"
    text = model(f"Input((1,)), Dense(1, {ONES})", "optimizers.SGD(0.0), 'binary_crossentropy'", x, y)
    expected = 16.118 if generation == "keras3" else 15.425
    assert losses_of(text, tmp_path, generation) == pytest.approx([expected] * 2, abs=1e-3)


@pytest.mark.parametrize("generation", PACKAGES)
def test_27_crossentropy_of_classes(generation: str, tmp_path: Path):
    """Rows of probabilities are divided by their sums and clipped."""
    kernel = "kernel_initializer=keras.initializers.Constant([[0.2, 0.2, 0.4]])"
    x, y = "x = np.ones((2, 1))\n", "y = np.array([[0.0, 0.0, 1.0]] * 2)\n"
    text = model(f"Input((1,)), Dense(3, {kernel})", "optimizers.SGD(0.0), 'categorical_crossentropy'", x, y)
    assert losses_of(text, tmp_path, generation) == pytest.approx([0.6931] * 2, abs=1e-3)
    smooth = "losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.25)"
    losses_of(text.replace("'categorical_crossentropy'", smooth), tmp_path, generation)
    binary = "losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.25)"
    losses_of(text.replace("'categorical_crossentropy'", binary), tmp_path, generation)


@pytest.mark.parametrize("generation", PACKAGES)
def test_28_weights_of_samples(generation: str, tmp_path: Path):
    """A weighted loss is divided by the number of samples, not by the sum of the weights."""
    kernel = f"Input((2,)), Dense(1, {ONES})"
    fit = FIT.replace("shuffle", "sample_weight=np.array([1.0, 2.0, 0.5, 0.0, 3.0]), shuffle")
    found = run(model(kernel, "optimizers.SGD(0.0), 'mse'") + fit, generation, tmp_path)
    errors = np.array([-2.0, 1.5, 0.0, 1.5, -0.75]) ** 2
    assert found["loss"][0] == pytest.approx(float((errors * [1, 2, 0.5, 0, 3]).mean()))
    text = model(
        f"Input((2,)), Dense(2, activation='softmax', {ONES})", "optimizers.SGD(0.1), 'sparse_categorical_crossentropy'"
    )
    text = text.replace("np.array([[1.0], [0.0], [2.0], [1.0], [0.5]])", "np.array([0, 1, 1, 0, 1])")
    run(text + FIT.replace("shuffle", "class_weight={0: 1.0, 1: 3.0}, shuffle"), generation, tmp_path)


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(
    "loss",
    ["Huber(delta=0.5)", "KLDivergence()", "Poisson()", "CosineSimilarity()", "Hinge()"]
    + ["MeanAbsolutePercentageError()", "MeanSquaredLogarithmicError()"],
)  # fmt: skip
def test_29_other_losses(loss: str, generation: str, tmp_path: Path):
    """Keras's own reductions, floors of 1e-7 and signs."""
    text = model(f"Input((2,)), Dense(3, activation='softplus', {ONES})", f"optimizers.SGD(0.01), losses.{loss}")
    y = "np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])"
    text = text.replace(
        "np.array([[1.0], [0.0], [2.0], [1.0], [0.5]])", "np.round(" + y + ")" if "Hinge" in loss else y
    )
    losses_of(text, tmp_path, generation)


def test_30_targets_without_an_axis(tmp_path: Path):
    """Targets (N,) of outputs (N, 1) are compared one by one, where torch would compare each with each."""
    text = model(f"Input((2,)), Dense(1, {ONES})", "optimizers.SGD(0.0), 'mse'", y="y = x.sum(axis=1)\n")
    assert losses_of(text, tmp_path) == [0, 0]


@pytest.mark.parametrize("generation", PACKAGES)
def test_31_rmsprop(generation: str, tmp_path: Path):
    """RMSprop's epsilon stands inside of the root, so that the first steps of small gradients are small."""
    text = model(
        f"Input((2,)), Dense(1, {ONES}, use_bias=False)",
        "optimizers.RMSprop(1.0), 'mse'",
        "x = np.full((5, 2), 1e-5)\n",
    )
    text += f"{FIT}found = model.predict(np.ones((1, 2)), verbose=0)\n"
    ((found,),) = run(text, generation, tmp_path)
    assert 0.5 < abs(found - 2) < 5  # with epsilon outside of the root each of the six steps is about 3


@pytest.mark.parametrize("generation", PACKAGES)
def test_32_adam(generation: str, tmp_path: Path):
    """Adam's epsilon is 1e-7 and is added before the second moment is corrected, which shows for small gradients."""
    text = model(
        f"Input((2,)), Dense(1, {ONES}, use_bias=False)", "optimizers.Adam(1.0), 'mse'", "x = np.full((5, 2), 1e-6)\n"
    )
    text += f"{FIT}found = model.predict(np.ones((1, 2)), verbose=0)\n"
    ((found,),) = run(text, generation, tmp_path)
    assert abs(found - 2) > 1


@pytest.mark.parametrize("generation", PACKAGES)
def test_33_momentum(generation: str, tmp_path: Path):
    """Momentum with one rate is torch's; where the rate changes it is not, and is not taken for it."""
    sgd = "optimizers.SGD(0.05, momentum=0.9, nesterov=True)"
    losses_of(model(f"Input((2,)), Dense(1, {ONES})", f"{sgd}, 'mse'"), tmp_path, generation)


@pytest.mark.parametrize("generation", PACKAGES)
def test_34_weight_decay(generation: str, tmp_path: Path):
    """Weight decay is decoupled from the gradients in every optimizer, with momentum too."""
    for optimizer in ("SGD(0.05, momentum=0.9", "Adam(0.05", "RMSprop(0.05", "AdamW(0.05"):
        text = model(f"Input((2,)), Dense(1, {ONES})", f"optimizers.{optimizer}, weight_decay=0.1), 'mse'")
        losses_of(text, tmp_path, generation)
    text = model(f"Input((2,)), Dense(1, {ONES}, use_bias=False)", "optimizers.SGD(0.5, weight_decay=0.1), 'mse'")
    text = text.replace(X, "x = np.zeros((5, 2))\n")
    text += f"{FIT}found = model.predict(np.ones((1, 2)), verbose=0)\n"
    ((found,),) = run(text, generation, tmp_path)
    assert found == pytest.approx(2 * 0.95**6, rel=1e-6)  # no gradient at all: six steps of decay


@pytest.mark.parametrize("generation", PACKAGES)
def test_35_penalties(generation: str, tmp_path: Path):
    """A penalty is the sum of squares times its factor, without a half, in the losses of training and of validation."""
    text = model(f"Input((2,)), Dense(1, {ONES}, kernel_regularizer='l2')", "optimizers.SGD(0.0), 'mse'")
    fit = FIT.replace("shuffle", "validation_split=0.4, shuffle")
    found = run(text + fit, generation, tmp_path)
    errors = np.array([-2.0, 1.5, 0.0, 1.5, -0.75]) ** 2
    assert found["loss"][0] == pytest.approx(errors[:3].mean() + 0.02, abs=1e-6)
    assert found["val_loss"][0] == pytest.approx(errors[3:].mean() + 0.02, abs=1e-6)
    losses_of(text.replace("SGD(0.0)", "SGD(0.05)"), tmp_path, generation)


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize("optimizer", ["Adagrad", "Adadelta", "Adamax"])
def test_36_adaptive_rates(optimizer: str, generation: str, tmp_path: Path):
    """Rates and epsilons are Keras's own: Adagrad starts at 0.1 and Adadelta at a rate of 0.001."""
    losses_of(model(f"Input((2,)), Dense(1, {ONES})", f"optimizers.{optimizer}(), 'mse'"), tmp_path, generation)


@pytest.mark.parametrize(
    ("optimizer", "generation"),
    [("Nadam()", "keras3"), ("Adafactor()", "keras3"), ("Lion()", "keras3"), ("Lion()", "tf_keras")],
)
def test_37_newer_optimizers(optimizer: str, generation: str, tmp_path: Path):
    """Nadam decays its momentum at its own rate; Lion moves by the sign, 0.001 in Keras 3 and 0.0001 before."""
    text = model(f"Input((2,)), Dense(1, {ONES}, use_bias=False)", f"optimizers.{optimizer}, 'mse'")
    losses_of(text, tmp_path, generation)
    if optimizer == "Lion()":
        text += f"{FIT}found = model.predict(np.ones((1, 2)), verbose=0)\n"
        ((found,),) = run(text, generation, tmp_path)
        assert 0 < abs(found - 2) <= (0.012 if generation == "keras3" else 0.0012) * 1.001


@pytest.mark.parametrize("generation", PACKAGES)
def test_38_clipping(generation: str, tmp_path: Path):
    """`clipnorm` is the norm of each weight by itself, `global_clipnorm` that of all."""
    for option in ("clipnorm=0.5", "global_clipnorm=0.5", "clipvalue=0.25"):
        losses_of(
            model(f"Input((2,)), Dense(3, {ONES}), Dense(1, {ONES})", f"optimizers.SGD(0.1, {option}), 'mse'"),
            tmp_path,
            generation,
        )


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(
    "schedule",
    [
        "ExponentialDecay(0.1, 2, 0.5, staircase=True)",
        "PiecewiseConstantDecay([1, 3], [0.1, 0.05, 0.01])",
        "CosineDecay(0.1, 4, alpha=0.1)",
        "PolynomialDecay(0.1, 4, 0.01, power=2.0)",
        "InverseTimeDecay(0.1, 2, 0.5)",
    ],
)
def test_39_schedules(schedule: str, generation: str, tmp_path: Path):
    """A schedule goes by steps, not epochs, and a step takes the rate of how many came before it."""
    text = model(f"Input((2,)), Dense(1, {ONES})", f"optimizers.SGD(optimizers.schedules.{schedule}), 'mse'")
    losses_of(text, tmp_path, generation)


@pytest.mark.parametrize("generation", PACKAGES)
def test_59_early_stopping(generation: str, tmp_path: Path):
    """It stops when `patience` epochs were no better than the best by more than `min_delta`."""
    text = model(f"Input((2,)), Dense(1, {ONES})", "optimizers.SGD(0.05), 'mse'")
    for patience, delta in ((1, 0.2), (2, 0.2), (0, 0.5)):
        stop = f"callbacks.EarlyStopping(monitor='loss', patience={patience}, min_delta={delta})"
        found = run(text + FIT.replace("epochs=2", f"epochs=12, callbacks=[{stop}]"), generation, tmp_path)
        assert len(found["loss"]) < 12


@pytest.mark.parametrize("generation", PACKAGES)
def test_60_reduced_rates(generation: str, tmp_path: Path):
    """The rate falls after `patience` epochs without an absolute gain, which torch counts one later and relatively."""
    text = model(f"Input((2,)), Dense(1, {ONES})", "optimizers.SGD(0.05), 'mse'")
    for options in ("patience=1, min_delta=0.1", "factor=0.5, patience=2, min_delta=0.05"):
        plateau = f"callbacks.ReduceLROnPlateau(monitor='loss', {options})"
        fit = FIT.replace("epochs=2", f"epochs=10, callbacks=[{plateau}]").replace(".history", ".history['loss']")
        run(text + fit, generation, tmp_path)


@pytest.mark.parametrize("generation", PACKAGES)
def test_61_epochs(generation: str, tmp_path: Path):
    """The last small batch stays, means are over samples, the last samples are for validation, accuracy fits the loss."""
    text = model(
        f"Input((2,)), Dense(1, activation='sigmoid', {ONES})",
        "optimizers.SGD(0.1), 'binary_crossentropy', metrics=['accuracy']",
    )
    text = text.replace("[[1.0], [0.0], [2.0], [1.0], [0.5]]", "[[1.0], [0.0], [1.0], [1.0], [0.0]]")
    found = run(text + FIT.replace("shuffle", "validation_split=0.2, shuffle"), generation, tmp_path)
    assert set(found) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    same = text.replace("'accuracy'", "'accuracy', 'mse'").replace(ONES, "kernel_initializer='zeros'")
    run(
        same + FIT.replace("shuffle", "sample_weight=np.array([0.0, 1.0, 1.0, 2.0, 5.0]), shuffle"),
        generation,
        tmp_path,
    )


@pytest.mark.parametrize("generation", PACKAGES)
def test_63_max_norm(generation: str, tmp_path: Path):
    """Weights with a norm above the limit are scaled to it after every step, each unit by itself."""
    layer = f"Dense(3, {ONES}, kernel_constraint=keras.constraints.MaxNorm(0.5), use_bias=False)"
    text = model(f"Input((2,)), {layer}, Dense(1, {ONES})", "optimizers.SGD(0.01), 'mse'")
    losses_of(text, tmp_path, generation)

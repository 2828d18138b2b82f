"""Losses of the program's classes, and losses of masked outputs: what is declined."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

LOSS = """
import numpy as np
import tensorflow as tf
from tensorflow import keras


class Own(keras.losses.Loss):
{constructor}
    def call(self, y_true, y_pred):
        {call}


model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1{activation})])
model.compile("sgd", loss=Own())
model.fit(np.zeros((8, 4)), {targets})
"""
SQUARE = "return tf.square(y_true - y_pred)"
SUMMED = """
    def __init__(self):
        super().__init__(reduction="sum")
"""

MADE_OF_TENSORS = """
    def __init__(self, weights=(1.0,)):
        super().__init__()
        self.weights = tf.constant(weights)
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    (
        ({"constructor": SUMMED}, "says how its values are reduced"),
        ({"call": "return tf.numpy_function(np.abs, [y_pred], tf.float32)"}, "is not translated"),
        ({"call": "return self.weights * (y_true - y_pred)", "constructor": MADE_OF_TENSORS}, "is not translated"),
        ({"targets": "np.load('targets.npy')"}, "the shape of the targets"),
    ),
)
def test_what_is_not_surely_the_same_loss_is_declined(change: dict[str, str], reason: str, tmp_path: Path):
    given = {"constructor": "", "call": SQUARE, "activation": "", "targets": "np.zeros((8, 1))", **change}
    path = tmp_path / "script.py"
    path.write_text(LOSS.format(**given))
    conversion = convert_file(path, generation="keras3")
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert any(reason in e for e in errors), errors
    assert "run_epoch" not in conversion.modules[0].text


MASKED = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers


def own(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


inputs = layers.Input((6,))
x = layers.Embedding(9, 4, mask_zero=True)(inputs)
{layer}
model = keras.Model(inputs, layers.Dense(1)(x))
model.compile("sgd", loss={loss}, metrics=[{metric}])
model.fit(np.ones((8, 6), "int32"), np.zeros((8, 6, 1)){weights})
"""


@pytest.mark.parametrize(
    "change",
    (
        {"loss": "own"},
        {"metric": "keras.metrics.RootMeanSquaredError()"},
        {"weights": ", sample_weight=np.ones((8,))"},
        {"layer": "x = layers.Masking()(layers.Dense(4)(x))"},
    ),
)
def test_what_keras_makes_of_a_mask_in_another_way_is_declined(change: dict[str, str], tmp_path: Path):
    given = {"loss": "'mse'", "metric": "'mae'", "weights": "", "layer": "", **change}
    path = tmp_path / "script.py"
    path.write_text(MASKED.format(**given))
    conversion = convert_file(path, generation="keras3")
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert any("mask" in e for e in errors), errors


def test_a_mask_of_the_inputs_is_made_in_the_loop(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(MASKED.format(loss="'mse'", metric="'mae'", weights="", layer=""))
    text = convert_file(path, generation="keras3").modules[0].text
    assert "mask = x != 0" in text


IMPORTS = "import numpy as np\nfrom tensorflow import keras\n\n\n"
CROSSENTROPY = """def crossentropy(y_true, y_pred):
    return 2.0 * keras.losses.binary_crossentropy(y_true, y_pred)


"""
SCALED = """def scaled(factor):
    def loss(y_true, y_pred):
        return factor * keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    return loss


"""
FIT = "{0}.fit(np.zeros((8, 4)), np.zeros((8, 1)))"
PLAIN_MODEL = "model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1{0})])\n"
TRAINED = PLAIN_MODEL + 'model.compile("sgd", loss={1})\n' + FIT.format("model")


def converted_functions(script: str, tmp_path: Path) -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(IMPORTS + script)
    conversion = convert_file(path, generation="keras3")
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    return conversion.modules[0].text, errors


def test_a_crossentropy_in_a_loss_is_computed_from_logits_where_the_model_ends_in_a_sigmoid(tmp_path: Path):
    text, errors = converted_functions(CROSSENTROPY + TRAINED.format(', "sigmoid"', "crossentropy"), tmp_path)
    assert not errors, errors
    assert "def crossentropy(y_true, logits)" in text
    assert "binary_cross_entropy_with_logits(logits, y_true" in text
    assert "crossentropy(y.view_as(logits), logits)" in text


def test_a_crossentropy_in_a_loss_takes_outputs_that_come_from_no_activation_as_they_are(tmp_path: Path):
    text, errors = converted_functions(CROSSENTROPY + TRAINED.format("", "crossentropy"), tmp_path)
    assert not errors, errors
    assert "def crossentropy(y_true, y_pred)" in text
    assert "with_logits" not in text


def test_a_crossentropy_in_a_loss_of_models_with_and_without_a_sigmoid_is_declined(tmp_path: Path):
    other = TRAINED.format(', "sigmoid"', "crossentropy").replace("model", "other")
    both = CROSSENTROPY + TRAINED.format("", "crossentropy") + "\n" + other
    text, errors = converted_functions(both, tmp_path)
    assert any("not all models that it measures end in the same one" in e for e in errors), errors


def test_a_function_that_makes_a_loss_keeps_its_parameters(tmp_path: Path):
    text, errors = converted_functions(SCALED + TRAINED.format("", "scaled(factor=3.0)"), tmp_path)
    assert not errors, errors
    assert "def scaled(factor):\n    def loss(y_true, y_pred)" in text
    assert "return factor * " in text
    assert "criterion = scaled(factor=3.0)\n" in text


def test_a_variable_with_a_made_loss_keeps_its_name(tmp_path: Path):
    text, errors = converted_functions(SCALED + "threefold = scaled(3.0)\n" + TRAINED.format("", "threefold"), tmp_path)
    assert not errors, errors
    assert text.count("threefold = scaled(3.0)") == 1
    assert "loss = threefold(" in text


def test_a_loss_made_of_what_changes_is_declined(tmp_path: Path):
    script = SCALED + "factor = 1.0\nfactor = factor + 2.0\n" + TRAINED.format("", "scaled(factor)")
    text, errors = converted_functions(script, tmp_path)
    assert any("where loss() is made cannot be followed" in e for e in errors), errors


def test_a_class_with_a_crossentropy_takes_logits(tmp_path: Path):
    path = tmp_path / "script.py"
    call = "return self.factor * keras.losses.binary_crossentropy(y_true, y_pred)"
    constructor = """
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = factor
"""
    path.write_text(
        LOSS.format(constructor=constructor, call=call, activation=', "sigmoid"', targets="np.zeros((8, 1))")
    )
    conversion = convert_file(path, generation="keras3")
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    text = conversion.modules[0].text
    assert "def forward(self, y_true: Tensor, logits: Tensor) -> Tensor:" in text
    assert "return self.factor * F.binary_cross_entropy_with_logits(logits, y_true" in text or "self.factor * x" in text


def test_variables_of_a_made_loss_are_constants_unless_it_sets_them(tmp_path: Path):
    made = SCALED.replace("    def loss(", "    factor = keras.backend.variable(factor)\n\n    def loss(", 1)
    text, errors = converted_functions(made + TRAINED.format("", "scaled([3.0])"), tmp_path)
    assert not errors, errors
    assert "factor = torch.tensor(factor" in text
    changed = made.replace("    return loss", "    factor.assign_add([1.0])\n    return loss")
    text, errors = converted_functions(changed + TRAINED.format("", "scaled([3.0])"), tmp_path)
    assert any("does not become a function on tensors" in e for e in errors), errors


def test_a_function_called_loss_does_not_meet_the_variables_of_the_loop(tmp_path: Path):
    function = CROSSENTROPY.replace("def crossentropy", "def loss")
    text, errors = converted_functions(function + TRAINED.format(', "sigmoid"', "loss"), tmp_path)
    assert not errors, errors
    assert "loss_fn = loss\n" in text
    assert "loss = loss_fn(" in text


@pytest.mark.parametrize(
    ("made", "given", "ending", "text"),
    (
        ("keras.losses.MeanSquaredError()", "y_true, y_pred", "", "(y_pred - y_true).square().mean(dim=1)"),
        ("keras.losses.Huber(delta=2.0)", "y_pred=y_pred, y_true=y_true", "", "delta=2.0"),
        ("keras.losses.BinaryCrossentropy()", "y_true, y_pred", ', "sigmoid"', "with_logits(logits, y_true"),
        ('keras.losses.MeanAbsoluteError(reduction="sum")', "y_true, y_pred", "", ".sum("),
    ),
)
def test_losses_of_keras_are_called_in_functions(made: str, given: str, ending: str, text: str, tmp_path: Path):
    script = f"inner = {made}\n\n\ndef outer(y_true, y_pred):\n    return 2.0 * inner({given})\n\n\n"
    result, errors = converted_functions(script + TRAINED.format(ending, "outer"), tmp_path)
    assert not errors, errors
    assert text in result


def test_a_weighted_loss_of_keras_in_a_function_is_declined(tmp_path: Path):
    script = (
        "inner = keras.losses.Huber()\n\n\ndef outer(y_true, y_pred):\n    return inner(y_true, y_pred, y_true)\n\n\n"
    )
    _, errors = converted_functions(script + TRAINED.format("", "outer"), tmp_path)
    assert any("outer() does not become a function on tensors" in e for e in errors), errors


def test_parameters_of_functions_on_data_may_be_called_like_tensors_of_the_script(tmp_path: Path):
    script = """def pairs(x, y):
    return [x[i] for i in y]


x = keras.layers.Input((4,))
model = keras.Model(x, keras.layers.Dense(1)(x))
print(pairs([1.0, 2.0], [1]))
"""
    text, errors = converted_functions(script, tmp_path)
    assert not errors, errors
    assert "def pairs(x, y):" in text


def test_losses_of_models_of_the_programs_classes(tmp_path: Path):
    script = """class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, activation="sigmoid")

    def call(self, x):
        return self.dense(x)


model = Net()
model.compile("sgd", loss=crossentropy)
model.fit(np.zeros((8, 4)), np.zeros((8, 1)))
"""
    text, errors = converted_functions(CROSSENTROPY + script, tmp_path)
    assert not errors, errors
    assert "def crossentropy(y_true, logits)" in text


def test_a_loss_that_reads_what_changes_after_compile_is_declined(tmp_path: Path):
    loss = "ALPHA = 0.3\n\n\ndef weighed(y_true, y_pred):\n    x = ALPHA * keras.ops.square(y_true - y_pred)\n    return x\n\n\n"
    text, errors = converted_functions(loss + "ALPHA = 0.6\n" + TRAINED.format("", "weighed") + "\nx = 3", tmp_path)
    assert not errors, errors
    assert "0.6 * " in text
    _, errors = converted_functions(
        loss + TRAINED.format("", "weighed") + "\nALPHA = 5.0\n" + FIT.format("model"), tmp_path
    )
    assert any("ALPHA, which it reads, changes later" in e for e in errors), errors


def test_a_loss_of_outputs_with_different_numbers_of_axes_is_declined(tmp_path: Path):
    script = """def summed(y_true, y_pred):
    return keras.ops.sum(keras.ops.square(y_true - y_pred), axis=-1)


inputs = keras.layers.Input((4,))
wide = keras.layers.Dense(12, name="wide")(inputs)
model = keras.Model(inputs, [wide, keras.layers.Reshape((4, 3), name="high")(wide)])
model.compile("sgd", loss=[summed, summed])
model.fit(np.zeros((8, 4)), [np.zeros((8, 12)), np.zeros((8, 4, 3))])
"""
    _, errors = converted_functions(script, tmp_path)
    assert any("different numbers of axes" in e for e in errors), errors


CHOOSING = """def chosen(kind, weights=(1.0,)):
    def measure(y_true, y_pred):
        if kind == "squares":
            return keras.ops.mean(keras.ops.square(y_true - y_pred){0}, axis=-1)
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    return measure


"""


def test_what_a_made_loss_asks_for_is_no_tensor(tmp_path: Path):
    text, errors = converted_functions(CHOOSING.format("") + TRAINED.format("", 'chosen("other")'), tmp_path)
    assert not errors, errors
    assert 'use_kind = kind == "squares"' in text
    assert ".to(" not in text.partition("return measure")[0]


def test_constants_of_one_branch_of_a_loss_are_declined(tmp_path: Path):
    weighed = CHOOSING.format(" * keras.ops.convert_to_tensor(weights)")
    _, errors = converted_functions(weighed + TRAINED.format("", 'chosen("squares")'), tmp_path)
    assert any("measure() does not become a function on tensors" in e for e in errors), errors
    assert not any("names that nothing defines" in e for e in errors)


def test_a_metric_called_loss_beside_the_loss_is_declined(tmp_path: Path):
    script = (
        SCALED + PLAIN_MODEL.format("") + 'model.compile("sgd", "mse", metrics=[scaled(2.0)])\n' + FIT.format("model")
    )
    _, errors = converted_functions(script, tmp_path)
    assert any("two numbers of an epoch are called loss" in e for e in errors), errors


OF_ITEMS = """def weighed(weights):
    def measure(y_true, y_pred):
        errors = keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)
        whole = 0.0
        for i in range(len(weights)):
            whole = whole + weights[i] * errors
        return whole

    return measure


"""


@pytest.mark.parametrize(("given", "fits"), (("[0.5, 4.0]", True), ("[0.5]", False)))
def test_a_maker_must_work_for_all_that_the_program_gives_it(given: str, fits: bool, tmp_path: Path):
    script = (
        OF_ITEMS + PLAIN_MODEL.format("") + "model.compile('sgd', loss=weighed([1.0, 2.0]), metrics=[weighed({0})])\n"
    )
    _, errors = converted_functions(script.replace("{0}", given) + FIT.format("model"), tmp_path)
    assert any("made with different arguments" in e for e in errors) != fits, errors


@pytest.mark.parametrize(
    ("output", "target"), (("(8, 6, 4)", "(8, 6)"), ("(8, 4)", "(8, 3)"), ("(8, 6, 4)", "(8, 1, 1)"))
)
@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
def test_targets_of_another_shape_for_a_function_of_the_program_are_declined(
    output: str, target: str, generation: str, tmp_path: Path
):
    path = tmp_path / "script.py"
    path.write_text(f"""import numpy as np
from tensorflow import keras


def summed(y_true, y_pred):
    return keras.backend.sum(keras.backend.square(y_true - y_pred), axis=-1)


inputs = keras.layers.Input({output.replace("8, ", "").replace("4)", "4,)")})
model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
model.compile("sgd", loss=summed)
model.fit(np.zeros({output}), np.zeros({target}))
""")
    conversion = convert_file(path, generation=generation)
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert any("targets of shape" in e for e in errors), errors


def test_a_loss_is_made_below_what_its_making_reads(tmp_path: Path):
    fits = PLAIN_MODEL.format("") + 'model.compile("sgd", loss="mse")\n' + FIT.format("model") + "\n"
    second = PLAIN_MODEL.format("").replace("model", "other", 1)
    script = (
        SCALED + fits + "factor = 2.0\n" + second + 'other.compile("sgd", loss=scaled(factor))\n' + FIT.format("other")
    )
    text, errors = converted_functions(script, tmp_path)
    assert not errors, errors
    assert text.index("factor = 2.0") < text.index("criterion = scaled(factor)") < text.index("run_other_epoch(other")


def test_a_loss_made_of_the_variable_of_a_loop_is_declined(tmp_path: Path):
    trained = TRAINED.format("", "scaled(factor)").replace("\n", "\n    ")
    _, errors = converted_functions(f"{SCALED}for factor in (1.0, 2.0):\n    {trained}\n", tmp_path)
    assert any("where loss() is made cannot be followed" in e for e in errors), errors


def test_a_loss_made_of_what_is_set_again_stays_where_it_is_made(tmp_path: Path):
    script = SCALED + "factor = 2.0\nown = scaled(factor)\nfactor = 3.0\n" + TRAINED.format("", "own")
    text, errors = converted_functions(script, tmp_path)
    assert not errors, errors
    assert text.index("own = scaled(factor)") < text.index("factor = 3.0")


def test_a_maker_of_a_lambda_is_declined(tmp_path: Path):
    maker = "def scaled(factor):\n    return lambda y, p: factor * keras.ops.square(y - p)\n\n\n"
    _, errors = converted_functions(maker + TRAINED.format("", "scaled(2.0)"), tmp_path)
    assert any("does not become a function on tensors" in e for e in errors), errors


KEEPING = """class Settings:
    alpha = 0.5


steps = [0]


def weighed(y_true, y_pred):
    {0}
    return Settings.alpha * keras.ops.square(y_true - y_pred)


"""


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    (
        ("pass", "Settings.alpha = 2.0", "Settings.alpha, which it reads, changes later"),
        ("steps[0] += 1", "", "it changes steps"),
    ),
)
def test_a_loss_that_reads_what_does_not_last_is_declined(first: str, last: str, reason: str, tmp_path: Path):
    _, errors = converted_functions(KEEPING.format(first) + TRAINED.format("", "weighed") + f"\n{last}\n", tmp_path)
    assert any(reason in e for e in errors), errors


def test_a_metric_of_truths_is_the_mean_of_numbers(tmp_path: Path):
    metric = "def above(y_true, y_pred):\n    return keras.ops.greater(y_pred, y_true)\n\n\n"
    compiled = 'model.compile("sgd", "mse", metrics=[above])\n'
    text, errors = converted_functions(metric + PLAIN_MODEL.format("") + compiled + FIT.format("model"), tmp_path)
    assert not errors, errors
    assert "above(y, output).float().mean()" in text


def test_a_loss_with_a_parameter_called_like_a_module_of_torch_is_declined(tmp_path: Path):
    loss = CROSSENTROPY.replace("y_pred):", "y_pred, F=1.0):").replace("2.0", "F")
    _, errors = converted_functions(loss + TRAINED.format(', "sigmoid"', "crossentropy"), tmp_path)
    assert any("crossentropy() does not become a function on tensors" in e for e in errors), errors


CALLED = """def dice(y_true, y_pred, smooth=1.0):
    return (keras.ops.sum(y_true * y_pred) + smooth) / (keras.ops.sum(y_true + y_pred) + smooth)


def outer(y_true, y_pred):
    return 1 - dice(y_true, y_pred, smooth=2.0) + dice({arguments})


"""


@pytest.mark.parametrize(
    ("arguments", "text"),
    (
        ("y_pred=y_pred, y_true=y_true", "dice(y_true, y_pred)"),
        ("y_true[:, 0], y_pred[:, 0]", ".sum(dim=0)"),  # of another rank: written out
    ),
)
def test_losses_call_each_other_as_in_the_source(arguments: str, text: str, tmp_path: Path):
    script = CALLED.format(arguments=arguments) + TRAINED.format(', "sigmoid"', "outer").replace(
        "loss=outer", "loss=outer, metrics=[dice]"
    )
    result, errors = converted_functions(script, tmp_path)
    assert not errors, errors
    assert "1 - dice(y_true, y_pred, smooth=2.0)" in result
    assert text in result


def test_a_crossentropy_that_nobody_uses_is_declined(tmp_path: Path):
    script = CROSSENTROPY.replace("2.0 * ", "keras.ops.abs(y_pred) * ") + PLAIN_MODEL.format("")
    text, errors = converted_functions(script, tmp_path)
    assert any("crossentropy() was not converted" in e for e in errors), errors
    assert "binary_cross_entropy" not in text

"""The names of Keras that mean something to the evaluation without being layers."""

from __future__ import annotations

from transpiler.rules.base import LayerRule
from transpiler.rules.ops import op_rules
from transpiler.rules.registry import layer_rules

MODEL_CLASSES = ("Model", "Functional")
TRAINING_METHODS = (
    "compile", "fit", "fit_generator", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch",
    "add_loss", "add_metric", "evaluate_generator", "predict_generator", "predict_classes", "predict_proba",
)  # fmt: skip
WEIGHT_METHODS = ("load_weights", "save_weights", "save", "set_weights", "get_weights")
REPORT_METHODS = ("summary", "get_config", "to_json", "count_params", "reset_states")
BUILDING_METHODS = ("add", "call", "get_layer", "add_loss", "build", "pop", "summary")
"""Methods of models that say what they are made of."""
EXPORTS = {
    "keras.layers": lambda: (
        *layer_rules(),
        "Input",
        "Layer",
        "Lambda",
        "InputSpec",
        "Wrapper",
        "RNN",
        *layer_functions(),
    ),
    "keras.models": lambda: ("Model", "Sequential", "load_model", "model_from_json", "clone_model"),
    "keras.backend": lambda: tuple(n.rpartition(".")[2] for n in op_rules() if n.startswith("backend."))
    + tuple(CONSTANTS),
    "keras.optimizers": lambda: ("Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam"),
    "keras.regularizers": lambda: ("l1", "l2", "l1_l2", "L1", "L2"),
    "keras.initializers": lambda: (
        "he_normal",
        "he_uniform",
        "glorot_uniform",
        "glorot_normal",
        "RandomNormal",
        "Constant",
        "Zeros",
        "Ones",
    ),
}
CONSTANTS = {
    "image_data_format": "channels_last",
    "image_dim_ordering": "tf",
    "backend": "tensorflow",
    "floatx": "float32",
    "epsilon": 1e-7,
    "set_image_data_format": None,
    "set_image_dim_ordering": None,
    "clear_session": None,
    "reset_uids": None,
    "manual_variable_initialization": None,
    "set_session": None,
    "set_learning_phase": None,
    "validate_activation": None,
    "set_random_seed": None,
    "set_seed": None,
    "disable_eager_execution": None,
    "set_visible_devices": None,
    "get_visible_devices": [],
    "list_physical_devices": [],
    "is_keras_tensor": True,
}


def layer_functions() -> dict[str, LayerRule]:
    """Lower-case functions that make a layer and call it (`add`, `concatenate`)."""
    return {f: rule for rule in layer_rules().values() for f in getattr(rule, "functions", ())}

"""Public names of Keras and TensorFlow that are declined on purpose, with the reason that messages and the coverage table give."""

from __future__ import annotations

_LOOKUP = "torch has no tensors of strings, and a vocabulary that `adapt` or a file gives is data"
_STRINGS = "torch has no tensors of strings"
_CONFIG = "saving and loading of configurations is not part of a model"
_LOSS = "the loss belongs to training code, which is left as it is (K2T401)"
_GRAPH = "variables, sessions and functions of a TensorFlow 1 graph have no counterpart in a module"
_MIXES = "mixes samples and their labels, which belongs to the input pipeline"
_BOXES = "takes bounding boxes along, which belongs to the input pipeline"
_FOREIGN = "runs code of another framework"
_LOOP = "runs Python functions on tensors in a loop that the program's text does not have"
_METRIC = "belongs to metrics, which training code computes"
_COUNTED = "counts what a process has made so far, which the text of a program does not say"
_SEEDED = "draws random numbers, which cannot be compared"
_COMPLEX = "makes complex numbers, which the layers of Keras do not take and the types of this translation do not have"
_SIGNS = "eigenvectors are determined but for their length and sign, which each library chooses in its own way"

_MIXED = "scales the loss for mixed precision, which is not translated"

_REASONS: dict[str, tuple[str, ...]] = {
    _LOOKUP: ("layers.StringLookup", "layers.TextVectorization"),
    _STRINGS: ("layers.Hashing", "layers.HashedCrossing"),
    _CONFIG: (
        *(
            f"{home}.{leaf}"
            for home in (
                *("layers", "activations", "initializers", "regularizers", "constraints", "optimizers"),
                *("optimizers.schedules", "losses", "metrics"),
            )
            for leaf in ("serialize", "deserialize")
        ),
    ),
    _LOSS: (
        *(
            f"{home}.{leaf}"
            for home in ("ops", "backend")
            for leaf in (
                "binary_crossentropy",
                "categorical_crossentropy",
                "sparse_categorical_crossentropy",
                "ctc_decode",
            )
        ),
        "backend.binary_focal_crossentropy",
        "backend.categorical_focal_crossentropy",
        "backend.ctc_batch_cost",
        "backend.ctc_label_dense_to_sparse",
        "ops.ctc_loss",
    ),
    _GRAPH: tuple(
        f"backend.{leaf}"
        for leaf in (
            "batch_get_value",
            "batch_set_value",
            "eval",
            "function",
            "get_value",
            "gradients",
            "placeholder",
            "set_value",
            "update",
            "update_add",
            "update_sub",
            "moving_average_update",
            "manual_variable_initialization",
            "learning_phase_scope",
        )
    ),
    _MIXES: ("layers.CutMix", "layers.MixUp"),
    _BOXES: ("layers.MaxNumBoundingBoxes",),
    _FOREIGN: ("layers.FlaxLayer", "layers.JaxLayer", "layers.TFSMLayer", "layers.TorchModuleWrapper"),
    _LOOP: (
        *(f"ops.{leaf}" for leaf in ("associative_scan", "fori_loop", "map", "scan", "switch", "while_loop")),
        *(f"ops.{leaf}" for leaf in ("vectorize", "vectorized_map", "custom_gradient", "jvp")),
        *(f"backend.{leaf}" for leaf in ("foldl", "foldr", "map_fn", "rnn")),
    ),
    _SEEDED: tuple(
        f"backend.{leaf}"
        for leaf in (
            "random_bernoulli",
            "random_binomial",
            "random_normal",
            "random_normal_variable",
            "random_uniform",
            "random_uniform_variable",
            "truncated_normal",
        )
    ),
    "draws a random field of displacements, which cannot be compared": ("ops.image.elastic_transform",),
    _METRIC: ("backend.in_top_k", "ops.in_top_k"),
    _COUNTED: ("backend.get_uid", "backend.reset_uids"),
    "feature columns are data, which is prepared outside of the model": ("layers.DenseFeatures",),
    _COMPLEX: ("ops.polar", "ops.view_as_complex", "ops.view_as_real"),
    _SIGNS: ("ops.eig", "ops.eigh"),
    "the order inside of both parts is open, and differs between backends; TensorFlow's reads integers alone": (
        "ops.argpartition",
    ),
    "its answer for one tensor differs between building a model and running it": ("ops.is_tensor",),
    "its variance depends on which of TensorFlow's kernels the shape selects": ("backend.normalize_batch_in_training",),
    "an operation that it picks twice changes the image by the same random numbers both times, which no module that "
    "draws its own does": ("layers.RandAugment",),
    "its operations are picked by Python: once for all steps where Keras compiles the training, each time where it does "
    "not": ("layers.AugMix",),
    "Keras distorts as many images as its graph knows of, which is one where the size of the batch is open": (
        "layers.RandomElasticTransform",
    ),
    "the size of its result is random": ("layers.RandomHeight", "layers.RandomWidth"),
    "its result is an array of numpy, not a tensor": ("ops.convert_to_numpy",),
    _MIXED: ("optimizers.LossScaleOptimizer",),
    "which weights it takes for matrices depends on their shapes and paths in Keras": ("optimizers.Muon",),
    "gives each weight an optimizer of its own": ("optimizers.MultiOptimizer", "optimizers.OptimizerMap"),
    "which average it goes on from depends on the backend that Keras runs on": ("optimizers.ScheduleFreeAdamW",),
    "classes of the program that derive from it are not translated": (
        *("optimizers.Optimizer", "optimizers.legacy.Optimizer", "optimizers.schedules.LearningRateSchedule"),
        *("regularizers.Regularizer", "constraints.Constraint"),
    ),
}

_OF_TENSORFLOW: dict[str, tuple[str, ...]] = {
    _LOOP: ("while_loop", "map_fn", "vectorized_map", "scan", "foldl", "foldr", "TensorArray", "switch_case", "case"),
    _GRAPH: (
        *(
            "Session",
            "InteractiveSession",
            "Graph",
            "placeholder",
            "placeholder_with_default",
            "ConfigProto",
            "GPUOptions",
        ),
        *(
            "get_variable",
            "variable_scope",
            "global_variables_initializer",
            "local_variables_initializer",
            "get_default_graph",
        ),
        *("get_collection", "add_to_collection", "assign", "assign_add", "assign_sub", "control_dependencies"),
    ),
    _SEEDED: (
        *(f"random.{leaf}" for leaf in ("gamma", "poisson", "shuffle", "categorical", "truncated_normal")),
        *(f"random.stateless_{leaf}" for leaf in ("normal", "uniform", "categorical")),
        *("random_uniform", "random_normal", "truncated_normal", "random_shuffle"),
    ),
    _STRINGS: (
        "as_string",
        "strings.to_hash_bucket_fast",
        "string_to_hash_bucket_fast",
        "strings.join",
        "strings.split",
    ),
    _LOSS: (
        *(
            f"nn.{leaf}"
            for leaf in ("softmax_cross_entropy_with_logits", "sigmoid_cross_entropy_with_logits", "nce_loss")
        ),
        *(f"nn.{leaf}" for leaf in ("sparse_softmax_cross_entropy_with_logits", "sampled_softmax_loss", "ctc_loss")),
    ),
    _METRIC: ("nn.in_top_k", "math.in_top_k", "math.confusion_matrix"),
    "the gradient of a computation belongs to training code": ("GradientTape", "gradients", "hessians"),
    "how many boxes there are is known only from their values, which torch leaves to torchvision": (
        "image.non_max_suppression",
        "image.combined_non_max_suppression",
    ),
}
"""Why → names of TensorFlow, those of TensorFlow 1 without `compat.v1`."""

DECLINED = {name: why for why, names in _REASONS.items() for name in names}
"""Path without `keras.` → why it is declined."""
DECLINED_OF_TENSORFLOW = {f"tensorflow.{name}": why for why, names in _OF_TENSORFLOW.items() for name in names}


def reason(path: str) -> str:
    """Why the public name `path` (`keras.layers.Hashing`) is declined on purpose; "" if nothing was decided."""
    return DECLINED_OF_TENSORFLOW.get(path) or DECLINED.get(path.removeprefix("keras."), "")

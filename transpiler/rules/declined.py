"""Public names of Keras and TensorFlow that are declined on purpose, with the reason that messages and the coverage table give."""

from __future__ import annotations

_LOOKUP = "torch has no tensors of strings, and a vocabulary that `adapt` or a file gives is data"
_STRINGS = "torch has no tensors of strings"
_HASHED = "torch has no tensors of strings, as which numbers are hashed as well"
_CONFIG = "saving and loading of configurations is not part of a model"
_LOSS = "the loss belongs to training code, which is left as it is (K2T401)"
_DECODED = "decodes by a search that torch does not have (torchaudio does)"
_SPARSE = "its result is a sparse tensor, which the layers of Keras do not take"
_GRAPH = "variables, sessions and functions of a TensorFlow 1 graph have no counterpart in a module"
_CHANGES = "changes a variable in the middle of a call, which this translation does not order among the reads of it"
_FROM_OUTSIDE = "reads or sets weights from outside of the model, when the program runs (K2T403)"
_MIXES = "mixes samples and their labels, which belongs to the input pipeline"
_BOXES = "takes bounding boxes along, which belongs to the input pipeline"
_FOREIGN = "runs code of JAX or a saved graph of TensorFlow, which is no part of the text of the program"
_LOOP = "runs Python functions on tensors in a loop that the program's text does not have"
_TREE = "combines the parts of an axis in the order of a tree: another order gives other numbers unless the function is exactly associative"
_DERIVED = "derivatives of functions belong to training code"
_OWN_GRADIENT = "a gradient of the program's own is an autograd.Function in torch, whose backward pass this translation does not write"
_STEADY = "draws the same numbers in every call, by a seed that no generator of torch knows"
_SAMPLED = "draws the classes that it compares with by a sampler that torch does not have"
_METRIC = "belongs to metrics, which training code computes"
_SEEDED = "draws from a distribution for which the two sides cannot be given the same numbers, so that nothing could be proved"
_COMPLEX = "makes complex numbers, which the layers of Keras do not take and the types of this translation do not have"
_SIGNS = "eigenvectors are determined but for their length and sign, which each library chooses in its own way"

_MIXED = "scales the loss for mixed precision, which is not translated"

_REASONS: dict[str, tuple[str, ...]] = {
    _LOOKUP: ("layers.StringLookup", "layers.TextVectorization"),
    _HASHED: ("layers.Hashing", "layers.HashedCrossing"),
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
    _DECODED: ("ops.ctc_decode", "backend.ctc_decode"),
    _SPARSE: ("backend.ctc_label_dense_to_sparse",),
    _GRAPH: tuple(
        f"backend.{leaf}"
        for leaf in (
            "function",
            "placeholder",
            "learning_phase_scope",
        )
    ),
    _MIXES: ("layers.CutMix", "layers.MixUp"),
    _BOXES: ("layers.MaxNumBoundingBoxes",),
    _FOREIGN: ("layers.FlaxLayer", "layers.JaxLayer", "layers.TFSMLayer"),
    "is there in the torch backend of Keras alone, not in the one that programs are compared with": (
        "layers.TorchModuleWrapper",
    ),
    _CHANGES: tuple(f"backend.{leaf}" for leaf in ("update", "update_add", "update_sub", "moving_average_update")),
    _FROM_OUTSIDE: tuple(f"backend.{leaf}" for leaf in ("batch_get_value", "batch_set_value", "set_value")),
    _TREE: ("ops.associative_scan",),
    _DERIVED: ("backend.gradients", "ops.jvp"),
    _OWN_GRADIENT: ("ops.custom_gradient",),
    "vectorizes a function by the shapes that it meets, with numpy's signatures in strings": ("ops.vectorize",),
    "draws normal displacements, where torchvision's ElasticTransform draws even ones": (
        "ops.image.elastic_transform",
    ),
    _SEEDED: tuple(f"random.{leaf}" for leaf in ("beta", "binomial", "categorical", "gamma")),
    "feature columns are data, which is prepared outside of the model": ("layers.DenseFeatures",),
    _COMPLEX: ("ops.polar", "ops.view_as_complex", "ops.view_as_real"),
    _SIGNS: ("ops.eig", "ops.eigh"),
    "the order inside of both parts is open, and differs between backends; TensorFlow's reads integers alone": (
        "ops.argpartition",
    ),
    "its answer for one tensor differs between building a model and running it": ("ops.is_tensor",),
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
        *("regularizers.Regularizer", "constraints.Constraint", "losses.Loss", "metrics.Metric"),
    ),
    "keeps an average for each element of the tensors that code tells it of, which no loop of the result reports": (
        "metrics.MeanTensor",
    ),
    "calls callbacks from a loop that the program writes itself, where the statements that they become have no place": (
        "callbacks.CallbackList",
    ),
    "writes the files of Orbax, a library of JAX, which torch does not read": ("callbacks.OrbaxCheckpoint",),
    "serves a SidecarEvaluator, which is another process of tf.distribute": ("callbacks.SidecarEvaluatorModelExport",),
    "goes with use_ema of optimizers, which is not translated": ("callbacks.SwapEMAWeights",),
}

_OF_TENSORFLOW: dict[str, tuple[str, ...]] = {
    _LOOP: ("scan", "TensorArray", "switch_case", "case"),
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
        *("get_collection", "add_to_collection", "control_dependencies"),
    ),
    _CHANGES: ("assign", "assign_add", "assign_sub"),
    _SEEDED: (
        *(f"random.{leaf}" for leaf in ("gamma", "poisson", "shuffle", "categorical")),
        "random_shuffle",
    ),
    _STEADY: tuple(f"random.stateless_{leaf}" for leaf in ("normal", "uniform", "categorical")),
    _STRINGS: (
        "as_string",
        "strings.to_hash_bucket_fast",
        "string_to_hash_bucket_fast",
        "strings.join",
        "strings.split",
    ),
    _SAMPLED: ("nn.nce_loss", "nn.sampled_softmax_loss"),
    _LOSS: ("nn.ctc_loss",),
    _METRIC: ("math.confusion_matrix",),
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

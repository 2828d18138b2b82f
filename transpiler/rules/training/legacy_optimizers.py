"""The optimizers of `keras.optimizers.legacy`, where they differ from those that legacy Keras has beside them."""

from __future__ import annotations

from dataclasses import replace

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args
from transpiler.rules.base import keywords
from transpiler.rules.training import optimizers
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.rules.training.optimizers import Optimizer, Update

MORE = "clipnorm=None, clipvalue=None, global_clipnorm=None, decay=0.0"
AFTER = f"name=None, {MORE}"
"""The arguments that every optimizer ends with; a weight decay is none of them."""


class LegacyOptimizer(Optimizer):
    """What these have in common: a rate that decays with time, and clipping by values before norms."""

    unsupported = {}
    lazy = False
    """Whether rows of embeddings that do not occur in a batch keep their state."""

    def by_row(self, a: Args) -> bool:
        momentum = a.get("momentum", 0.0)
        return self.lazy or optimizers.moves(momentum)

    def lower(self, a: Args, changing: bool) -> OptimizerCode:
        if a.generation != KERAS2:
            raise Declined(TRAINING, "keras.optimizers.legacy belongs to legacy Keras: convert with --keras tf_keras")
        if a.clipvalue is not None and not (a.clipnorm is None and a.global_clipnorm is None):
            raise Declined(TRAINING, "clipping of values and of norms at once is not translated")
        return super().lower(a, changing)


class LegacySGD(LegacyOptimizer, optimizers.SGD):
    names = ("legacy.SGD",)
    legacy = signature = f"learning_rate=0.01, momentum=0.0, nesterov=False, {AFTER}"


class LegacyRMSprop(LegacyOptimizer, optimizers.RMSprop):
    """Without momentum it is torch's own; with it, epsilon moves inside of the root."""

    names = ("legacy.RMSprop",)
    legacy = signature = f"learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, {AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        if optimizers.moves(a.momentum):
            return super().update(a, changing)
        own = {"alpha": a.rho, "eps": a.epsilon, "centered": a.const("centered")}
        return "torch.optim.RMSprop", keywords({"alpha": 0.99, "eps": 1e-8, "centered": False}, **own)


class LegacyAdam(LegacyOptimizer, optimizers.Adam):
    names = ("legacy.Adam",)
    legacy = signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, {AFTER}"


class LegacyAdadelta(LegacyOptimizer, optimizers.Adadelta):
    names = ("legacy.Adadelta",)
    lazy = True
    legacy = signature = f"learning_rate=0.001, rho=0.95, epsilon=1e-7, {AFTER}"


class LegacyAdagrad(LegacyOptimizer, optimizers.Adagrad):
    """torch's own: epsilon is added to the root."""

    names = ("legacy.Adagrad",)
    legacy = signature = f"learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, {AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        own = {"initial_accumulator_value": a.initial_accumulator_value, "eps": a.epsilon}
        return "torch.optim.Adagrad", keywords({"initial_accumulator_value": 0, "eps": 1e-10}, **own)


class LegacyAdamax(LegacyOptimizer, optimizers.Adamax):
    names = ("legacy.Adamax",)
    lazy = True
    legacy = signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, {AFTER}"


class LegacyNadam(LegacyOptimizer):
    """Its `schedule_decay` is about the momentum, and the rate does not decay."""

    names = ("legacy.Nadam",)
    lazy = True
    legacy = signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, schedule_decay=0.004, {AFTER}"
    unsupported = {"decay": "Nadam has schedule_decay instead"}

    def update(self, a: Args, changing: bool) -> Update:
        return optimizers.nadam(a, a.schedule_decay)


class LegacyFtrl(LegacyOptimizer, optimizers.Ftrl):
    names = ("legacy.Ftrl",)
    lazy = True
    legacy = signature = (
        "learning_rate=0.001, learning_rate_power=-0.5, initial_accumulator_value=0.1, l1_regularization_strength=0.0, "
        "l2_regularization_strength=0.0, name=None, l2_shrinkage_regularization_strength=0.0, "
        f"beta=0.0, {MORE}"
    )


class TensorFlowOptimizer(LegacyOptimizer):
    """An optimizer of TensorFlow 1, which legacy Keras takes as it is."""

    ignored = (*LegacyOptimizer.ignored, "use_locking")

    def lower(self, a: Args, changing: bool) -> OptimizerCode:
        return replace(super().lower(a, changing), constrains=False)


class GradientDescentOptimizer(TensorFlowOptimizer):
    names = ("GradientDescentOptimizer",)
    legacy = signature = f"learning_rate, use_locking=False, {AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        return "torch.optim.SGD", {}


class MomentumOptimizer(TensorFlowOptimizer):
    """Takes the learning rate out of the momentum, as torch does."""

    names = ("MomentumOptimizer",)
    legacy = signature = f"learning_rate, momentum, use_locking=False, name=None, use_nesterov=False, {MORE}"

    def update(self, a: Args, changing: bool) -> Update:
        own = keywords({"nesterov": False}, momentum=a.momentum, nesterov=a.const("use_nesterov"))
        return "torch.optim.SGD", own


class AdamOptimizer(TensorFlowOptimizer):
    names = ("AdamOptimizer",)
    legacy = signature = f"learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, use_locking=False, {AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        return "Adam", keywords({"betas": (0.9, 0.999)}, betas=(a.beta1, a.beta2), eps=a.epsilon)


class AdagradOptimizer(TensorFlowOptimizer):
    names = ("AdagradOptimizer",)
    legacy = signature = f"learning_rate, initial_accumulator_value=0.1, use_locking=False, {AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        return "torch.optim.Adagrad", {"initial_accumulator_value": a.initial_accumulator_value, "eps": 0}

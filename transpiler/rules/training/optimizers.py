"""Optimizers. Every update was compared with Keras's own over 20 steps (tests/training/test_optimizers.py)."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import ApiObject, Args
from transpiler.rules.base import keywords
from transpiler.rules.training.base import TRAINING, OptimizerCode, OptimizerRule, ScheduleCode

COMMON = (
    "weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None, use_ema=False, ema_momentum=0.99, "
    "ema_overwrite_frequency={ema}, {older}name=None"
)
AFTER = COMMON.format(ema=None, older="loss_scale_factor=None, gradient_accumulation_steps=None, ")
"""The arguments that every optimizer ends with."""
LEGACY_AFTER = COMMON.format(ema=None, older="jit_compile=True, ")


class Optimizer(OptimizerRule):
    """What all optimizers have in common: the learning rate, clipping, weight decay beside the update."""

    renames = {"lr": "learning_rate"}
    ignored = ("name", "jit_compile", "ema_momentum", "is_legacy_optimizer")
    unsupported = {
        "use_ema": "an average of the weights is not kept",
        "loss_scale_factor": "scaling the loss belongs to mixed precision, which is not translated",
        "gradient_accumulation_steps": "gradients are not gathered over several steps",
        "decay": "the rate does not decay by itself",
    }

    def lower(self, a: Args, changing: bool) -> OptimizerCode:
        rate, schedule = learning_rate(a)
        function, arguments, helpers = self.update(a, changing or schedule is not None)
        arguments = {"lr": rate, **arguments}
        if a.weight_decay is not None and not self.decays(a):
            raise Declined(TRAINING, f"{self.names[0]} with weight_decay is not translated")
        return OptimizerCode(function, arguments, helpers, clipping(a), schedule)

    def update(self, a: Args, changing: bool) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        """The class of the optimizer, its arguments besides the learning rate, and the helpers it needs."""
        raise NotImplementedError

    def decays(self, a: Args) -> bool:
        """Whether `update` takes the weight decay along, which Keras subtracts from the weights themselves."""
        return False


def learning_rate(a: Args) -> tuple[Any, ScheduleCode | None]:
    """The learning rate to start with, and the schedule it follows."""
    from transpiler.rules.training.base import ScheduleRule
    from transpiler.rules.training.registry import known

    value = a.learning_rate
    if isinstance(value, ApiObject):
        rule, own = known(ScheduleRule, value, a.generation)
        schedule = rule.lower(own)
        return schedule.start, schedule
    if not (is_open(value) or isinstance(value, (int, float)) and not isinstance(value, bool)):
        raise Declined(TRAINING, "the learning rate cannot be evaluated")
    return value, None


def clipping(a: Args) -> tuple[str, ...]:
    """What happens to the gradients before the update; torch's own clipping adds 1e-6 to every norm."""
    if a.clipnorm is not None:
        return clip_each(code_of(a.clipnorm))
    if a.global_clipnorm is not None:
        return clip_together(code_of(a.global_clipnorm))
    if a.clipvalue is not None:
        return (f"nn.utils.clip_grad_value_({{parameters}}, {code_of(a.clipvalue)})",)
    return ()


def clip_each(norm: str) -> tuple[str, ...]:
    """The gradient of each weight, by itself."""
    return (
        "for parameter in {parameters}:",
        "    if parameter.grad is not None:",
        f"        parameter.grad *= {norm} / parameter.grad.norm().clamp(min={norm})",
    )


def clip_together(norm: str) -> tuple[str, ...]:
    """All gradients by the norm of all."""
    return (
        "gradients = [p.grad for p in {parameters} if p.grad is not None]",
        f"scale = {norm} / torch.stack([g.norm() for g in gradients]).norm().clamp(min={norm})",
        "for gradient in gradients:",
        "    gradient *= scale",
    )


class SGD(Optimizer):
    """`torch.optim.SGD`, which takes the learning rate out of the momentum: equal while that does not change."""

    names = ("SGD", "sgd", "gradient_descent")
    signature = f"learning_rate=0.01, momentum=0.0, nesterov=False, {AFTER}"
    legacy = f"learning_rate=0.01, momentum=0.0, nesterov=False, {LEGACY_AFTER}, decay=0.0"

    def update(self, a: Args, changing: bool) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        moves = is_open(a.momentum) or a.momentum != 0
        arguments = {"momentum": a.momentum, "nesterov": a.const("nesterov")} if moves else {}
        if moves and changing:
            raise Declined(TRAINING, "SGD with momentum under a changing learning rate is not translated")
        return "torch.optim.SGD", keywords({"momentum": 0.0, "nesterov": False}, **arguments), ()


class Adam(Optimizer):
    """Adam, whose epsilon Keras adds before the second moment is corrected."""

    names = ("Adam", "adam")
    signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, {AFTER}"
    legacy = "learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, " f"{LEGACY_AFTER}, decay=0.0"

    def update(self, a: Args, changing: bool) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        arguments = {"betas": (a.beta_1, a.beta_2), "eps": a.epsilon, "amsgrad": a.const("amsgrad")}
        return "Adam", keywords({"betas": (0.9, 0.999), "eps": 1e-7, "amsgrad": False}, **arguments), ("Adam",)

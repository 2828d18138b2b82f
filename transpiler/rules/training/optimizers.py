"""Optimizers. Every update was compared with Keras's own over 20 steps (tests/training/test_optimizers.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import KERAS3, ApiObject, Args
from transpiler.rules.base import Raw, keywords
from transpiler.rules.training.base import TRAINING, OptimizerCode, OptimizerRule, ScheduleCode, ScheduleRule
from transpiler.rules.training.schedules import atom

COMMON = (
    "weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None, use_ema=False, ema_momentum=0.99, "
    "ema_overwrite_frequency=None, "
)
AFTER = f"{COMMON}loss_scale_factor=None, gradient_accumulation_steps=None, name=None, decay=0.0"
"""The arguments that every optimizer ends with."""
LEGACY_AFTER = f"{COMMON}jit_compile=True, name=None, decay=0.0"

Update = tuple[str, dict[str, Any]]
"""The class of an optimizer, and its arguments besides the learning rate."""


class Optimizer(OptimizerRule):
    """What all optimizers have in common: the learning rate, clipping, weight decay beside the update."""

    renames = {"lr": "learning_rate"}
    ignored = ("name", "jit_compile", "ema_momentum", "ema_overwrite_frequency", "is_legacy_optimizer")
    unsupported = {
        "use_ema": "an average of the weights is not kept",
        "loss_scale_factor": "scaling the loss belongs to mixed precision, which is not translated",
        "gradient_accumulation_steps": "gradients are not gathered over several steps",
    }
    own_decay = False
    """Whether `update` takes the weight decay along, which Keras subtracts from the weights before the update."""
    linear = False
    """Whether the update is the same for the sum of some gradients and for one after the other."""
    whole = ""
    """Why each parameter has to hold one weight of Keras: `norms` or `factors` of it decide."""

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], generation: str) -> Args:
        if generation == KERAS3 and "lr" not in kwargs:  # which says that Keras 3 is not meant: it ignores `decay`
            kwargs = {k: v for k, v in kwargs.items() if k != "decay"}
        return super().bind(args, kwargs, generation)

    def lower(self, a: Args, changing: bool) -> OptimizerCode:
        rate, schedule = learning_rate(a)
        function, arguments = self.update(a, changing or schedule is not None)
        before = clipping(a)
        if decays(a) and not self.own_decay:
            before += decay(a.weight_decay)
        helpers = () if function.startswith("torch.") else (function,)
        whole = self.whole or ("norms" if a.clipnorm is not None else "")
        by_row = bool(clipping(a)) or self.by_row(a)
        return OptimizerCode(function, {"lr": rate, **arguments}, helpers, before, schedule, whole, by_row)

    def by_row(self, a: Args) -> bool:
        """Whether gradients of embeddings are used before they are summed: Keras 3 squares them one by one."""
        return a.generation == KERAS3 and not self.linear

    def update(self, a: Args, changing: bool) -> Update:
        """The optimizer of torch or the helper that does the same; `changing` says whether the rate may change."""
        raise NotImplementedError


def learning_rate(a: Args) -> tuple[Any, ScheduleCode | None]:
    """The learning rate to start with, and the schedule it follows."""
    from transpiler.rules.training.registry import known

    value, schedule = a.learning_rate, None
    if isinstance(value, ApiObject):
        rule, own = known(ScheduleRule, value, a.generation)
        schedule = rule.lower(own)
        value = schedule.start
    if not (is_open(value) or isinstance(value, (int, float)) and not isinstance(value, bool)):
        raise Declined(TRAINING, "the learning rate cannot be evaluated")
    if is_open(a.decay) or a.decay:
        factor = f"1 / (1 + {atom(a.decay)} * step)"
        if schedule is not None:
            factor = f"({schedule.factor}) / (1 + {atom(a.decay)} * step)"
        schedule = ScheduleCode(value, factor, schedule.helpers if schedule is not None else ())
    return value, schedule


def clipping(a: Args) -> tuple[str, ...]:
    """What happens to the gradients before the update; torch's own clipping adds 1e-6 to every norm."""
    if a.clipnorm is not None:
        return clip_each(code_of(a.clipnorm))
    if a.global_clipnorm is not None:
        return clip_together(code_of(a.global_clipnorm))
    if a.clipvalue is not None:
        return (f"nn.utils.clip_grad_value_({{parameters}}, {code_of(a.clipvalue)})",)
    return ()


def decays(a: Args) -> bool:
    """Whether the weights decay beside the update."""
    weight_decay = a.get("weight_decay")
    return is_open(weight_decay) or bool(weight_decay)


def decay(weight_decay: Any) -> tuple[str, ...]:
    """The decay of all weights that are learned, beside the update as in AdamW."""
    return (
        "for parameter in {parameters}:",
        "    if parameter.grad is not None:",
        f"        parameter.data *= 1 - {atom(weight_decay)} * optimizer.param_groups[0]['lr']",
    )


def moves(momentum: Any) -> bool:
    return is_open(momentum) or momentum != 0


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
    """torch's own takes the learning rate out of the momentum: equal while that does not change."""

    names = ("SGD", "sgd")
    signature = f"learning_rate=0.01, momentum=0.0, nesterov=False, {AFTER}"
    legacy = f"learning_rate=0.01, momentum=0.0, nesterov=False, {LEGACY_AFTER}"
    linear = True

    def update(self, a: Args, changing: bool) -> Update:
        if not moves(a.momentum):
            return "torch.optim.SGD", {}
        own = keywords({"nesterov": False}, momentum=a.momentum, nesterov=a.const("nesterov"))
        return "SGD" if changing else "torch.optim.SGD", own


class RMSprop(Optimizer):
    names = ("RMSprop", "rmsprop")
    signature = f"learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, {AFTER}"
    legacy = f"learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, {LEGACY_AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        own = keywords({"alpha": 0.9, "eps": 1e-7}, alpha=a.rho, eps=a.epsilon)
        more = keywords({"momentum": 0.0, "centered": False}, momentum=a.momentum, centered=a.const("centered"))
        return "FullRMSprop" if more else "RMSprop", own | more


class Adam(Optimizer):
    """Adam, whose epsilon Keras adds before the second moment is corrected."""

    names = ("Adam", "adam")
    signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, {AFTER}"
    legacy = (
        "learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, adaptive_epsilon=False, amsgrad=False, "
        f"{LEGACY_AFTER}"
    )
    own_decay = True

    def update(self, a: Args, changing: bool) -> Update:
        adaptive = a.generation != KERAS3 and a.get("adaptive_epsilon") and a.const("adaptive_epsilon")
        own = {"betas": (a.beta_1, a.beta_2), "eps": a.epsilon, "amsgrad": a.const("amsgrad")}
        own = keywords({"betas": (0.9, 0.999), "eps": 1e-8 if adaptive else 1e-7, "amsgrad": False}, **own)
        name = "Adam"
        if decays(a):
            name, own = "AdamW", {**own, "weight_decay": a.weight_decay}
        return f"torch.optim.{name}" if adaptive else name, own


class AdamW(Adam):
    names = ("AdamW", "adamw")
    signature = (
        "learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, "
        f"{AFTER.replace('weight_decay=None, ', '')}"
    )
    legacy = (
        "learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, "
        f"{LEGACY_AFTER.replace('weight_decay=None, ', '')}"
    )


class Adadelta(Optimizer):
    names = ("Adadelta", "adadelta")
    signature = f"learning_rate=0.001, rho=0.95, epsilon=1e-7, {AFTER}"
    legacy = f"learning_rate=0.001, rho=0.95, epsilon=1e-7, {LEGACY_AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        return "torch.optim.Adadelta", keywords({"rho": 0.9, "eps": 1e-6}, rho=a.rho, eps=a.epsilon)


class Adagrad(Optimizer):
    """Keras adds epsilon inside of the root, as if the sum of squares began with it."""

    names = ("Adagrad", "adagrad")
    signature = f"learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, {AFTER}"
    legacy = f"learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, {LEGACY_AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        first = Raw(f"{atom(a.initial_accumulator_value)} + {atom(a.epsilon)}")
        return "torch.optim.Adagrad", {"initial_accumulator_value": first, "eps": 0}


class Adamax(Optimizer):
    """torch's own adds epsilon to every gradient, before the largest is found."""

    names = ("Adamax", "adamax")
    signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, {AFTER}"
    legacy = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, {LEGACY_AFTER}"

    def update(self, a: Args, changing: bool) -> Update:
        own = {"betas": (a.beta_1, a.beta_2), "eps": a.epsilon}
        return "Adamax", keywords({"betas": (0.9, 0.999), "eps": 1e-7}, **own)


class Nadam(Optimizer):
    """The momentum approaches its limit 250 times as fast as by default in torch."""

    names = ("Nadam", "nadam")
    signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, {AFTER}"
    legacy = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, {LEGACY_AFTER}"
    own_decay = True

    def update(self, a: Args, changing: bool) -> Update:
        if a.generation != KERAS3:
            raise Declined(
                TRAINING, "Nadam of legacy Keras counts its steps by the number of weights when it is compiled"
            )
        return nadam(a, 1.0)


def nadam(a: Args, momentum_decay: Any) -> Update:
    own = {"betas": (a.beta_1, a.beta_2), "eps": a.epsilon, "momentum_decay": momentum_decay}
    own = keywords({"betas": (0.9, 0.999), "eps": 1e-8, "momentum_decay": 0.004}, **own)
    if decays(a):
        own |= {"weight_decay": a.weight_decay, "decoupled_weight_decay": True}
    return "torch.optim.NAdam", own


class Ftrl(Optimizer):
    names = ("Ftrl", "ftrl")
    signature = (
        "learning_rate=0.001, learning_rate_power=-0.5, initial_accumulator_value=0.1, l1_regularization_strength=0.0, "
        f"l2_regularization_strength=0.0, l2_shrinkage_regularization_strength=0.0, beta=0.0, {AFTER}"
    )
    legacy = (
        "learning_rate=0.001, learning_rate_power=-0.5, initial_accumulator_value=0.1, l1_regularization_strength=0.0, "
        f"l2_regularization_strength=0.0, l2_shrinkage_regularization_strength=0.0, beta=0.0, {LEGACY_AFTER}"
    )

    def update(self, a: Args, changing: bool) -> Update:
        own = {
            "lr_power": a.learning_rate_power,
            "initial_accumulator_value": a.initial_accumulator_value,
            "l1": a.l1_regularization_strength,
            "l2": a.l2_regularization_strength,
            "l2_shrinkage": a.l2_shrinkage_regularization_strength,
            "beta": a.beta,
        }
        defaults = {"lr_power": -0.5, "initial_accumulator_value": 0.1, "l1": 0, "l2": 0, "l2_shrinkage": 0, "beta": 0}
        return "Ftrl", keywords(defaults, **own)


class Lion(Optimizer):
    names = ("Lion", "lion")
    signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.99, {AFTER}"
    legacy = f"learning_rate=0.0001, beta_1=0.9, beta_2=0.99, {LEGACY_AFTER}"
    linear = True

    def update(self, a: Args, changing: bool) -> Update:
        return "Lion", keywords({"betas": (0.9, 0.99)}, betas=(a.beta_1, a.beta_2))


class Lamb(Optimizer):
    names = ("Lamb",)
    signature = f"learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, {AFTER}"
    whole = "norms"

    def update(self, a: Args, changing: bool) -> Update:
        own = {"betas": (a.beta_1, a.beta_2), "eps": a.epsilon}
        return "Lamb", keywords({"betas": (0.9, 0.999), "eps": 1e-7}, **own)


class Adafactor(Optimizer):
    """torch's own factors the last two axes, which of a convolution are not those of Keras; its epsilon acts elsewhere."""

    names = ("Adafactor", "adafactor")
    own = "learning_rate=0.001, beta_2_decay=-0.8, epsilon_1=1e-30, epsilon_2=0.001, clip_threshold=1.0, relative_step=True"
    signature = f"{own}, {AFTER}"
    legacy = f"{own}, {LEGACY_AFTER}"
    ignored = (*Optimizer.ignored, "relative_step")  # the step is relative with and without
    whole = "factors"

    def update(self, a: Args, changing: bool) -> Update:
        own = {"beta2_decay": a.beta_2_decay, "eps": (a.epsilon_1, a.epsilon_2), "d": a.clip_threshold}
        return "Adafactor", keywords({"beta2_decay": -0.8, "eps": (1e-30, 1e-3), "d": 1.0}, **own)

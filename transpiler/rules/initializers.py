"""Initial weights: every Keras initializer as a torch call that fills a weight in place with the same distribution."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym, code_of, constant, is_open, same
from transpiler.ir.model import ApiObject, ApiValue, Given, Step, Transform, literal
from transpiler.rules.base import Raw, call, keywords, parse_signature, show

FROZEN_ZEROS = ApiObject(ApiValue("torch.FrozenZeros"))
"""For a torch parameter that Keras does not have: always 0 and never trained."""
FROZEN_ONES = ApiObject(ApiValue("torch.FrozenOnes"))
"""For a torch parameter that Keras does not have: always 1 and never trained."""

UNTRAINED = ".requires_grad_(False)"
"""What follows the constructor of a module whose weights stay as they are."""

Fans = tuple[Any, Any] | None
Code = tuple[str, tuple[str, ...]]
"""A call that fills the weight and returns it, and the helpers it needs."""


def forget_bias(inner: Any) -> ApiObject:
    """The bias of an LSTM with `unit_forget_bias`: `inner`, and ones for the forget gate."""
    if isinstance(inner, Given):
        raise Declined("K2T102", "unit_forget_bias with a known initial bias has no translation")
    return ApiObject(ApiValue("torch.ForgetBias"), (inner,))


def given_code(value: Given, transform: Transform = ()) -> str:
    """The text of a given tensor as the torch parameter holds it. Raises Declined where that cannot be written."""
    text = value.code.code
    if not isinstance(value.code.expr, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
        text = f"({text})"
    if transform and (transform[0][0] != "permute" or value.shape and len(transform[0][1]) != len(value.shape)):
        raise Declined("K2T102", "an initial weight of another shape than the weight has no translation")
    for name, *rest in transform:
        if name == "permute":
            text = f"{text}.T" if rest[0] == (1, 0) else call(f"{text}.permute", *rest[0])
        elif name == "merge":
            text = f"{text}.flatten({rest[0]}, {rest[0] + 1})"
        elif name == "expand":
            text = f"{text}.unsqueeze({rest[0]})"
        else:
            raise Declined("K2T102", "a known initial weight of this layer has no translation")
    return text


def own_tensor(value: Given) -> str:
    """The text of a given tensor that nothing else holds, in the precision of the model."""
    code = given_code(value)
    if code.startswith("torch.from_numpy("):
        return code.replace("from_numpy", "tensor", 1)[:-1] + ", dtype=torch.get_default_dtype())"
    return code if code.startswith("torch.tensor(") else f"{code}.clone()"


def fans_of(step: Step, name: str) -> Fans:
    """Keras's fans of one parameter of `step`."""
    return step.fans.get(name) if isinstance(step.fans, Mapping) else step.fans


ALIASES = {
    "normal": "random_normal",
    "uniform": "random_uniform",
    "zero": "zeros",
    "one": "ones",
    "identity_initializer": "identity",
    "orthogonal_initializer": "orthogonal",
    "eye": "identity",
    "stftinitializer": "stft",
}

SIGNATURES = {
    "zeros": "",
    "ones": "",
    "constant": "value=0.0",
    "random_normal": "mean=0.0, stddev=0.05, seed=None",
    "random_uniform": "minval=-0.05, maxval=0.05, seed=None",
    "truncated_normal": "mean=0.0, stddev=0.05, seed=None",
    "variance_scaling": (
        "scale=1.0, mode='fan_in', distribution='truncated_normal', seed=None, input_axes=None, output_axes=None"
    ),
    "orthogonal": "gain=1.0, seed=None",
    "identity": "gain=1.0",
    "stft": "side='real', window='hann', scaling='density', periodic=False",
}
"""The initializers that the others are cases of."""

VARIANCE_SCALING = {
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
}
"""name → (scale, mode, distribution)."""

BY_SCALING = {v: k for k, v in VARIANCE_SCALING.items()}
TORCH_OWN = {
    "glorot_uniform": ("nn.init.xavier_uniform_", {}),
    "he_uniform": ("nn.init.kaiming_uniform_", {}),
    "lecun_uniform": ("nn.init.kaiming_uniform_", {"nonlinearity": "linear"}),
}
"""Where torch's own initializer has exactly Keras's distribution."""


def canonical(name: str) -> str:
    """`GlorotUniform`, `glorot_uniform_initializer` → `glorot_uniform`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    snake = snake if snake in ALIASES else snake.removesuffix("_initializer")
    return ALIASES.get(snake, snake)


def weight_code(shape: tuple[Any, ...], value: Any, trainable: bool) -> Code:
    """The constructor of a parameter of this shape that starts as the Keras initializer `value` does."""
    dims = ", ".join(map(code_of, shape)) or "()"
    leaf = value.leaf if isinstance(value, (ApiObject, ApiValue)) else value
    name = canonical(leaf or "glorot_uniform") if leaf is None or isinstance(leaf, str) else ""
    check_place(value, ())
    if name == "orthogonal" and len(shape) > 2:
        raise Declined("K2T102", "an orthogonal start of more than two axes has no translation")
    if isinstance(value, Given):
        if value.shape is None or not same(value.shape, shape):
            raise Declined("K2T102", "an initial weight of another shape than the weight has no translation")
        code, helpers = own_tensor(value), ()
    elif name in ("zeros", "ones"):
        code, helpers = f"torch.{name}({dims})", ()
    else:
        alike = len(shape) == 2 and VARIANCE_SCALING.get(name, ("", "", ""))[1] == "fan_avg"
        code, helpers = init_call(value, f"torch.empty({dims})", None if alike else keras_fans(shape))
    return f"nn.Parameter({code}{'' if trainable else ', requires_grad=False'})", helpers


def keras_fans(shape: tuple[Any, ...]) -> tuple[Any, Any]:
    """What Keras takes for (fan_in, fan_out) of a weight of this shape."""
    if not shape:
        return (1, 1)
    field = math.prod(shape[:-2])
    return (shape[0], shape[0]) if len(shape) == 1 else (shape[-2] * field, shape[-1] * field)


def init_call(value: Any, weight: str, fans: Fans = None) -> Code:
    """The call that fills `weight` as the Keras initializer `value` does, and the helpers it needs.

    `value` is a name, a class, an object or a `Sym` that was seen to be a name; None is Keras's default. `fans` are
    Keras's (fan_in, fan_out) where they differ from torch's. The call returns the weight.
    Raises Declined for an initializer without a translation, NeedsConstant for one kept open that was not a name.
    """
    target = Raw(weight)
    if isinstance(value, Sym):
        if not isinstance(value.witness, str):
            raise NeedsConstant(value, "the initializer decides what is written")
        more = {} if fans is None else {"fans": fans}
        return call("init_by_name_", target, value, **more), ("init_by_name_",)
    if value is None:
        value = "glorot_uniform"
    if isinstance(value, Given):
        return f"{weight}.data.copy_({given_code(value)})", ()
    if isinstance(value, ApiObject) and value.api.path.startswith("torch."):
        return _special(value, weight, fans)
    if isinstance(value, ApiObject):
        return _named(canonical(value.leaf), value, target, fans)
    if isinstance(value, ApiValue):
        value = value.leaf
    if not isinstance(value, str):
        raise Declined("K2T102", f"the initializer {show(value)} has no translation")
    return _named(canonical(value), ApiObject(ApiValue(value)), target, fans)


def _special(value: ApiObject, weight: str, fans: Fans) -> Code:
    if value.leaf == "ForgetBias":
        inner, helpers = init_call(value.args[0], weight, fans)
        return f"unit_forget_bias_({inner})", (*helpers, "unit_forget_bias_")
    fill = {"FrozenZeros": "zeros_", "FrozenOnes": "ones_"}[value.leaf]
    return f"nn.init.{fill}({weight}).requires_grad_(False)", ()


def _named(name: str, value: ApiObject, target: Raw, fans: Fans) -> Code:
    if name in VARIANCE_SCALING:
        return _scaled(VARIANCE_SCALING[name], target, fans)
    if name not in SIGNATURES:
        raise Declined("K2T102", f"the initializer {value.leaf} has no translation")
    try:
        bound = parse_signature(SIGNATURES[name]).bind(*value.args, **value.kwargs)
    except TypeError as error:
        raise Declined("K2T102", f"{value.leaf}: {error}") from None
    bound.apply_defaults()
    a = bound.arguments
    for key, argument in a.items():
        if key != "seed" and not literal(argument):
            raise Declined("K2T102", f"{value.leaf}({key}={show(argument)}) has no translation")
    return BUILDERS[name](a, target, fans)


def _scaled(scaling: tuple[Any, str, str], target: Raw, fans: Fans) -> Code:
    scale, mode, distribution = scaling
    name = BY_SCALING.get((scale, mode, distribution)) if not is_open(scale) else None
    if fans is None and name in TORCH_OWN and "bias" not in target.rpartition(".")[2]:  # torch wants two axes
        function, kwargs = TORCH_OWN[name]
        return call(function, target, **kwargs), ()
    defaults = {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", "fans": None}
    kwargs = keywords(defaults, scale=scale, mode=mode, distribution=distribution, fans=fans)
    return call("variance_scaling_", target, **kwargs), ("variance_scaling_",)


def _variance_scaling(a: dict[str, Any], target: Raw, fans: Fans) -> Code:
    mode, distribution = constant(a["mode"]).lower(), constant(a["distribution"]).lower()
    if a["input_axes"] is not None or a["output_axes"] is not None:
        raise Declined("K2T102", "VarianceScaling over chosen axes has no translation")
    return _scaled((a["scale"], mode, {"normal": "truncated_normal"}.get(distribution, distribution)), target, fans)


def _random_normal(a: dict[str, Any], target: Raw, fans: Fans) -> Code:
    kwargs = keywords({"mean": 0.0, "std": 1.0}, mean=a["mean"], std=a["stddev"])
    return call("nn.init.normal_", target, **kwargs), ()


def _random_uniform(a: dict[str, Any], target: Raw, fans: Fans) -> Code:
    low, high = a["minval"], a["maxval"]
    if not is_open(high) and high is None:
        high = 1.0
    return call("nn.init.uniform_", target, low, high), ()


def _truncated_normal(a: dict[str, Any], target: Raw, fans: Fans) -> Code:
    mean, std = a["mean"], a["stddev"]
    kwargs = keywords({"mean": 0.0}, mean=mean)
    if not is_open(std):
        std = float(std)
    return call("nn.init.trunc_normal_", target, **kwargs, std=std, a=mean - 2 * std, b=mean + 2 * std), ()


def _identity(a: dict[str, Any], target: Raw, fans: Fans) -> Code:
    if constant(a["gain"]) != 1:
        return call("scaled_eye_", target, a["gain"]), ("scaled_eye_",)
    return call("nn.init.eye_", target), ()


WINDOWS = ("hann", "hamming", "blackman", "bartlett")
"""The windows of SciPy that torch has under the same name."""


def window_code(window: Any, size: Any, periodic: Any) -> Raw | None:
    """The tensor of a window of `size` numbers: one by name, or given as a list."""
    window = constant(window)
    if window is None:
        return None
    if isinstance(window, (list, tuple)) and literal(window):
        return Raw(call("torch.tensor", list(window)))
    if window not in WINDOWS:
        raise Declined("K2T102", f"the window {show(window)} has no counterpart in torch")
    return Raw(call(f"torch.signal.windows.{window}", size, **({"sym": False} if constant(periodic) else {})))


def _stft(a: dict[str, Any], target: Raw, fans: Fans) -> Code:
    window = window_code(a["window"], Raw(f"{target}.shape[-1]"), a["periodic"])
    defaults = {"side": "real", "window": None, "scaling": "density"}
    scaling = "density" if window is None else constant(a["scaling"])
    kwargs = keywords(defaults, side=constant(a["side"]), window=window, scaling=scaling)
    return call("stft_kernel_", target, **kwargs), ("stft_kernel_",)


def check_place(value: Any, transform: Transform) -> None:
    """Raises Declined for the waves of a Fourier transform as the start of another weight than a kernel of one axis."""
    leaf = value.leaf if isinstance(value, (ApiObject, ApiValue)) else value
    if isinstance(leaf, str) and canonical(leaf) == "stft" and transform != (("permute", (2, 1, 0)),):
        raise Declined("K2T102", "the initializer STFT is translated for kernels of one-dimensional convolutions")


BUILDERS = {
    "zeros": lambda a, target, fans: (call("nn.init.zeros_", target), ()),
    "ones": lambda a, target, fans: (call("nn.init.ones_", target), ()),
    "constant": lambda a, target, fans: (call("nn.init.constant_", target, a["value"]), ()),
    "random_normal": _random_normal,
    "random_uniform": _random_uniform,
    "truncated_normal": _truncated_normal,
    "variance_scaling": _variance_scaling,
    "orthogonal": lambda a, target, fans: (
        call("nn.init.orthogonal_", target, **keywords({"gain": 1.0}, gain=a["gain"])),
        (),
    ),
    "identity": _identity,
    "stft": _stft,
}

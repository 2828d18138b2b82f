"""Initial weights: the function that starts a model's weights as Keras does.

Where all layers of one torch class start alike, one `init_weights` goes over the whole model; a layer that starts
otherwise is wrapped where it is constructed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.expr import Sym, code_of
from transpiler.ir.model import ApiObject, ApiValue, Given, Step
from transpiler.ir.program import Apply, Member, ModuleClass
from transpiler.rules.base import Raw, call
from transpiler.rules.initializers import UNTRAINED, canonical, fans_of, given_code, init_call

TORCH_DEFAULTS = {"zeros": ("bias", "running_mean"), "ones": ("weight", "running_var")}
"""What torch's normalizations start with by themselves."""

NORMALS = ("nn.BatchNorm", "nn.LayerNorm", "nn.GroupNorm", "nn.RMSNorm", "nn.PReLU")


def torch_class(step: Step) -> str:
    return (step.module or "").partition("(")[0]


@dataclass
class Initializers:
    """The initial weights of one file."""

    shared: dict[str, Step] = field(default_factory=dict)
    """Torch class → the step whose initial weights `init_weights` gives all of them."""
    wrapped: set[str] = field(default_factory=set)
    """The torch classes whose layers are given theirs where they are constructed."""
    helpers: list[str] = field(default_factory=list)
    wrappers: dict[str, str] = field(default_factory=dict)
    """Text of a wrapper's body → its name."""
    texts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, classes: Iterable[ModuleClass]) -> Initializers:
        """Decides how the layers of these classes get their initial weights."""
        found = cls()
        specs: dict[str, dict[str, Step]] = {}
        for step in map(inner_step, steps_of(classes)):
            specs.setdefault(torch_class(step), {})["\n".join(found.lines(step, "layer"))] = step
        found.helpers.clear()
        given = {n: s for n, s in specs.items() if n.startswith("nn.") and all(map(is_given, s.values()))}
        specs = {name: s for name, s in specs.items() if name not in given}
        found.wrapped = {*given, *specs}
        if all(len(s) == 1 and not is_open_step(next(iter(s.values()))) for s in specs.values()):
            found.wrapped = set(given)
            found.shared = {name: next(iter(s.values())) for name, s in specs.items()}
        return found

    def function(self) -> str:
        """The text of `init_weights`; "" if nothing differs from torch's own."""
        if not self.shared:
            return ""
        bodies: dict[str, list[str]] = {}
        for name, step in self.shared.items():
            bodies.setdefault("\n".join(self.lines(step, "module")), []).append(name)
        lines = [
            "def init_weights(module: nn.Module) -> None:",
            '    """Starts from the distributions that Keras starts from."""',
        ]
        for i, (body, names) in enumerate(bodies.items()):
            kinds = names[0] if len(names) == 1 else f"({', '.join(names)})"
            lines.append(f"    {'if' if i == 0 else 'elif'} isinstance(module, {kinds}):")
            lines += ["        " + line for line in body.splitlines()]
        return "\n".join(lines)

    def lines(self, step: Step, owner: str) -> list[str]:
        lines = []
        for parameter, value in spec(step).items():
            place = re.sub(r"\.(\d+)", r"[\1]", f"{owner}.{parameter}")  # an item of an nn.Sequential
            code, helpers = init_call(value, place, fans_of(step, parameter))
            self.helpers += [h for h in helpers if h not in self.helpers]
            optional = parameter in step.weights and step.weights[parameter].optional and "bias" in parameter
            lines += [f"if {place} is not None:", f"    {code}"] if optional else [code]
        return lines

    def wrap(self, code: str, step: Step | None) -> str:
        """The constructor of a layer, inside the function that starts its weights."""
        if step is None or torch_class(inner_step(step)) not in self.wrapped or not spec(step):
            return code
        arguments = [Raw(open_argument(step, p)) for p, v in spec(step).items() if is_argument(v)]
        fans = fan_arguments(step)
        arguments += [Raw(code_of(value)) for value in fans.values()]
        lines = self.lines(_named(step), "layer")
        if "bias=False" in code:
            lines = [line for line in lines if "bias" not in line]
        body = "\n".join(lines)
        if body not in self.wrappers:
            self.wrappers[body] = self.wrapper_name(step, set(self.wrappers.values()))
            name = self.wrappers[body]
            kinds = {p: "Tensor" if isinstance(v, Given) else "str" for p, v in spec(step).items() if is_argument(v)}
            params = "".join(f", {argument_name(p)}: {kind}" for p, kind in kinds.items())
            params += "".join(f", {name}: tuple[int, int]" for name in fans)
            text = [
                f"def {name}(layer: nn.Module{params}) -> nn.Module:",
                '    """The layer with the initial weights that Keras gives it."""',
            ]
            self.texts.append("\n".join([*text, *("    " + line for line in lines), "    return layer"]))
        made = Raw(code.removesuffix(UNTRAINED))
        return call(self.wrappers[body], made, *arguments) + (UNTRAINED if made != code else "")

    def wrapper_name(self, step: Step, taken: set[str]) -> str:
        value = spec(step).get("weight", next(iter(spec(step).values())))
        base = "with_initializer" if isinstance(value, Sym) else canonical(_leaf(value)) or "initialized"
        base = "with_weights" if isinstance(value, Given) else base
        name, i = base, 1
        while name in taken:
            i += 1
            name = f"{base}{i}"
        return name


def is_given(step: Step) -> bool:
    """Whether all weights of a layer start as tensors that are given."""
    return all(isinstance(v, Given) for v in spec(step).values())


def is_argument(value: Any) -> bool:
    """Whether an initial weight is handed to the function that starts it."""
    return isinstance(value, (Sym, Given))


def argument_name(parameter: str) -> str:
    return parameter.replace("weight", "kernel").replace(".", "_")


def open_argument(step: Step, parameter: str) -> str:
    """What a wrapper is handed for a parameter: the name of an initializer, or the weight itself."""
    value = step.init[parameter]
    if isinstance(value, Sym):
        return value.code
    weight = step.weights.get(parameter)
    return given_code(value, weight.transform if weight is not None else ())


def _named(step: Step) -> Step:
    """The step with open initializers under the names of the wrapper's parameters."""
    init = dict(step.init)
    for p, v in init.items():
        if isinstance(v, Sym):
            init[p] = Sym.name(argument_name(p), v.witness)
        elif isinstance(v, Given):
            init[p] = Given(Sym.name(argument_name(p)), v.shape)
    fans: Any = {p: Sym.name(fan_argument(step, p)) for p in fan_parameters(step)}
    return replace(step, init=init, fans=fans)


def fan_parameters(step: Step) -> list[str]:
    """The weights of which Keras counts the fans in its own way, where the initializer depends on them."""
    return [p for p, v in spec(step).items() if init_call(v, p, fans_of(step, p))[0] != init_call(v, p, None)[0]]


def fan_argument(step: Step, parameter: str) -> str:
    return f"{argument_name(parameter)}_fans" if isinstance(step.fans, Mapping) else "fans"


def fan_arguments(step: Step) -> dict[str, Any]:
    """What the function that starts the weights of a layer is told of their fans."""
    return {fan_argument(step, p): fans_of(step, p) for p in fan_parameters(step)}


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.leaf if isinstance(value, (ApiObject, ApiValue)) else ""


def spec(step: Step) -> dict[str, Any]:
    """The initial weights that differ from those torch gives by itself."""
    found = {}
    for parameter, value in step.init.items():
        name = canonical(_leaf(value)) if not isinstance(value, Sym) else ""
        own = TORCH_DEFAULTS.get(name, ()) if torch_class(step).startswith(NORMALS) else ()
        if parameter and parameter not in own:
            found[parameter] = value
    return found


def is_open_step(step: Step) -> bool:
    if any(map(is_argument, spec(step).values())):
        return True
    return bool(fan_parameters(step))


WRAPPERS = {"Stateful": "rnn", "SpectralNormalization": "layer"}
"""Modules that start no weights themselves → the attribute that holds the one they are made of: `init_weights` meets both."""


def inner_step(step: Step) -> Step:
    """The step of what a module wraps, if it only wraps one."""
    held = WRAPPERS.get(torch_class(step))
    if held is None:
        return step
    call = ast.parse(step.module or "", mode="eval").body
    assert isinstance(call, ast.Call)
    init, weights = ({k.removeprefix(f"{held}."): v for k, v in d.items()} for d in (step.init, step.weights))
    return replace(step, module=ast.unparse(call.args[0]), init=init, weights=weights)


def steps_of(classes: Iterable[ModuleClass]) -> Iterable[Step]:
    """The steps with initial weights of their own, in all classes."""
    seen: list[Member] = []

    def members(m: Member) -> Iterable[Member]:
        yield m
        for part in (*m.parts, *(m.choice.then if m.choice else ()), *(m.choice.otherwise if m.choice else ())):
            yield from members(part)

    for cls in classes:
        for op in cls.block.walk():
            if isinstance(op, Apply) and op.member is not None:
                for m in members(op.member):
                    if m not in seen and m.step is not None and spec(m.step):
                        seen.append(m)
                        yield m.step

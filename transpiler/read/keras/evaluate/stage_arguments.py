"""Arguments of layers that stay open although each of their values is translated in its own way.

`padding` and `stateful` make a layer for each value. `return_sequences` is decided in `forward`, where a recurrent layer has both. The activation
that torch's own recurrent layers compute is checked where the layer is made.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym, to_ast
from transpiler.ir.model import Args, Layer, Lowering, Step
from transpiler.ir.program import Apply, Static, Value
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.emit import types_of
from transpiler.read.keras.evaluate.stage_tables import equals
from transpiler.rules.recurrent import Recurrent

VALUES = {"padding": ("valid", "same"), "stateful": (False, True)}
"""What such an argument may be; anything else raises in the result."""
RESULT = re.compile(r"(\{0\}(?:\[\d\])+)(.*)")
"""What is taken from the return value of a module: the tensor, and what is done to it."""


class StagedArguments:
    """The part of the stager that makes layers whose arguments would fix a parameter of the builder else."""

    variants: dict[tuple[Layer, str, Any], Layer]

    def apply_layer(self, layer: Layer, xs: list[Value], *masks: Any) -> Any:
        whole = super().apply_layer  # type: ignore[misc]
        name, value = self.open_argument(layer)
        if value is None:
            return whole(layer, xs, *masks)
        if layer.span not in self.memory.by_value:  # type: ignore[attr-defined]
            try:
                return whole(layer, xs, *masks)
            except NeedsConstant as error:
                if error.sym is value:
                    error.place = layer.span
                raise
        self.check_own(layer)  # type: ignore[attr-defined]
        if name == "return_sequences":
            return self.sequences_or_last(layer, value, xs, *masks)
        if name not in VALUES:
            self.only_seen(name, value, layer)
            return self.apply_layer(self.variant(layer, name, value.witness), xs, *masks)
        first, second = VALUES[name]
        if second is not True:
            self.only_known(name, value)
        self.to_layouts(xs, layer.rule.wants(layer.args, types_of(xs)))  # type: ignore[attr-defined] # for both sides
        return self.split_on(  # type: ignore[attr-defined]
            value if second is True else equals(value, second),
            lambda: self.apply_layer(self.variant(layer, name, second), xs, *masks),
            lambda: self.apply_layer(self.variant(layer, name, first), xs, *masks),
        )

    def open_argument(self, layer: Layer) -> tuple[str, Any]:
        """The next argument of a layer, or of the one in it, that can be kept open: its name and its value, or None."""
        for name, values in VALUES.items():
            value = layer.args.get(name)
            if isinstance(value, Sym) and value.witness in values:
                return name, value
        inner = recurrent_in(layer)
        if inner is not None:
            for name, exact in inner.rule.exact.items():  # type: ignore[attr-defined]
                value = inner.args.get(name)
                if isinstance(value, Sym) and value.witness == exact and self.surely_seen(value):
                    return name, value
            value = inner.args.get("return_sequences")
            if isinstance(value, Sym):
                return "return_sequences", value
        return "", None

    def surely_seen(self, value: Sym) -> bool:
        """Whether an expression was seen to have the value it has in all that is evaluated here."""
        if self.frame.kind != "factory":  # type: ignore[attr-defined]
            return False
        fixed = value.names() <= self.reserved | self.names_around()  # type: ignore[attr-defined]
        return fixed or not self.in_kept_loop or value.among == {value.witness}  # type: ignore[attr-defined]

    def only_known(self, name: str, value: Sym) -> None:
        test = Sym(ast.Compare(value.expr, [ast.In()], [to_ast(VALUES[name])]), True)
        text = ast.JoinedStr(
            [ast.Constant(f"the {name} "), ast.FormattedValue(value.expr, ord("r")), ast.Constant(" is not known here")]
        )
        if self.truth(test) is not True:  # type: ignore[attr-defined]
            error = ast.Call(ast.Name("ValueError", ast.Load()), [text], [])
            self.raise_unless(test, Static(ast.Raise(error)))  # type: ignore[attr-defined]

    def only_seen(self, name: str, value: Sym, layer: Layer) -> None:
        test = equals(value, value.witness)
        if self.truth(test) is not True:  # type: ignore[attr-defined]
            only = Declined("K2T302", f"only {name}={value.witness!r} is translated", "", layer.span)
            self.raise_unless(test, Static(self.decline_side(only)))  # type: ignore[attr-defined]

    def sequences_or_last(self, layer: Layer, value: Sym, xs: list[Value], *masks: Any) -> Any:
        """The outputs of all steps or of the last one, from one call of the module."""
        test = self.truth(value)  # type: ignore[attr-defined]
        if not isinstance(test, Sym):
            return self.apply_layer(self.variant(layer, "return_sequences", test), xs, *masks)
        if any(how.given for how in masks) or any(x in self.masks for x in xs):  # type: ignore[attr-defined]
            raise NeedsConstant(value, "`return_sequences` of a masked layer decides how this is translated")
        made, given = self.variant(layer, "return_sequences", True), list(xs)
        xs = self.to_layouts(xs, layer.rule.wants(made.args, types_of(xs)))  # type: ignore[attr-defined]
        types = types_of(xs)
        lowerings = [layer.rule.lower(with_argument(layer, "return_sequences", v), types) for v in (True, False)]
        taken = [RESULT.fullmatch(found.steps[-1].result or "") for found in lowerings]
        if not all(taken) or any(found.outputs for found in lowerings):
            raise NeedsConstant(value, "`return_sequences` decides how this is translated")
        places = list(dict.fromkeys(match[1] for match in taken if match))
        *before, last = lowerings[0].steps
        held = [TensorType((None,) * 3)] * len(places)
        lowering = Lowering([*before, replace(last, result=None)], held, tuple(places))
        tensors = self.emit_lowering(lowering, xs, made, span=layer.span)  # type: ignore[attr-defined]
        self.remember(given, tensors, lambda new: self.not_again(), made)  # type: ignore[attr-defined]

        def take(side: int) -> Value:
            place, rest = taken[side].groups()  # type: ignore[union-attr]
            whole, x = tensors[places.index(place)], Value(lowerings[side].types[0], "x")
            self.emit(Apply([x], [whole], Step(fn=f"{{0}}{rest}")))  # type: ignore[attr-defined]
            self.same_batch(given[:1], [x])  # type: ignore[attr-defined]
            self.remember([whole], [x], lambda new: self.not_again())  # type: ignore[attr-defined]
            return x

        return self.split_on(test, lambda: take(0), lambda: take(1))  # type: ignore[attr-defined]

    def variant(self, layer: Layer, name: str, value: Any) -> Layer:
        """The layer with the argument fixed, the same at each call of the layer."""
        if (layer, name, value) not in self.variants:
            made = replace(layer, args=with_argument(layer, name, value), attributes=dict(layer.attributes))
            self.variants[layer, name, value] = made
            self.layers.append(made)  # type: ignore[attr-defined]
        return self.variants[layer, name, value]


def recurrent_in(layer: Layer) -> Layer | None:
    """The recurrent layer that a layer is, or that runs in it in both directions."""
    inner = layer.args.get("layer")
    found = inner if isinstance(inner, Layer) else layer
    return found if isinstance(found.rule, Recurrent) else None


def with_argument(layer: Layer, name: str, value: Any) -> Args:
    """The arguments of a layer with another value of one of its own, or of one of the layer in it."""
    inner = layer.args.get("layer")
    if not isinstance(inner, Layer) or layer.args.get(name) is not None:
        return layer.args.replace(**{name: value})
    return layer.args.replace(layer=replace(inner, args=inner.args.replace(**{name: value})))

"""Arguments of layers that stay open although each of their values is translated in its own way: `padding`."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from transpiler.ir.expr import NeedsConstant, Sym, to_ast
from transpiler.ir.model import Layer
from transpiler.ir.program import Static, Value
from transpiler.read.keras.evaluate.emit import types_of

VALUES = {"padding": ("valid", "same")}
"""What such an argument may be; anything else raises in the result."""


class StagedArguments:
    """The part of the stager that makes a layer for each value, where a parameter of the builder would be fixed else."""

    variants: dict[tuple[Layer, str], Layer]

    def apply_layer(self, layer: Layer, xs: list[Value]) -> Any:
        whole = super().apply_layer  # type: ignore[misc]
        name = next((n for n in VALUES if isinstance(layer.args.get(n), Sym)), "")
        if not name or layer.args.get(name).witness not in VALUES[name]:
            return whole(layer, xs)
        value: Sym = layer.args.get(name)
        if layer.span in self.memory.by_value:  # type: ignore[attr-defined]
            self.check_own(layer)  # type: ignore[attr-defined]
            first, second = VALUES[name]
            self.only_known(name, value)
            test = Sym(ast.Compare(value.expr, [ast.Eq()], [to_ast(second)]), value.witness == second)
            self.to_layouts(xs, layer.rule.wants(layer.args, types_of(xs)))  # type: ignore[attr-defined] # for both
            return self.split_on(  # type: ignore[attr-defined]
                test,
                lambda: whole(self.variant(layer, name, second), xs),
                lambda: whole(self.variant(layer, name, first), xs),
            )
        try:
            return whole(layer, xs)
        except NeedsConstant as error:
            if error.sym is value:
                error.place = layer.span
            raise

    def only_known(self, name: str, value: Sym) -> None:
        test = Sym(ast.Compare(value.expr, [ast.In()], [to_ast(VALUES[name])]), True)
        text = ast.JoinedStr(
            [ast.Constant(f"the {name} "), ast.FormattedValue(value.expr, ord("r")), ast.Constant(" is not known here")]
        )
        if self.truth(test) is not True:  # type: ignore[attr-defined]
            error = ast.Call(ast.Name("ValueError", ast.Load()), [text], [])
            self.raise_unless(test, Static(ast.Raise(error)))  # type: ignore[attr-defined]

    def variant(self, layer: Layer, name: str, value: str) -> Layer:
        """The layer with the argument fixed, the same at each call of the layer."""
        if (layer, value) not in self.variants:
            made = replace(layer, args=layer.args.replace(**{name: value}), attributes=dict(layer.attributes))
            self.variants[layer, value] = made
            self.layers.append(made)  # type: ignore[attr-defined]
        return self.variants[layer, value]

"""Parameters that are called on a tensor: activations by name, and layers that the caller may give."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.diagnostics import Finding, Severity, excerpt
from transpiler.ir.expr import Sym
from transpiler.ir.model import Lowering, Step
from transpiler.ir.program import Apply, Member, Value
from transpiler.ir.shape import Layout
from transpiler.rules.activations import BY_NAME, activation_steps


class StagedGiven:
    """The part of the stager that calls them: the result is given a PyTorch module in the place of a layer."""

    given_modules: dict[tuple[Any, str], Member]
    """Class or factory under construction, and the expression for the layer → its submodule there."""

    def call_open(self, function: Sym, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A parameter called on one tensor: the name of an activation, or what is None unless the caller gives it."""
        if function.witness in (*BY_NAME, "linear") and len(args) == 1 and isinstance(args[0], Value) and not kwargs:
            lowering = Lowering(activation_steps(function, args[0].type, self.generation), [args[0].type])  # type: ignore[attr-defined]
            (y,) = self.emit_lowering(lowering, args, None, span=self.where())  # type: ignore[attr-defined]
            self.remember(args, [y], lambda new: self.call_open(function, new, {}))  # type: ignore[attr-defined]
            return y
        if function.witness is not None or len(args) != 1 or not isinstance(args[0], Value) or kwargs:
            return super().call_open(function, args, kwargs)  # type: ignore[misc]
        name = function.expr.attr if isinstance(function.expr, ast.Attribute) else function.code.split("__v")[0]
        if not name.isidentifier():
            return super().call_open(function, args, kwargs)  # type: ignore[misc]
        x = self.to_layout(args[0], Layout.KERAS)  # type: ignore[attr-defined]
        step = Step(module=f"KeepsShape({function.code})", hint=name, helpers=("KeepsShape",), stateful=True)
        key = self.frame, function.code  # type: ignore[attr-defined]
        member = self.given_modules.get(key)
        if member is None:
            member = self.given_modules[key] = Member(step.module or "", name, None, None, step, order=len(self.layers))  # type: ignore[attr-defined]
        else:
            member.shared = True
        y = Value(x.type, x.hint)
        if x in self.masks:  # type: ignore[attr-defined]
            self.masks[y] = self.lost("what a module of the caller's does with a mask is not known")  # type: ignore[attr-defined]
        span = self.where()  # type: ignore[attr-defined]
        self.emit(Apply([y], [x], step, member, (), span))  # type: ignore[attr-defined]
        self.same_batch([x], [y])  # type: ignore[attr-defined]
        self.remember([args[0]], [y], lambda new: self.call_open(function, new, {}))  # type: ignore[attr-defined]
        self.findings.add(  # type: ignore[attr-defined]
            Finding(
                "K2T305",
                Severity.NOTE,
                f"{name} is called as a PyTorch module, on a tensor whose axes are in Keras's order and whose shape it keeps",
                "Give the module that does what your Keras layer does; its weights are left as they are.",
                span,
                excerpt(span),
            )
        )
        return y

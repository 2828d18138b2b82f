"""`TimeDistributed` of models, functions and layers of the program: called with steps and batch as one axis."""

from __future__ import annotations

from typing import Any

from transpiler.ir.expr import code_of
from transpiler.ir.model import Layer, Lowering, Step
from transpiler.ir.program import Value
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.values import Instance, LambdaLayer, Model
from transpiler.rules.wrappers import TimeDistributed

STATISTICS = ("BatchNormalization", "RandomCrop", "Equalization")
"""Layers that do in training what depends on the whole batch."""


class Distributed:
    """The part of the interpreter that knows what runs on every step without being one of Keras's layers."""

    def call_layer(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> Any:
        inner = layer
        while isinstance(inner, Layer) and isinstance(inner.rule, TimeDistributed):
            inner = inner.args.layer
        if not isinstance(inner, (Model, LambdaLayer, Instance)):
            return super().call_layer(layer, args, kwargs)  # type: ignore[misc]
        given = {k: v for k, v in kwargs.items() if k not in ("inputs", "training")}
        x = args[0] if args else kwargs.get("inputs")
        if len(args) > 1 or given or not isinstance(x, Value) or x.type.rank < 3:
            raise self.declined("K2T103", "this call of TimeDistributed is not understood")  # type: ignore[attr-defined]
        if self.mask_of(x) is not None:  # type: ignore[attr-defined]
            raise self.declined("K2T105", "TimeDistributed(…) of a masked input is not translated")  # type: ignore[attr-defined]
        return self.on_every_step(layer, x)

    def on_every_step(self, layer: Layer, x: Value) -> Value:
        """What `layer` makes of a batch of steps."""
        y = self.call(layer.args.layer, [self.folded(x)], {})  # type: ignore[attr-defined]
        if not isinstance(y, Value) or not y.type.rank:
            raise self.declined("K2T102", "TimeDistributed of what gives several outputs is not translated")  # type: ignore[attr-defined]
        if self.has_statistics(layer.args.layer, set()):
            raise self.declined(  # type: ignore[attr-defined]
                "K2T102",
                "TimeDistributed of what holds a BatchNormalization: the statistics of training differ by step",
            )
        result = self.unfolded(y, x)
        self.nested[result] = (layer, [x], [result])  # type: ignore[attr-defined]
        layer.attributes.setdefault("calls", []).append(([x], [result]))
        return result

    def folded(self, given: Value) -> Value:
        """Batch and steps as one axis."""
        (x,) = self.to_layouts([given], Layout.KERAS)  # type: ignore[attr-defined]
        kind = TensorType((None, *x.type.shape[2:]), x.type.dtype)
        one = self.emit_lowering(Lowering([Step(fn="{0}.flatten(0, 1)", hint="x")], [kind]), [x], None)  # type: ignore[attr-defined]
        self.remember([given], one, lambda new: self.folded(new[0]))  # type: ignore[attr-defined]
        return one[0]

    def unfolded(self, given: Value, like: Value) -> Value:
        """Batch and steps as the two axes they are in `like`."""
        y, x = self.to_layouts([given, like], Layout.KERAS)  # type: ignore[attr-defined]
        batch, steps = x.type.shape[:2]
        sizes = "{1}.shape[:2]" if steps is None else f"(-1, {code_of(steps)})"
        kind = TensorType((batch, steps, *y.type.shape[1:]), y.type.dtype)
        operands = [y, x] if steps is None else [y]
        step = Step(fn=f"{{0}}.unflatten(0, {sizes})", hint="x")
        result = self.emit_lowering(Lowering([step], [kind]), operands, None)  # type: ignore[attr-defined]
        self.same_batch([x], result)  # type: ignore[attr-defined]
        self.remember([given, like], result, lambda new: self.unfolded(*new))  # type: ignore[attr-defined]
        return result[0]

    def has_statistics(self, value: Any, seen: set[int]) -> bool:
        """Whether a layer that normalizes by its batch is part of `value`, as far as that was built."""
        if id(value) in seen:
            return False
        seen.add(id(value))
        if isinstance(value, Layer):
            trained = value.args.get("trainable") is not False and value.attributes.get("trainable") is not False
            if value.rule.keras[0] in STATISTICS and trained:
                return True
            return any(self.has_statistics(value.args.get(name), seen) for name in value.args)
        if isinstance(value, Model):
            own = (value.layers or []) if value.sequential else self.graph(value).layers()  # type: ignore[attr-defined]
            return any(self.has_statistics(part, seen) for part in [*own, *value.attributes.values()])
        if isinstance(value, Instance):
            return any(self.has_statistics(v, seen) for v in value.attributes.values())
        if isinstance(value, dict):
            return any(self.has_statistics(v, seen) for v in value.values())
        return isinstance(value, (list, tuple)) and any(self.has_statistics(v, seen) for v in value)

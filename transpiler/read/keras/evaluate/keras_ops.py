"""Functions on tensors, by their rules; constants; sizes that are read at run time."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable
from typing import Any

from transpiler.ir.expr import Sym, is_open
from transpiler.ir.model import KERAS3, ApiValue, Args, Lowering, Step
from transpiler.ir.program import Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.constants import Constant, folded
from transpiler.read.keras.evaluate.values import Origin, SizeTensor, Unknown, has_tensors
from transpiler.rules.activations import BY_NAME
from transpiler.rules.ops.base import SIZE, Operand, OpRule, as_is
from transpiler.rules.ops.constants import holds_list, shape_of
from transpiler.rules.ops.operators import OPERATOR, check_bias, check_kinds, operator_lowering


def is_size(value: Any) -> bool:
    return isinstance(value, Value) and value.type.dtype == SIZE


def first_unknown(value: Any) -> Unknown | None:
    if isinstance(value, Unknown):
        return value
    if isinstance(value, (list, tuple)):
        return next((u for u in map(first_unknown, value) if u is not None), None)
    return None


class Results(list[Value]):
    """Several results, which may have names besides."""

    def __init__(self, items: Iterable[Value], names: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.__dict__.update(zip(names, self))


class KerasOps:
    """The part of the interpreter that calls functions on tensors."""

    ops: dict[str, OpRule]
    sizes: dict[Value, tuple[Value, int]]
    """A size that is read at run time → the tensor and its axis."""

    def op_rule(self, path: str) -> OpRule | None:
        return self.ops.get(path.removeprefix("keras."))

    def takes_op(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
        """Whether `path` is a function with a rule that has something to do with these arguments."""
        rule = self.op_rule(path)
        return rule is not None and (rule.creates or bool(args) or bool(kwargs))

    def call_op(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        path = path.removeprefix("keras.")
        rule = self.ops[path]
        if has_tensors(args) or has_tensors(kwargs):
            args, kwargs = [self.operand(a) for a in args], {k: self.operand(v) for k, v in kwargs.items()}
        unknown = first_unknown([*args, *kwargs.values()])
        if unknown is not None:
            if all(isinstance(x, Constant) for x in tensors([*args, *kwargs.values()])):  # no part of a model
                return unknown
            raise self.declined("K2T201", f"an argument of {path} cannot be evaluated: {unknown.reason}")
        bound = rule.bind(path, args, kwargs, self.generation)
        if not any(not is_size(x) for x in tensors([bound.get(n) for n in rule.inputs])):
            found = self.without_tensors(rule, path, bound)
            if found is not NotImplemented:
                return found
        bound = self.prepared(rule, path, bound)
        inputs = list(dict.fromkeys(tensors([bound.get(n) for n in bound])))
        result, several = self.apply_op(rule, path, bound, inputs)

        def replay(new: list[Value]) -> Any:
            mapping = dict(zip(inputs, new))
            return self.call_op(path, replace_tensors(args, mapping), replace_tensors(kwargs, mapping))

        self.remember(inputs, result, replay)
        given = tensors([*args, *(kwargs[n] for n in sorted(kwargs))])
        if path.startswith("tensorflow.") and list(dict.fromkeys(given)) == inputs:
            self.single.update(result)
        return Results(result, rule.results) if several else result[0]

    def without_tensors(self, rule: OpRule, path: str, bound: Args) -> Any:
        """The outcome of a function on numbers and sizes alone; NotImplemented if it makes or takes a tensor."""
        given = [bound.get(n) for n in rule.inputs]
        leaf = path.rpartition(".")[2]
        if rule.inputs == ("xs",) and leaf in ("stack", "concat", "concatenate"):
            parts = bound.xs
            if isinstance(parts, (list, tuple)) and any(isinstance(p, SizeTensor) or is_size(p) for p in parts):
                return SizeTensor(parts) if leaf == "stack" else SizeTensor(d for p in parts for d in p)
        if leaf in ("cast", "convert_to_tensor") and (isinstance(given[0], SizeTensor) or is_size(given[0])):
            return given[0]
        if any(not isinstance(v, (int, float, Sym)) and not is_size(v) for v in given) or not given:
            return NotImplemented
        found = rule.number(path, bound)
        if found is None:
            return Unknown(f"{path}() of numbers is not evaluated") if not rule.creates else NotImplemented
        function, values = found
        if isinstance(function, str):
            operator = getattr(ast, function)()
            return self.compare(operator, *values) if isinstance(operator, ast.cmpop) else self.binop(operator, *values)
        if any(map(is_size, values)):
            raise self.declined("K2T103", f"{path} of a size that is read at run time is not translated")
        if function in (float, as_is) and is_open(values):
            return values[0]
        return self.call(function, values, {})

    def prepared(self, rule: OpRule, path: str, bound: Args) -> Args:
        """The arguments as rules take them: lists of numbers among the tensors are constants, all else is static."""
        values: dict[str, Any] = {}
        for name in bound:
            value = bound.get(name)
            if name in rule.inputs:
                keep = rule.creates or name in rule.literal
                values[name] = value if keep else self.as_tensors(value, name == "xs")
                if name != "xs" and path.startswith("tensorflow."):
                    values[name] = self.packed(values[name])
                continue
            if isinstance(value, Constant) and value.data is not None:
                value = value.data
            if any(not is_size(x) for x in tensors(value)):
                raise self.declined("K2T103", f"{name}= of {path}, computed by tensor operations, is not translated")
            values[name] = value
        return bound.replace(**values)

    def packed(self, value: Any) -> Any:
        """A list of tensors where TensorFlow takes one tensor: it stacks them."""
        if not isinstance(value, (list, tuple)) or not len(value) or isinstance(value, SizeTensor):
            return value
        items = [self.packed(v) for v in value]
        whole = all(isinstance(v, Value) and not is_size(v) for v in items)
        return self.call_op("tensorflow.stack", [items], {}) if whole else value

    def as_tensors(self, value: Any, several: bool) -> Any:
        if several and isinstance(value, (list, tuple)):
            return [self.as_tensors(v, False) for v in value]
        listed = isinstance(value, (list, tuple)) and len(value) and not has_tensors(value)
        if (listed or holds_list(value)) and shape_of(value):
            return self.call_op("tensorflow.constant", [value], {})
        return value

    def apply_op(self, rule: OpRule, path: str, bound: Args, inputs: list[Value]) -> tuple[list[Value], bool]:
        """The results of a function, and whether they are a list."""

        def with_operands(xs: list[Value]) -> Args:
            places = {x: Operand(i, y.type) for i, (x, y) in enumerate(zip(inputs, xs))}
            values = {n: replace_tensors(bound.get(n), places) for n in bound}
            sizes = [x for x in inputs if x in self.sizes]
            if sizes:
                source = next((self.sizes[s][0] for s in sizes if self.sizes[s][0] not in inputs), None)
                near = places.get(self.sizes[sizes[0]][0])
                values["__near__"] = near or Operand(len(inputs), source.type)  # type: ignore[union-attr]
                values["__batch__"] = self.batch_operand(inputs, places)
            return bound.replace(**values)

        wanted = rule.wants(path, with_operands(inputs))
        if isinstance(wanted, tuple):
            xs = [self.to_layout(x, layout) for x, layout in zip(inputs, wanted, strict=True)]
        else:
            xs = self.to_layouts(inputs, wanted)
        arguments = with_operands(xs)
        lowering = rule.lower(path, arguments)
        near = arguments.get("__near__")
        if isinstance(near, Operand) and near.index == len(inputs) and _reads(lowering, near.index):
            xs = [*xs, next(self.sizes[s][0] for s in inputs if s in self.sizes and self.sizes[s][0] not in inputs)]
        if rule.creates and not inputs:
            return [self.make_constant(lowering, bound.get("value") if path.endswith("constant") else None)], False
        result = self.apply_lowering(lowering, xs)
        if rule.keeps_batch(path, arguments):
            self.same_batch(xs, result)
        return result, bool(lowering.outputs)

    def batch_operand(self, inputs: list[Value], places: dict[Value, Any]) -> Any:
        """The size among the arguments that is surely the batch of the first tensor."""
        x = next((x for x in inputs if not is_size(x)), None)
        for s in inputs:
            source, axis = self.sizes.get(s, (None, -1))
            if axis == 0 and x is not None and self.batches.get(source, source) is self.batches.get(x, x):
                return places[s]
        return None

    def apply_lowering(self, lowering: Lowering, xs: list[Value]) -> list[Value]:
        """Writes a lowering into the block; of constants alone, the result is a constant too."""
        if xs and all(isinstance(x, Constant) for x in xs):
            own = [self.brought_here(x) for x in xs if isinstance(x, Constant)]
            texts = folded(lowering, [x.variable or x.text for x in own])
            if texts is not None:
                return [self.emit_constant(t, kind) for t, kind in zip(texts, lowering.types)]
        return self.emit_lowering(lowering, xs, None, span=self.where())

    def make_constant(self, lowering: Lowering, data: Any) -> Constant:
        return self.emit_constant(lowering.steps[-1].fn or "", lowering.types[0], data)

    # --- sizes -------------------------------------------------------------------------------------------------------

    def dynamic_shape(self, x: Value) -> SizeTensor:
        """`tf.shape(x)`: sizes that are open are read at run time."""
        return SizeTensor(self.size(x, i) if d is None else d for i, d in enumerate(x.type.shape))

    def size(self, x: Value, axis: int) -> Value:
        step = Step(fn=f"{{0}}.shape[{x.type.axis(axis)}]")
        (n,) = self.emit_lowering(Lowering([step], [TensorType((), SIZE)]), [x], None, hint="n")
        n.hint = "batch" if axis == 0 else "size"
        self.sizes[n] = (x, axis)
        self.origins[n] = Origin([x], [n], lambda new: [self.size(new[0], axis)])
        return n

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What `activations.get()` gives is kept by its name, and is a function all the same."""
        if isinstance(function, str) and (function in BY_NAME or function == "linear"):
            return self.call(ApiValue(f"keras.activations.{function}"), args, kwargs)
        return super().call(function, args, kwargs)  # type: ignore[misc]

    def call_real(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Python's own functions, which are operators where they are called on tensors."""
        if function is abs and isinstance(args[0], Value):
            return self.call_op("ops.abs", args, {})
        if function is pow and len(args) == 2 and any(isinstance(a, Value) for a in args):
            return self.binop(ast.Pow(), *args)
        if function is sum and isinstance(args[0], (list, tuple)) and any(isinstance(v, Value) for v in args[0]):
            first, *rest = [*args[1:], *kwargs.values(), *args[0]]
            if isinstance(first, Value):
                self.unchanged.setdefault(first, [])  # Python adds it to 0 if nothing else is given
            return functools.reduce(lambda total, v: self.binop(ast.Add(), total, v), rest, first)
        return super().call_real(function, args, kwargs)  # type: ignore[misc]

    # --- operators ----------------------------------------------------------------------------------------------------

    def apply_operator(self, template: str, operands: list[Any], dtype: str | None = None) -> Value:
        operands = [self.as_tensors(o, False) for o in operands]
        for operand in operands:
            if isinstance(operand, Unknown):
                raise self.declined("K2T201", f"an operand cannot be evaluated: {operand.reason}")
            if not isinstance(operand, (Value, int, float, Sym)):
                raise self.declined("K2T103", f"{operand!r} as an operand of a tensor is not translated")
        inputs = list(dict.fromkeys(tensors(operands)))
        xs = self.to_layouts(inputs, None if len({x.type.rank for x in inputs}) == 1 else Layout.KERAS)
        places = {x: Operand(i, y.type) for i, (x, y) in enumerate(zip(inputs, xs))}
        values = replace_tensors(operands, places)
        check_kinds(values, template)
        if template == OPERATOR["Add"] and self.generation == KERAS3:
            check_bias(values)
        result = self.apply_lowering(operator_lowering(template, values, dtype), xs)
        self.same_batch(xs, result)
        again: Callable[[list[Value]], Any] = lambda new: self.apply_operator(  # noqa: E731
            template, replace_tensors(operands, dict(zip(inputs, new))), dtype
        )
        self.remember(inputs, result, again)
        self.single.add(result[0])
        return result[0]


def _reads(lowering: Lowering, index: int) -> bool:
    return any(f"{{{index}}}" in (step.fn or "") for step in lowering.steps)

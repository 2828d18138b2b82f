"""Runs one Keras layer and its translation on the same weights and inputs, in float64."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transpiler.ir.expr import Sym
from transpiler.ir.model import KERAS2, KERAS3, ApiObject, ApiValue, Layer, Lowering
from transpiler.ir.shape import Layout, TensorType, to_first, to_keras
from transpiler.ir.weights import apply_transform, find
from transpiler.rules.registry import layer_rules
from transpiler.write.torch.helpers import helper_imports, helper_texts
from transpiler.write.torch.module import STANDARD, torch_imports

tf.compat.v2.keras = tf_keras  # as legacy Keras calls itself in some layers
GENERATIONS = (KERAS3, KERAS2)
LIBRARY = {KERAS3: keras, KERAS2: tf_keras}
HELPERS = Path(__file__).parents[2] / "templates" / "torch" / "helpers"
FLOAT32_CONSTANTS = r"MultiHeadAttention|GroupQueryAttention|[Ll]eaky|negative_slope|gelu|bilinear|Rescaling\(1"
"""TensorFlow computes these with constants (or wholly) in float32 even where the tensors are float64."""
ROUNDED = 5e-7
TOLERANCE = {"float64": 1e-9, "float32": 1e-5}


def helper_namespace() -> dict[str, Any]:
    return {"torch": torch, "nn": nn, "F": F, "Tensor": Tensor, "math": math}


def load_helper(name: str, namespace: dict[str, Any]) -> None:
    """Executes the helper `name` and those it needs, once."""
    if name in namespace:
        return
    used = {*STANDARD, *helper_imports([name]), "np"}
    for text in (*torch_imports(used, helper_imports([name])), *helper_texts([name])):
        exec(compile(text, f"<helper {name}>", "exec"), namespace)


class Spelling(dict):
    """The names of a constructor call, as the reader of the source will understand them."""

    def __init__(self, generation: str, **names: Any) -> None:
        super().__init__(__builtins__={}, **names)
        self.generation = generation

    def __missing__(self, name: str) -> Any:
        rules = layer_rules()
        if name in rules:
            return lambda *args, **kwargs: Layer(rules[name], rules[name].bind(args, kwargs, self.generation))
        return Namespace(name)


class Namespace:
    """`initializers.RandomNormal(stddev=0.02)` as an ApiObject, `tf.nn.relu` as an ApiValue."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __getattr__(self, name: str) -> Any:
        if self.path in ("tf.nn", "activations"):
            return ApiValue(f"{self.path}.{name}")
        return Namespace(f"{self.path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> ApiObject:
        return ApiObject(ApiValue(self.path), args, kwargs)


def read(code: str, generation: str, **names: Any) -> Layer:
    """The layer that `code` constructs, as the reader would deliver it."""
    return eval(code, Spelling(generation, **names))


def real(code: str, generation: str, **names: Any) -> Any:
    """The live Keras layer of `code`."""
    library = LIBRARY[generation]
    scope = {n: getattr(library.layers, n) for n in dir(library.layers)}
    scope |= {"tf": tf, "initializers": library.initializers, "activations": library.activations, **names}
    return eval(code, scope)


@dataclass
class Translation:
    """A lowering, as live torch modules."""

    lowering: Lowering
    layout: Layout | None
    modules: list[nn.Module | None] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=helper_namespace)

    def __post_init__(self) -> None:
        for step in self.lowering.steps:
            for name in step.helpers:
                load_helper(name, self.namespace)
            use_module = step.module and (step.fn is None or step.weights or "{self}" in step.fn)
            self.modules.append(eval(step.module, self.namespace) if use_module else None)

    def __call__(self, *xs: Tensor, masks: Sequence[Tensor] = ()) -> list[Tensor]:
        """The outputs in Keras order, for inputs in Keras order and the masks that the rule reads."""
        values: Any = [x.permute(to_first(x.dim())) if self.layout is Layout.FIRST and x.dim() > 2 else x for x in xs]
        result, given = values[0], [*values, *masks]
        for step, module in zip(self.lowering.steps, self.modules):
            first = step is self.lowering.steps[0]
            values = [*values, *(given[k] for k in step.takes if not first or k >= len(xs))]
            scope = {**self.namespace, "module": module, **{f"x{i}": v for i, v in enumerate(values)}}
            names = {str(i): f"x{i}" for i in range(len(values))}
            if module is None:
                result = eval(fill(step.fn, **names), scope)
            elif step.fn and "{self}" in step.fn:
                result = eval(fill(step.fn, self="module", **names), scope)
            else:
                result = module(*values)
            if step.result:
                result = eval(fill(step.result, **{"0": "r"}), {**self.namespace, "r": result})
            values = [result]
        takes = self.lowering.outputs
        outputs = [eval(fill(t, **{"0": "r"}), {**self.namespace, "r": result}) for t in takes] or [result]
        return [
            y.permute(to_keras(y.dim())) if t.layout is Layout.FIRST and y.dim() > 2 else y
            for y, t in zip(outputs, self.lowering.types, strict=True)
        ]

    def load(self, layer: Any) -> None:
        """Copies the weights of a live Keras layer, and checks that every parameter has its source."""
        for key, parameter, weight in self.parameters():
            variable = find(layer, weight.source) if weight.source else None
            assert variable is not None or not weight.source, f"no {weight.source} on {layer} for {key}"
            array = None if variable is None else np.asarray(variable.numpy())
            moved = apply_transform(array, weight.transform, tuple(parameter.shape))
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(moved)))
            if not weight.source and isinstance(parameter, nn.Parameter):
                parameter.requires_grad_(False)

    def parameters(self) -> list[tuple[str, Tensor, Any]]:
        """(name, live parameter or buffer, Weight); fails where one of the two sides lacks it."""
        found = []
        for step, module in zip(self.lowering.steps, self.modules):
            if module is None:
                continue
            state = dict(module.named_parameters()) | dict(module.named_buffers())
            saved = module.state_dict()
            state = {k: v for k, v in state.items() if k in saved and not k.endswith("num_batches_tracked")}
            assert state.keys() <= step.weights.keys(), f"{step.module} has {state.keys() - step.weights.keys()}"
            missing = {k for k in step.weights.keys() - state.keys() if not step.weights[k].optional}
            assert not missing, f"{step.module} lacks {missing}"
            found += [(k, v, step.weights[k]) for k, v in state.items()]
        return found

    def train(self, mode: bool) -> None:
        for module in self.modules:
            if module is not None:
                module.train(mode)


def fill(template: str, **names: str) -> str:
    for name, value in names.items():
        template = template.replace("{" + name + "}", value)
    return template


def input_types(shapes: list[tuple[int, ...]], dtype: str, open_batch: bool = True) -> list[TensorType]:
    return [TensorType((None, *s[1:]) if open_batch else s, dtype) for s in shapes]


def translate(layer: Layer, xs: list[TensorType]) -> Translation:
    layout = layer.rule.wants(layer.args, xs)
    typed = [x.in_layout(layout) if layout else x for x in xs]
    return Translation(layer.rule.lower(layer.args, typed), layout)


def randomise(layer: Any, rng: np.random.Generator) -> None:
    for variable in layer.weights:
        if not str(np.dtype(getattr(variable.dtype, "name", variable.dtype))).startswith("float"):
            continue
        name = getattr(variable, "path", variable.name)
        draw = rng.uniform(0.5, 1.5, variable.shape) if "variance" in name else rng.normal(0, 0.5, variable.shape)
        variable.assign(draw)
    if hasattr(layer, "finalize_state"):  # Normalization reads its weights then
        layer.finalize_state()


def draw_inputs(shapes: list[tuple[int, ...]], ids: int | None, rng: np.random.Generator) -> list[np.ndarray]:
    if ids is not None:
        return [rng.integers(0, ids, s) for s in shapes]
    return [rng.normal(0, 1, s) for s in shapes]


def relative(a: np.ndarray, b: np.ndarray, scale: float | None = None) -> float:
    scale = scale or max(1e-3, float(np.abs(a).max(initial=0)))
    return float(np.abs(a - b).max(initial=0)) / scale


def trainable(layer: Any, weight: Any) -> Any:
    return find(layer, weight.source) if weight.source else None


def carrying(x: Any, mask: Any) -> Any:
    """A tensor with the mask that Keras carries along with it."""
    y = tf.identity(x)
    if mask is not None:
        y._keras_mask = mask
    return y


def caller(
    live: Any, xs: list[Any], named: tuple[str, ...], flags: dict[str, bool], masks: dict[int, np.ndarray] | None = None
) -> Callable[..., Any]:
    """How a layer of Keras is called on tensors that carry masks."""
    given = [None if i not in (masks or {}) else tf.constant(masks[i]) for i in range(len(xs))]  # type: ignore[index]
    if named:
        return lambda **mode: live(**dict(zip(named, map(carrying, xs, given))), **flags, **mode)
    mask = {"mask": given[0] if len(xs) == 1 else given} if masks else {}
    return functools.partial(live, xs[0] if len(xs) == 1 else xs, **mask)


def compare(
    code: str,
    *shapes: tuple[int, ...],
    generation: str = KERAS3,
    ids: int | None = None,
    training: bool | None = None,
    layout: Layout | None = None,
    types: list[TensorType] | None = None,
    dtype: str = "float64",
    names: dict[str, Any] | None = None,
    live: Any = None,
    masks: Sequence[int] = (),
    named: tuple[str, ...] = (),
    flags: dict[str, bool] | None = None,
) -> Translation:
    """Asserts that outputs and all gradients of `code`'s layer agree with its translation's; returns that.

    `live` is that layer, if it is not to be made as `code` says. The inputs numbered in `masks` are masked. A layer whose
    call takes its inputs one by one has their names in `named`; `flags` are further arguments of that call.
    """
    flags = flags or {}
    rng, names = np.random.default_rng(7), names or {}
    tolerance = ROUNDED if re.search(FLOAT32_CONSTANTS, code) and dtype == "float64" else TOLERANCE[dtype]
    live = live or real(code, generation, **names)
    xs = [x if ids else x.astype(dtype) for x in draw_inputs(list(shapes), ids, rng)]
    tensors = [tf.constant(x) if ids is None else tf.constant(x, "int64") for x in xs]
    call = caller(live, tensors, named, flags)
    call()
    randomise(live, rng)
    drawn = {i: rng.random(shapes[i][:2]) < 0.6 for i in masks}
    call = caller(live, tensors, named, flags, drawn)
    layer = read(code, generation, **names)
    layer.args = layer.args.replace(**flags)
    xt = types or input_types(list(shapes), "float32" if ids is None else "int64")
    masked = layer.rule.reads_masks(layer.args, [replace(x, masked=i in drawn) for i, x in enumerate(xt)])
    xt = [replace(x, masked=i in masked) for i, x in enumerate(xt)]
    if layout:
        xt = [x.in_layout(layout) for x in xt]
    translation = translate(layer, xt)
    if layout and translation.layout is None:
        translation.layout = layout
    for module in translation.modules:
        if module is not None:
            module.to(torch.from_numpy(np.zeros(0, dtype)).dtype)
    translation.load(live)
    translation.train(bool(training))
    mode = {} if training is None else {"training": training}
    with tf.GradientTape() as tape:
        for t in tensors if ids is None else ():
            tape.watch(t)
        expected = call(**mode)
        expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
        weights = [rng.normal(0, 1, y.shape).astype(dtype) for y in expected]
        total = tf.add_n([tf.reduce_sum(y * r) for y, r in zip(expected, weights)])
    inputs = [torch.from_numpy(x).requires_grad_(ids is None) for x in xs]
    got = translation(*inputs, masks=[torch.from_numpy(drawn[i]) for i in masked])
    assert len(got) == len(expected), f"{len(got)} outputs, Keras has {len(expected)}"
    for i, (want, have) in enumerate(zip(expected, got)):
        assert tuple(have.shape) == tuple(want.shape), f"shape {tuple(have.shape)}, Keras has {tuple(want.shape)}"
        error = relative(want.numpy(), have.detach().numpy())
        assert error <= tolerance, f"output {i} differs by {error:.1e}"
        check_type(translation.lowering.types[i], tuple(want.shape))
    pairs = [(n, p, w) for n, p, w in translation.parameters() if p.requires_grad]
    sources = [trainable(live, w) for _, _, w in pairs]
    variables = [getattr(v, "value", v) if generation == KERAS3 else v for v in sources]
    wanted = tape.gradient(total, [*(tensors if ids is None else []), *variables], unconnected_gradients="zero")
    loss = sum((y * torch.from_numpy(r)).sum() for y, r in zip(got, weights))
    if loss.requires_grad:
        loss.backward()
    wanted = [tf.convert_to_tensor(g).numpy() for g in wanted]
    scale = max([1e-3, *(float(np.abs(g).max(initial=0)) for g in wanted)])
    have = [x.grad for x in inputs] if ids is None else []
    for x, w, g in zip(inputs, wanted, have):
        g = torch.zeros_like(x) if g is None else g
        assert relative(w, g.numpy(), scale) <= tolerance, f"input gradient differs by {relative(w, g.numpy(), scale)}"
    for (name, parameter, weight), w in zip(pairs, wanted[len(have) :]):
        moved = apply_transform(w, weight.transform)
        error = relative(moved, parameter.grad.numpy(), scale)
        assert error <= tolerance, f"gradient of {name} differs by {error:.1e}"
    assert {id(v) for v in sources} >= {id(v) for v in live.trainable_weights}, "a Keras weight has no torch parameter"
    return translation


def check_type(kind: TensorType, shape: tuple[int, ...]) -> None:
    """The inferred shape agrees with the real one wherever it is known."""
    assert kind.rank == len(shape), f"inferred rank {kind.rank}, real {len(shape)}"
    for inferred, seen in zip(kind.shape[1:], shape[1:]):
        assert inferred is None or inferred == seen, f"inferred {kind.shape}, real {shape}"


def symbolic(
    code: str,
    shape: tuple[int, ...],
    generation: str,
    names: dict[str, Any],
    at: dict[str, Any] | None = None,
    at_shape: tuple[int, ...] | None = None,
) -> Translation:
    """The translation of `code` for sizes that are names, seen to be `shape`, evaluated there or at other values."""
    syms = {n: Sym.name(n, v) for n, v in names.items()}
    dims = tuple(Sym.name(f"size{i}", d) for i, d in enumerate(shape[1:]))
    layer = read(code, generation, **syms)
    x = TensorType((None, *dims), "float32")
    layout = layer.rule.wants(layer.args, [x])
    lowering = layer.rule.lower(layer.args, [x.in_layout(layout) if layout else x])
    namespace = helper_namespace() | (at or names) | {f"size{i}": d for i, d in enumerate((at_shape or shape)[1:])}
    return Translation(lowering, layout, namespace=namespace)


def evaluate_shape(kind: TensorType, namespace: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(eval(d.code, dict(namespace)) if isinstance(d, Sym) else d for d in kind.shape)


def compare_batchnorm(code: str, shape: tuple[int, ...], generation: str) -> None:
    """Outputs, gradients and moving statistics of a training step; torch's moving variance is the unbiased one."""
    translation = compare(code, shape, generation=generation, training=True)
    rng = np.random.default_rng(7)
    live = real(code, generation)
    x = rng.normal(0, 1, shape)
    live(tf.constant(x))
    randomise(live, rng)
    translation.load(live)
    translation.train(True)
    before = find(live, "moving_variance").numpy()
    live(tf.constant(x), training=True)
    translation(torch.from_numpy(x))
    norm = next(m for m in translation.modules if m is not None)
    mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
    bound = ROUNDED if generation == KERAS2 else TOLERANCE["float64"]  # legacy Keras has 1 - momentum as a float32
    assert relative(find(live, "moving_mean").numpy(), mean) <= bound
    count = x.size // variance.size
    biased = before * (1 - norm.momentum) + (variance - before * (1 - norm.momentum)) * (count - 1) / count
    assert relative(find(live, "moving_variance").numpy(), biased) <= bound

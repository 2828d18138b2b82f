"""Layers around layers: on every step, with a normalized weight, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS2, Args, Layer, Lowering, MaskOf, Step, Weight, held_at
from transpiler.ir.shape import Layout, TensorType, to_first, to_keras
from transpiler.rules.base import LayerRule, Raw, call, keywords, permute_step

ELEMENTWISE = ("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "Identity", "Rescaling")
"""Layers that act on every value alike: steps make no difference to them."""


class TimeDistributed(LayerRule):
    """The layer itself where it acts on the last axis alone; else steps and batch become one axis around it."""

    keras = ("TimeDistributed",)
    signature = "layer"
    mask = "keeps"
    examples = (
        ("TimeDistributed(Dense(4, activation='relu'))", (2, 3, 5)),
        ("TimeDistributed(Conv2D(4, 3, padding='same', activation='relu'))", (2, 3, 5, 6, 2)),
        ("TimeDistributed(MaxPooling2D(2))", (2, 3, 4, 6, 2)),
        ("TimeDistributed(Flatten())", (2, 3, 4, 2)),
        ("TimeDistributed(GlobalAveragePooling1D())", (2, 3, 4, 2)),
        ("TimeDistributed(LSTM(3))", (2, 3, 4, 2)),
        ("TimeDistributed(Activation('softmax'))", (2, 3, 4)),
    )

    def inner(self, a: Args) -> Layer:
        layer = a.layer
        if not isinstance(layer, Layer):
            raise Declined("K2T102", f"TimeDistributed({layer!r}): only a layer is translated here")
        return layer

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        layer = self.inner(a)
        one = TensorType((None, *xs[0].shape[2:]), xs[0].dtype, masked=xs[0].masked)
        if layer.rule.takes_mask and layer.rule.reads_masks(layer.args, [one]):
            raise Declined("K2T105", f"TimeDistributed({layer.rule.keras[0]}) of a masked input is not translated")
        return ()

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        """That of the input; in legacy Keras the one that the layer makes of every step."""
        layer = self.inner(a)
        own = layer.rule.output_masks(layer.args, [TensorType((None, *xs[0].shape[2:]), xs[0].dtype)])
        if a.generation == KERAS2 and own and own[0] is not None:
            return [replace(own[0], shape=(*xs[0].shape[:2], *own[0].shape[1:]))]
        return super().output_masks(a, xs)

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        layer, x = self.inner(a), xs[0]
        name = layer.rule.keras[0]
        if x.rank < 3:
            raise Declined("K2T104", f"TimeDistributed needs a batch of steps, the input has {x.rank} axes")
        trained = name == "BatchNormalization" and layer.args.get("trainable") is not False
        if trained and a.generation != KERAS2:
            raise Declined("K2T102", "TimeDistributed(BatchNormalization): the statistics of training differ by step")
        if name == "Dense" or name in ELEMENTWISE:
            lowering = layer.rule.lower(layer.args, xs)
            return replace(lowering, steps=[below(s) for s in lowering.steps])
        return self.folded(layer, x)

    def folded(self, layer: Layer, x: TensorType) -> Lowering:
        """Steps and batch as one axis around the layer."""
        one = TensorType((None, *x.shape[2:]), x.dtype)
        layout = layer.rule.wants(layer.args, [one]) or Layout.KERAS
        inner = layer.rule.lower(layer.args, [one.in_layout(layout)])
        if len(inner.types) != 1:
            raise Declined("K2T102", "TimeDistributed of a layer with several outputs is not translated")
        y, steps = inner.types[0], [below(s) for s in inner.steps]
        if layout is Layout.FIRST and one.rank > 2:
            steps.insert(0, permute_step(to_first(one.rank)))
        if y.layout is Layout.FIRST and y.rank > 2:
            steps.append(permute_step(to_keras(y.rank)))
        out = TensorType((x.shape[0], x.shape[1], *y.shape[1:]), y.dtype)
        if not steps:
            return Lowering([], [out])
        fold = Step(fn="{0}.flatten(0, 1)", hint="x")
        sizes = "{1}.shape[:2]" if x.shape[1] is None else f"(-1, {code_of(x.shape[1])})"
        takes = (0,) if x.shape[1] is None else ()
        unfold = Step(fn=f"{{0}}.unflatten(0, {sizes})", hint="x", takes=takes)
        return Lowering([fold, *steps, unfold], [out])


def below(step: Step) -> Step:
    """`step` with its weights looked up on the wrapped layer."""
    return replace(step, weights=held_at(step.weights, "layer"))


class SpectralNormalization(LayerRule):
    """The layer in a module that divides its weight by the largest singular value at every step of training."""

    keras = ("SpectralNormalization",)
    signature = "layer, power_iterations=1"
    examples = (
        ("SpectralNormalization(Dense(4, activation='relu'))", (2, 3)),
        ("SpectralNormalization(Conv2D(4, 3, padding='same'), power_iterations=2)", (2, 5, 6, 3)),
    )

    def inner(self, a: Args) -> Layer:
        layer = a.layer
        known = ("Dense", "Conv1D", "Conv2D", "Conv3D")
        if not isinstance(layer, Layer) or layer.rule.keras[0] not in known or layer.args.get("trainable") is False:
            raise Declined("K2T102", f"SpectralNormalization({layer!r}) is not translated")
        return layer

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        layer = self.inner(a)
        return layer.rule.wants(layer.args, xs)

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        layer, floor = self.inner(a), 1e-6 if a.generation == KERAS2 else 1e-7
        lowering = layer.rule.lower(layer.args, xs)
        options = keywords({"power_iterations": 1, "eps": 1e-7}, power_iterations=a.power_iterations, eps=floor)
        return replace(lowering, steps=[self.around(s, options) if s.weights else s for s in lowering.steps])

    @staticmethod
    def around(step: Step, options: dict[str, Any]) -> Step:
        weights = {f"layer.{k}": w for k, w in below(step).weights.items()} | {"u": Weight("vector_u")}
        module = call("SpectralNormalization", Raw(step.module or ""), **options)
        helpers = (*step.helpers, "SpectralNormalization")
        init = {f"layer.{k}": v for k, v in step.init.items()}
        return replace(step, module=module, fn=None, weights=weights, init=init, helpers=helpers)


class Pipeline(LayerRule):
    """The layers themselves, in order."""

    keras = ("Pipeline",)
    signature = "layers"
    mask = "keeps"
    examples = (
        ("Pipeline([Rescaling(0.5), Dense(3, activation='relu')])", (2, 4)),
        ("Pipeline([Conv2D(3, 2), Flatten(), Dense(2)])", (2, 4, 5, 3)),
    )

    def inner(self, a: Args) -> list[Layer]:
        layers = a.layers
        if not isinstance(layers, (list, tuple)) or not layers or not all(isinstance(x, Layer) for x in layers):
            raise Declined("K2T102", f"Pipeline({layers!r}): only a list of layers is translated here")
        return list(layers)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return next((layer.rule.wants(layer.args, xs) for layer in self.inner(a)), None)

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        if xs[0].masked:
            raise Declined("K2T105", "a Pipeline of a masked input is not translated")
        return ()

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        x, steps = xs[0], []
        for i, layer in enumerate(self.inner(a)):
            layout = layer.rule.wants(layer.args, [x]) or x.layout
            if layout is not x.layout and x.rank > 2:
                steps.append(permute_step(to_first(x.rank) if layout is Layout.FIRST else to_keras(x.rank)))
            inner = layer.rule.lower(layer.args, [x.in_layout(layout)])
            if len(inner.types) != 1 or layer.rule.output_masks(layer.args, [x]):
                raise Declined("K2T102", f"{layer.rule.keras[0]} in a Pipeline is not translated")
            steps += [replace(s, weights=held_at(s.weights, f"layers.{i}")) for s in inner.steps]
            x = inner.types[0]
        return Lowering(steps, [x])

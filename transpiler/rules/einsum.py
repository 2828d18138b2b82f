"""A dense layer along the axes that an equation names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import same
from transpiler.ir.model import KERAS2, Args, Step, Weight
from transpiler.ir.shape import Layout, Shape, TensorType, product
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import LayerRule, call, initializer_name, keywords, show
from transpiler.rules.initializers import canonical, keras_fans


class EinsumDense(LayerRule):
    """`torch.einsum` with a weight, and a bias along some of the axes of the result."""

    keras = ("EinsumDense",)
    signature = (
        "equation, output_shape, activation=None, bias_axes=None, kernel_initializer='glorot_uniform', "
        "bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, "
        "bias_constraint=None, lora_rank=None, lora_alpha=None, gptq_unpacked_column_size=None, quantization_config=None"
    )
    unsupported = {
        "lora_rank": "low-rank adapters are a training technique that is not translated",
        "gptq_unpacked_column_size": "quantization is not translated",
        "quantization_config": "quantization is not translated",
    }
    examples = (
        ("EinsumDense('ab,bc->ac', output_shape=5, bias_axes='c', activation='relu')", (2, 3)),
        ("EinsumDense('abc,cde->abde', output_shape=(None, 2, 5), bias_axes='de')", (2, 3, 4)),
        ("EinsumDense('...x,xy->...y', output_shape=5, bias_axes='y')", (2, 3, 4, 6)),
        ("EinsumDense('abc,bd->adc', output_shape=(5, 4), bias_axes='d')", (2, 3, 4)),
        ("EinsumDense('abhd,hde->abe', output_shape=(None, 6))", (2, 3, 4, 5)),
    )

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def terms(self, a: Args) -> tuple[str, str, str]:
        """The letters of input, weight and result, with `...` in front where it stands there."""
        equation = a.const("equation").replace(" ", "")
        left, _, result = equation.partition("->")
        terms = (*left.split(","), result)
        letters = [t.removeprefix("...") for t in terms]
        dots = [t.startswith("...") for t in terms]
        if len(terms) != 3 or not all(t.isalpha() and len(set(t)) == len(t) for t in letters):
            raise Declined("K2T102", f"EinsumDense({equation!r}) is not translated")
        if dots[1] or dots[0] != dots[2]:
            raise Declined("K2T102", f"EinsumDense({equation!r}) is not translated")
        return terms

    def sizes(self, a: Args, x: TensorType) -> dict[str, Any]:
        """Letter → size: that of the input, else that of `output_shape`."""
        source, _, result = self.terms(a)
        given = a.output_shape
        given = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        letters, dots = source.removeprefix("..."), source.startswith("...")
        if len(letters) > x.rank or not dots and len(letters) != x.rank:
            raise Declined("K2T104", f"EinsumDense({a.equation!r}) of {x.rank} axes")
        wanted = dict(zip(reversed(result), reversed(given)))
        found = {c: d for c, d in wanted.items() if c.isalpha()} | dict(zip(reversed(letters), reversed(x.shape)))
        for letter, size in wanted.items():
            if size is not None and not same(size, found[letter]):
                raise Declined(
                    "K2T104", f"EinsumDense(output_shape={show(a.output_shape)}) is not the size of {letter}"
                )
        return found

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        source, _, result = self.terms(a)
        sizes, letters = self.sizes(a, xs[0]), result.removeprefix("...")
        front = xs[0].shape[: xs[0].rank - len(source.removeprefix("..."))] if result != letters else ()
        return (*front, *(sizes.get(c) for c in letters))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        source, kernel, result = self.terms(a)
        sizes, axes = self.sizes(a, xs[0]), a.const("bias_axes") or ""
        letters = result.removeprefix("...")
        first = min((letters.find(c) for c in axes), default=len(letters))
        shape = tuple(sizes.get(c) for c in kernel)
        bias = tuple(sizes.get(c) if c in axes else 1 for c in letters[first:]) or None
        if None in (*shape, *(bias or ())) or not set(axes) <= set(letters):
            raise Declined("K2T202", "a size of this weight is not known", "Give the input a shape.")
        if canonical(initializer_name(a.kernel_initializer)) == "orthogonal" and len(shape) != 2:
            raise Declined("K2T102", "an orthogonal start of a weight with other than two axes is not translated")
        weights, init = {"weight": Weight("kernel")}, {"weight": a.kernel_initializer}
        if bias:
            weights["bias"], init["bias"] = Weight("bias"), a.bias_initializer
        dense = Step(
            module=call("EinsumDense", f"{source},{kernel}->{result}", shape, **keywords({"bias": None}, bias=bias)),
            hint="dense",
            weights=weights,
            init=init,
            fans=self.fans(a, source, kernel, result, shape),
            helpers=("EinsumDense",),
        )
        return [dense, *activation_steps(a.activation, y, a.generation)]

    def fans(self, a: Args, source: str, kernel: str, result: str, shape: tuple[Any, ...]) -> tuple[Any, Any]:
        """Keras 3 goes by the letters: sizes that are summed over, and sizes that are new; legacy Keras by the axes."""
        if a.generation == KERAS2:
            return keras_fans(shape)
        pairs = list(zip(kernel, shape))
        return (
            product([d for c, d in pairs if c not in result] or [1]),
            product([d for c, d in pairs if c in result] or [1]),
        )

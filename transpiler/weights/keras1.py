"""Arrays in the forms of other times: those of Keras 1, and of layers that ran in cuDNN.

What Keras itself does with them when it loads (`preprocess_weights_for_loading`), restated for numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.weights.stored import Stored

if TYPE_CHECKING:
    from transpiler.weights.legacy import Holder

GATES = {"LSTM": (0, 2, 1, 3), "GRU": (0, 1, 2)}
"""The order in which today's kernels have the gates that Keras 1 had as kernels of their own, in the order it had them."""


def as_now(holders: Sequence[Holder], weights: Sequence[Stored], keras1: bool) -> list[Stored]:
    """The arrays of one layer of the model as today's Keras would save them."""
    if keras1:
        weights = from_keras1(holders, weights)
    owners: dict[str, list[Stored]] = {}
    for array in weights:
        owners.setdefault(array.path.rpartition("/")[0], []).append(array)
    return [a for arrays in owners.values() for a in from_cudnn(arrays)]


def from_keras1(holders: Sequence[Holder], weights: Sequence[Stored]) -> list[Stored]:
    """Keras 1 named the arrays otherwise, and had one of each kind for every gate; their order is that of the variables."""
    counts = [_count(h) for h in holders]
    if sum(counts) != len(weights):
        return list(weights)
    found, at = [], 0
    for holder, count in zip(holders, counts):
        own, at = list(weights[at : at + count]), at + count
        layer = own[0].path.partition("/")[0]
        owner = "/".join([layer, layer, *holder.hints])
        if count > len(holder.variables):
            order = GATES[_recurrent(holder)]
            own = [_joined([own[3 * gate + kind] for gate in order]) for kind in range(3)]
        own = [_kernel(holder, a) if len(a.shape) == 4 else a for a in own]
        found += [_renamed(f"{owner}/{v.names[0]}", a) for v, a in zip(holder.variables, own)]
    return found


def _count(holder: Holder) -> int:
    """How many arrays Keras 1 had for a holder."""
    recurrent = _recurrent(holder)
    return 3 * len(GATES[recurrent]) if recurrent and len(holder.variables) == 3 else len(holder.variables)


def _recurrent(holder: Holder) -> str:
    """Whether it is a cell of gates, and which: by the class of the layer, or of the one that it wraps."""
    names = [holder.layer.keras_class, *(x.keras_class for x in holder.layer.children())]
    return next((n for n in names if n in GATES), "")


def _kernel(holder: Holder, array: Stored) -> Stored:
    """The kernel of a convolution: with an axis too many in one dimension, in Theano's order or in TensorFlow's in two."""
    if holder.layer.keras_class == "Conv1D" and array.shape[1] == 1:
        return _computed(array, (array.shape[0], *array.shape[2:]), lambda k: k[:, 0])
    if holder.layer.keras_class == "Conv1D" and array.shape[3] == 1:
        filters, inputs, length, _ = array.shape
        return _computed(array, (length, inputs, filters), lambda k: k.transpose(2, 3, 1, 0)[:, 0])
    filters, inputs, rows, columns = array.shape
    if array.shape == (rows, columns, inputs, filters):
        message = f"the shape of {array} does not tell whether it is in Theano's order"
        raise Declined("K2T702", message, "Load it with Keras 2 and save it again.")
    return array


def _renamed(path: str, array: Stored) -> Stored:
    return Stored(path, array.shape, array.dtype, array.read, True)


def _joined(arrays: Sequence[Stored]) -> Stored:
    import numpy as np

    shape = (*arrays[0].shape[:-1], sum(a.shape[-1] for a in arrays))
    return Stored(arrays[0].path, shape, arrays[0].dtype, lambda: np.concatenate([a.read() for a in arrays], -1), True)


def from_cudnn(arrays: Sequence[Stored]) -> list[Stored]:
    """What CuDNNLSTM and CuDNNGRU had: kernels transposed gate by gate, and two biases in one row."""
    named = {a.name: a for a in arrays}
    kernel, recurrent, bias = (named.get(n) for n in ("kernel", "recurrent_kernel", "bias"))
    if kernel is None or recurrent is None or bias is None or len(recurrent.shape) != 2:
        return list(arrays)
    units, width = recurrent.shape
    gates = width // units if units else 0
    if gates not in (3, 4) or bias.shape != (2 * width,):
        return list(arrays)
    new = {
        "kernel": _computed(
            kernel, kernel.shape, lambda k: _by_gate(k, gates, lambda g: g.T.reshape(g.shape, order="F"))
        ),
        "recurrent_kernel": _computed(recurrent, recurrent.shape, lambda k: _by_gate(k, gates, lambda g: g.T)),
        "bias": (
            _computed(bias, (width,), lambda b: b[:width] + b[width:])
            if gates == 4
            else _computed(bias, (2, width), lambda b: b.reshape(2, width))
        ),
    }
    return [new.get(a.name, a) for a in arrays]


def _computed(array: Stored, shape: tuple[int, ...], function: Callable[[Any], Any]) -> Stored:
    return Stored(array.path, shape, array.dtype, lambda: function(array.read()), True)


def _by_gate(kernel: Any, gates: int, function: Callable[[Any], Any]) -> Any:
    import numpy as np

    return np.hstack([function(g) for g in np.hsplit(kernel, gates)])

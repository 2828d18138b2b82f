"""CTC in float64: TensorFlow's kernels add probabilities in float32, whatever they are given."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

LOW = -1e30
"""The logarithm of no probability, small enough to vanish and without NaN in gradients."""


def exact_ctc(tf: ModuleType) -> None:
    """Replaces the losses that Keras calls by sums over the same paths, for float64 tensors."""
    for nn in {id(n): n for n in (tf.compat.v1.nn, tf.compat.v2.compat.v1.nn)}.values():
        nn.ctc_loss = _of_sparse_labels(tf, nn.ctc_loss)
    backend = sys.modules.get("keras.src.backend.tensorflow.nn")
    if backend is not None:
        backend.ctc_loss = _of_dense_labels(tf, backend.ctc_loss)


def _of_sparse_labels(tf: ModuleType, original: Any) -> Any:
    @functools.wraps(original)
    def loss(labels: Any, inputs: Any, sequence_length: Any, *args: Any, **kwargs: Any) -> Any:
        if inputs.dtype != tf.dtypes.double or args or kwargs:
            return original(labels, inputs, sequence_length, *args, **kwargs)
        dense = tf.sparse.to_dense(labels, default_value=-1)
        count = tf.reduce_sum(tf.cast(dense >= 0, tf.int32), axis=1)
        said = tf.transpose(inputs, [1, 0, 2])
        return ctc(tf, said, tf.maximum(dense, 0), sequence_length, count, inputs.shape[-1] - 1)

    return loss


def _of_dense_labels(tf: ModuleType, original: Any) -> Any:
    @functools.wraps(original)
    def loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
        output = tf.convert_to_tensor(output)
        if output.dtype != tf.dtypes.double:
            return original(target, output, target_length, output_length, mask_index)
        return ctc(tf, output, tf.cast(target, tf.int32), output_length, target_length, mask_index)

    return loss


def ctc(tf: ModuleType, logits: Any, labels: Any, steps: Any, count: Any, blank: int) -> Any:
    """The loss of each sample: logits (batch, steps, classes), labels (batch, labels), how many of each count."""
    said = tf.nn.log_softmax(logits)
    steps, count = tf.cast(steps, tf.int32), tf.cast(count, tf.int32)
    batch, length = tf.shape(labels)[0], 2 * labels.shape[1] + 1
    blanks = tf.fill([batch, labels.shape[1]], tf.cast(blank, labels.dtype))
    path = tf.concat([tf.reshape(tf.stack([blanks, labels], axis=-1), [batch, length - 1]), blanks[:, :1]], axis=1)
    emitted = tf.einsum("ntc,nsc->nts", said, tf.one_hot(path, said.shape[-1], dtype=said.dtype))
    before = tf.pad(path, [[0, 0], [2, 0]], constant_values=-1)[:, :length]
    skips = tf.logical_and(path != tf.cast(blank, path.dtype), path != before)
    low = tf.constant(LOW, said.dtype)
    total = tf.where(tf.range(length)[None, :] < 2, emitted[:, 0], low)
    for t in range(1, said.shape[1]):
        one, two = (tf.pad(total, [[0, 0], [n, 0]], constant_values=LOW)[:, :length] for n in (1, 2))
        ways = tf.stack([total, one, tf.where(skips, two, low)])
        total = tf.where((t < steps)[:, None], tf.reduce_logsumexp(ways, axis=0) + emitted[:, t], total)
    last = tf.range(length)[None, :]
    ends = tf.logical_or(last == 2 * count[:, None], last == 2 * count[:, None] - 1)
    return -tf.reduce_logsumexp(tf.where(ends, total, low), axis=1)

"""Functions whose results are no tensors: what they say of shapes, kinds and settings, against the original."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from test_ops import compare

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.rules.ops.base import Example

CODES = (
    "x * K.int_shape(x)[-1] + K.ndim(x)",
    "x * x.shape[1] + len(x.shape)",
    "x + tf.zeros((K.shape(x)[0], 1, K.shape(x)[-1]))",
    "x * K.cast(K.shape(x)[1], 'float32')",
    "x if K.image_data_format() == 'channels_last' else -x",
    "x if K.backend() == 'tensorflow' else -x",
    "x if K.dtype(x)[:5] == K.floatx()[:5] == 'float' else -x",
    "x * (K.epsilon() * 1e6)",
    "-x if K.is_sparse(x) else x",
    "x * K.count_params(x[0])",
    "x * ops.shape(x)[-1] + ops.ndim(x)",
    "x + ops.zeros((ops.shape(x)[0], 1, 1))",
    "x if keras.backend.is_float_dtype('float64') and keras.backend.is_int_dtype('uint8') else -x",
    "x if keras.backend.standardize_dtype('int32') == 'int32' and not keras.backend.is_int_dtype('bool') else -x",
    "ops.cond(True, lambda: x, lambda: -x) + ops.cond(pred=False, true_fn=lambda: x, false_fn=lambda: x * x)",
    "ops.get_item(x, 1) + ops.get_item(x, key=(0, slice(1, None), slice(None)))[:1]",
    "x if keras.backend.result_type('int64', float)[:5] == keras.backend.result_type('bool', 'float16')[:5] else -x",
    "x if keras.backend.result_type('uint8', int) == keras.backend.result_type('uint8') else -x",
    "tf.compat.v1.Print(x, [x], 'x')",
)


@pytest.mark.parametrize(("code", "generation"), itertools.product(CODES, (KERAS3, KERAS2)))
def test_static_function(code: str, generation: str, tmp_path: Path) -> None:
    if generation == KERAS2 and any(name in code for name in ("ops.", "keras.backend")):
        pytest.skip("of Keras 3")
    compare(Example(code, {"x": (2, 3, 4)}), generation, tmp_path)

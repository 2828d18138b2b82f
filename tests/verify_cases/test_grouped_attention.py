"""Attention whose heads share keys and values, against Keras 3, which alone has it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from transpiler.verify import verify_file

SOURCE = """
    import keras
    from keras import layers

    def build(heads=4):
        x, y = keras.Input((5, 6)), keras.Input((7, 6))
        own = layers.GroupQueryAttention(3, heads, 2, dropout=0.1)(x, x)
        causal = layers.GroupQueryAttention(2, heads, heads)(own, own, use_causal_mask=True)
        other = layers.GroupQueryAttention(5, heads, 1, use_bias=False)(causal, y, key=layers.Dense(6)(y))
        return keras.Model([x, y], [own, causal, other])

    def masked():
        tokens = keras.Input((5,), dtype="int32")
        x = layers.Embedding(9, 6, mask_zero=True)(tokens)
        x = layers.GroupQueryAttention(3, 4, 2, dropout=0.1)(x, x)
        return keras.Model(tokens, layers.GroupQueryAttention(3, 2, 2)(x, x, use_causal_mask=True))

    def windows():
        x = keras.Input((7, 6))
        y = layers.GroupQueryAttention(3, 4, 2, sliding_window=2)(x, x)
        z = layers.MultiHeadAttention(2, 3, sliding_window=3)(x, y, use_causal_mask=True)
        return keras.Model(x, [y, z])
"""


def test_grouped_attention_is_keras_s(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE))
    (result,) = verify_file(path, entries=["build()"], generation="keras3")
    assert result.status == "pass", result
    assert result.tier == "structure" and result.gradients["max_rel"] < 1e-9


def test_masks(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE))
    results = verify_file(path, entries=["masked()", "windows()"], generation="keras3")
    assert [(r.status, r.tier) for r in results] == [("pass", "structure")] * 2, results

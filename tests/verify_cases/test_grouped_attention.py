"""Attention whose heads share keys and values, against Keras 3, which alone has it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from transpiler.diagnostics import Severity
from transpiler.pipeline import convert_file
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
        return keras.Model(tokens, layers.GroupQueryAttention(3, 4, 2)(x, x))
"""


def test_grouped_attention_is_keras_s(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE))
    (result,) = verify_file(path, entries=["build()"], generation="keras3")
    assert result.status == "pass", result
    assert result.tier == "structure" and result.gradients["max_rel"] < 1e-9


def test_masks_are_declined(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE))
    findings = convert_file(path, entries=["masked()"], generation="keras3").findings
    assert [f.code for f in findings if f.severity is Severity.ERROR] == ["K2T105"]

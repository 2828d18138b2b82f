"""What torch does in its own way when it trains a model: small, known, and noted."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from transpiler.ir.model import KERAS3, Layer
from transpiler.training.file import FileTraining
from transpiler.write.torch.strict import BIASED


def note_differences(file: FileTraining, layers: Sequence[Any], by_row: bool, node: ast.Call) -> None:
    """Notes what torch does in its own way when it trains these layers."""
    kinds = {layer.rule.keras[0] for layer in layers if isinstance(layer, Layer)}
    found = []
    made = [file.interpreter.built.get(layer) for layer in layers if isinstance(layer, Layer)]
    modules = {(step.module or "").partition("(")[0] for m in made for step in getattr(m, "steps", ())}
    if modules & set(BIASED[file.generation]) and not file.strict:
        found.append("the running variance of nn.BatchNorm is the unbiased one, that of Keras is biased")
    if "Embedding" in kinds and by_row and file.generation == KERAS3:
        found.append(
            "gradients of rows of embeddings are summed before they are squared or clipped, which Keras 3 does after"
        )
    for text in found:
        file.near(text, node)

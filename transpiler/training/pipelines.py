"""Pipelines of `tf.data` as datasets and loaders of torch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from transpiler.diagnostics import Declined
from transpiler.read.keras.evaluate.pipelines import SIGNATURES, Pipeline
from transpiler.rules.base import parse_signature
from transpiler.rules.training.base import TRAINING

Takes = Callable[..., None]


def pipeline_text(node: ast.expr, pipelines: Mapping[ast.Call, Pipeline], takes: Takes) -> str:
    """The text of an expression that makes a pipeline; `takes` notes names of libraries.

    Raises Declined for a pipeline that is not translated.
    """
    if not isinstance(node, ast.Call) or node not in pipelines:
        return ast.unparse(node)
    made = pipelines[node]
    name = made.steps[-1][0]
    if name == "from_tensor_slices":
        takes("torch.utils.data", "TensorDataset")
        return f"TensorDataset({', '.join(f'torch.as_tensor({ast.unparse(c)})' for c in columns(node.args[0]))})"
    if not made.known:
        raise Declined(TRAINING, f"{name or 'this step'}() of a tf.data.Dataset is not translated")
    assert isinstance(node.func, ast.Attribute)
    before = [step for step, _ in made.steps[:-1]]
    inner = pipeline_text(node.func.value, pipelines, takes)
    named = {k.arg: k.value for k in node.keywords if k.arg}
    given = dict(parse_signature(SIGNATURES[name]).bind(*node.args, **named).arguments)
    if name in ("prefetch", "cache"):
        return inner
    if "batch" in before:
        raise Declined(TRAINING, f"{name}() of batches is not translated")
    if name == "shuffle":
        return inner
    if name == "batch":
        takes("torch.utils.data", "DataLoader")
        options = ", shuffle=True" if "shuffle" in before else ""
        drop = given.get("drop_remainder")
        options += f", drop_last={ast.unparse(drop)}" if drop is not None else ""
        return f"DataLoader({inner}, batch_size={ast.unparse(given['batch_size'])}{options})"
    if "shuffle" in before:
        raise Declined(TRAINING, f"{name}() after shuffle() is not translated")
    takes("torch.utils.data", "Subset")
    count = ast.unparse(given["count"])
    return f"Subset({inner}, range({count}))" if name == "take" else f"Subset({inner}, range({count}, len({inner})))"


def columns(node: ast.expr) -> list[ast.expr]:
    """The arrays that are sliced."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return [n for item in node.elts for n in columns(item)]
    if isinstance(node, ast.Dict):
        raise Declined(TRAINING, "a tf.data.Dataset of dictionaries is not translated")
    return [node]

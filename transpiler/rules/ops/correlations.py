"""Correlations of what should be and what a model says, along an axis."""

from __future__ import annotations

from transpiler.ir.model import Args, Lowering
from transpiler.rules.ops.losses import EPSILON, SampleLoss, along, both, pairs


class Correlation(SampleLoss):
    """Pearson's, and the concordance, for which means and spreads have to be the same too."""

    names = ("metrics.pearson_correlation", "metrics.concordance_correlation")
    signature = "y_true, y_pred, axis=-1"
    examples = (
        *pairs("keras.metrics.pearson_correlation(x, y)", "keras.metrics.concordance_correlation(x, y)"),
        *pairs("keras.metrics.concordance_correlation(x, y, axis=1)", x=(2, 3, 4), y=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        axis, dim = along(pair.prediction, a.const("axis"))
        mean, type_ = f"mean(dim={dim}, keepdim=True)", [pair.type(axis)]
        if path.endswith("pearson_correlation"):
            parts = [f"({v} - {v}.{mean})" for v in ("{t}", "{p}")]
            spread = f"({{t}}.std(dim={dim}, correction=0) * {{p}}.std(dim={dim}, correction=0))"
            return Lowering([pair.first(f"({parts[0]} * {parts[1]}).mean(dim={dim}) / {spread}")], type_)
        shared = f"({{t}} - {{p}}.{mean}) * ({{p}} - {{p}}.{mean})"
        spread = f"{{t}}.var(dim={dim}, correction=0, keepdim=True) + {{p}}.var(dim={dim}, correction=0, keepdim=True)"
        spread += f" + ({{t}}.{mean} - {{p}}.{mean}).square()"
        value = f"(2 * {{r}} / ({spread} + {EPSILON})).mean(dim={dim})"
        return Lowering([pair.first(shared, "shared"), pair.then(value)], type_)

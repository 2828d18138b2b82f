"""Metrics over many thresholds: the best of one rate where another one is high enough."""

from __future__ import annotations

from typing import ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args
from transpiler.rules.training.base import TRAINING, Measure, MetricRule, Prediction
from transpiler.rules.training.metrics import number, of_class

RATES = {
    "recall": "{hits} / {positives}",
    "sensitivity": "{hits} / {positives}",
    "specificity": "({negatives} - {alarms}) / {negatives}",
    "precision": "{hits} / ({hits} + {alarms})",
}
"""Rates at all thresholds, from how many are above them and how many there are."""


class BestWhere(MetricRule):
    """The best of one rate at the thresholds at which another one is not below a limit."""

    best: ClassVar[str] = ""
    limited: ClassVar[str] = ""

    def lower(self, a: Args, output: Prediction) -> Measure:
        count = a.const("num_thresholds")
        if type(count) is not int or count < 2:
            raise Declined(TRAINING, f"{self.names[0]} at a single threshold is not translated")
        said, target = of_class(a.get("class_id"), output)
        above, true = f"above_thresholds({said}, {count})", f"{target}.flatten().bool()"
        texts = {
            "hits": f"({above} & {true}[:, None]).sum(dim=0)",
            "alarms": f"({above} & ~{true}[:, None]).sum(dim=0)",
            "positives": f"{true}.sum()",
            "negatives": f"(~{true}).sum()",
        }
        rates = f"{RATES[self.best]}, {RATES[self.limited]}"
        return Measure(
            "",
            sums=tuple((name, text) for name, text in texts.items() if f"{{{name}}}" in rates),
            result=f"best_where({rates}, {number(a, self.limited)})",
            rising=True,
            target="truths",
            helpers=("above_thresholds", "best_where"),
        )


class SensitivityAtSpecificity(BestWhere):
    names = ("SensitivityAtSpecificity",)
    signature = "specificity, num_thresholds=200, class_id=None, name=None, dtype=None"
    best, limited = "sensitivity", "specificity"


class SpecificityAtSensitivity(BestWhere):
    names = ("SpecificityAtSensitivity",)
    signature = "sensitivity, num_thresholds=200, class_id=None, name=None, dtype=None"
    best, limited = "specificity", "sensitivity"


class PrecisionAtRecall(BestWhere):
    names = ("PrecisionAtRecall",)
    signature = "recall, num_thresholds=200, class_id=None, name=None, dtype=None"
    best, limited = "precision", "recall"


class RecallAtPrecision(BestWhere):
    names = ("RecallAtPrecision",)
    signature = "precision, num_thresholds=200, class_id=None, name=None, dtype=None"
    best, limited = "recall", "precision"

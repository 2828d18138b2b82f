"""What is translated of Keras's public names: the table of `keras2torch coverage` and of docs/coverage.md.

The rules are the source: what a rule declines is read from its own `unsupported` and `raise Declined(…)`.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import transpiler.rules
from transpiler.read.keras.evaluate.api import CONSTANTS, layer_functions
from transpiler.read.keras.program import Recorder
from transpiler.rules.activations import BY_NAME, IDENTITY
from transpiler.rules.base import LayerRule
from transpiler.rules.declined import reason
from transpiler.rules.initializers import BUILDERS, VARIANCE_SCALING, canonical
from transpiler.rules.ops import op_rules
from transpiler.rules.ops.base import OpRule
from transpiler.rules.registry import layer_rules
from transpiler.rules.training.base import (
    LossRule,
    MetricRule,
    OptimizerRule,
    ScheduleRule,
    TrainingRule,
)
from transpiler.rules.training.callbacks import CallbackRule
from transpiler.rules.training.registry import ConstraintRule, RegularizerRule, training_rules

NAMES = Path(transpiler.rules.__file__).parent / "public_names.json"
"""Generation → family → public names, as `benchmarks/keras_names.py` reads them from the installed libraries."""

OWN_NAME = re.compile(r"‹(self\.keras\[0\]|self\.names\[0\]|leaf|path|op|name|method)›(?!=)")
"""How rules put the name of what is called into a message."""

OF_TRAINING: dict[str, tuple[type[TrainingRule], ...]] = {
    "optimizers": (OptimizerRule,),
    "optimizers.legacy": (OptimizerRule,),
    "optimizers.schedules": (ScheduleRule,),
    "regularizers": (RegularizerRule,),
    "constraints": (ConstraintRule,),
    "losses": (LossRule,),
    "metrics": (MetricRule, LossRule),
    "callbacks": (CallbackRule,),
}
"""Family → what its rules derive from; every loss is a metric as well."""

LIMITS = ("K2T102", "K2T103", "K2T105")
"""The codes of what a rule declines although Keras takes it."""

READ = {
    "layers.Input": "a parameter of `forward`",
    "layers.InputLayer": "a parameter of `forward`",
    "layers.InputSpec": "is read past",
    "layers.Lambda": "its function is translated as the program's own functions are",
    "layers.Layer": "classes that derive from it are translated",
    "layers.AbstractRNNCell": "classes that derive from it are translated",
    "layers.Wrapper": "classes that derive from it are translated",
    "random.SeedGenerator": "torch has one generator for all; the seed is reported",
    "initializers.Initializer": "classes that derive from it are translated",
    "losses.Reduction": "is what it names",
}
"""Names that the reader knows without a rule."""


_ITEMS = "over an axis whose size is known: the function is called on each item"
UNROLLED = {
    **{f"ops.{leaf}": _ITEMS for leaf in ("map", "scan", "vectorized_map")},
    **{f"backend.{leaf}": _ITEMS for leaf in ("foldl", "foldr", "map_fn")},
    "ops.fori_loop": "where the limits are known when the model is built",
    "ops.while_loop": "where the condition is about values that are known when the model is built",
    "ops.switch": "where the index is known when the model is built",
    "backend.rnn": "over steps whose number is known, without a mask",
    "backend.eval": "of what is known when the model is built",
    "backend.get_value": "of what is known when the model is built",
    "backend.get_uid": "counted from the start of the program",
    "metrics.Mean": "where code with a tape tells it of values",
    "metrics.Sum": "where code with a tape tells it of values",
    "metrics.MeanMetricWrapper": "without arguments for its function",
    "callbacks.Callback": "classes that derive from it, which act at the start and the end of epochs and of the training",
}
"""What calls functions of the program or reads values, and what has to be known for that."""


class State(Enum):
    """How far a public name is translated."""

    TRANSLATED = "translated"
    PARTLY = "partly"
    DECLINED = "declined"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """A public name: the generations that have it, its state, and what there is to say about that."""

    name: str
    generations: tuple[str, ...]
    state: State
    remark: str = ""


class Coverage:
    """The rows of every family of public names."""

    def __init__(self) -> None:
        generations: dict[str, dict[str, list[str]]] = json.loads(NAMES.read_text(encoding="utf-8"))
        self.generations = tuple(generations)
        self.families = list(dict.fromkeys(f for families in generations.values() for f in families))
        self.names = {
            family: {
                name: tuple(g for g, families in generations.items() if name in families.get(family, ()))
                for name in sorted({n for families in generations.values() for n in families.get(family, ())})
            }
            for family in self.families
        }

    def rows(self, family: str) -> Iterator[Row]:
        for name, generations in self.names[family].items():
            state, remark = self.state(f"{family}.{name}")
            yield Row(name, generations, state, OWN_NAME.sub(name, remark))

    def state(self, path: str) -> tuple[State, str]:
        """How far the public name `path` (`layers.Dense`) is translated, and a remark."""
        family, _, leaf = path.rpartition(".")
        if reason(path):
            return State.DECLINED, reason(path)
        if path in READ:
            return State.TRANSLATED, READ[path]
        if path in UNROLLED:
            return State.PARTLY, UNROLLED[path]
        if family == "layers":
            rule = layer_rules().get(leaf) or layer_functions().get(leaf)
            return of_rule(rule) if rule else (State.UNKNOWN, "")
        if family in OF_TRAINING:
            return of_training(family, leaf)
        if family == "initializers" and canonical(leaf) in {*BUILDERS, *VARIANCE_SCALING}:
            return limited(declines(BUILDERS.get(canonical(leaf))))
        if family == "activations" and (leaf in BY_NAME or leaf in IDENTITY):
            return State.TRANSLATED, ""
        if path in op_rules():
            return of_rule(op_rules()[path])
        if hasattr(Recorder, f"api_{leaf}") or family == "backend" and leaf in CONSTANTS:
            return State.TRANSLATED, "read where the model is built"
        if family in ("ops", "backend") and leaf in BY_NAME:
            return State.PARTLY, "with one argument"
        return State.UNKNOWN, ""

    def markdown(self) -> str:
        """The whole table."""
        parts = [HEAD, *self._summary(), ""]
        for family in self.families:
            parts += [f"## keras.{family}", "", "| name | in | state | remark |", "|---|---|---|---|"]
            parts += [
                f"| `{r.name}` | {', '.join(g.split()[-1] for g in r.generations)} | {r.state.value} | {r.remark} |"
                for r in self.rows(family)
            ]
            parts.append("")
        return "\n".join(parts)

    def _summary(self) -> Iterator[str]:
        yield f"| family | names | {' | '.join([*(s.value for s in State), *self.generations])} |"
        yield "|---|---|" + "---|" * (len(State) + len(self.generations))
        for family in self.families:
            rows = list(self.rows(family))
            count = Counter(r.state for r in rows)
            cells = [str(count.total()), *(str(count[s]) for s in State), *(done_of(rows, g) for g in self.generations)]
            yield f"| `keras.{family}` | {' | '.join(cells)} |"


def done_of(rows: Iterable[Row], generation: str) -> str:
    """How many of the names that a generation has are translated, in whole or in part."""
    states = [r.state for r in rows if generation in r.generations]
    return f"{sum(s in (State.TRANSLATED, State.PARTLY) for s in states)} of {len(states)}" if states else ""


HEAD = """\
# Coverage

Every public name of Keras 3.15 and of tf_keras 2.21, written by `keras2torch coverage > docs/coverage.md` from the rules.

- **translated**: by a rule with value tests, or read where the model is built.
- **partly**: the remark says for which arguments or inputs the rule declines; `‹…›` stands for a value.
- **declined**: on purpose; the remark says why.
- **unknown**: nobody has looked at it yet; it is declined with K2T101 or K2T106.

The last columns count, for each generation, the names it has and those that are translated in whole or in part.

No state is silent: what is not translated is a finding with its place in your source.
"""


def of_rule(rule: LayerRule | OpRule | TrainingRule) -> tuple[State, str]:
    """The state of what has a rule."""
    named = [f"`{name}`: {why}" for name, why in getattr(rule, "unsupported", {}).items()]
    own = [cls for cls in type(rule).__mro__ if cls not in (LayerRule, OpRule, TrainingRule, object)]
    return limited([*named, *(text for cls in own for text in declines(cls))])


def of_training(family: str, leaf: str) -> tuple[State, str]:
    """The state of a name of training code."""
    if leaf == "get":
        return State.TRANSLATED, "is what it names"
    name = f"legacy.{leaf}" if family == "optimizers.legacy" else leaf
    rule = next((rules[name] for rules in map(training_rules, OF_TRAINING[family]) if name in rules), None)
    return of_rule(rule) if rule is not None else (State.UNKNOWN, "")


def limited(limits: Iterable[str]) -> tuple[State, str]:
    text = "; ".join(dict.fromkeys(t.replace("|", "\\|") for t in limits))
    return (State.PARTLY, text) if text else (State.TRANSLATED, "")


@functools.cache
def declines(code: Any) -> tuple[str, ...]:
    """What a class or function of the rules declines: the messages of its `raise Declined(…)`."""
    if code is None or getattr(code, "__name__", "") == "<lambda>":
        return ()
    found = []
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(code)))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            code_, message = (*node.exc.args, None, None)[:2]
            known = isinstance(code_, ast.Constant) and code_.value in LIMITS
            known = known or isinstance(code_, ast.Name) and code_.id == "TRAINING"
            if known and message is not None:
                found.append(message_text(message))
    return tuple(found)


def message_text(message: ast.expr) -> str:
    """A message with its values in ‹ ›."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    if isinstance(message, ast.JoinedStr):
        return "".join(map(message_text, message.values))
    value = message.value if isinstance(message, ast.FormattedValue) else message
    while isinstance(value, ast.Call) and value.args:  # show(axis)
        value = value.args[-1]
    return f"‹{ast.unparse(value)}›"

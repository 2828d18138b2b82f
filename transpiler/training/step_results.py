"""What a `train_step` or `test_step` of the program's returns: titles, and the texts of their values."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.trees import nodes
from transpiler.training.tape_values import NUMBER, Tensor

if TYPE_CHECKING:
    from transpiler.training.own_steps import Own

LOSS = ApiObject(ApiValue("keras.metrics.Mean"), (), {"name": "loss"})
"""The tracker of the loss that Keras makes itself."""
COMPILED = ApiObject(ApiValue("keras.metrics.Mean"), (), {"name": "compile_metrics"})
"""What stands for all metrics of a `compile` in Keras 3."""


@dataclass(eq=False)
class Logs:
    """What a step returns: titles and the texts of their values."""

    items: list[tuple[str, str]] = field(default_factory=list)
    found: bool = False


class Results:
    """The part of a step that follows what it returns."""

    own: Own
    logs: Logs | None
    kept: dict[str, dict[str, str]]
    """Variables that hold what the step will return: titles, and the texts of their values."""
    writer: Any
    node: Any
    path: list[ast.stmt]
    see: Any
    text: Any
    atom: Any
    decline: Any
    arguments: Any
    told_compiled: Any

    def do_Return(self, statement: ast.Return) -> None:
        if self.logs is None:
            super().do_Return(statement)
            return
        if self.logs.found or len(self.path) != 1:
            raise self.decline(statement, "a step that returns from several places is not translated")
        self.logs.found = True
        self.writer.changes.texts[statement] = ""
        value = statement.value
        if isinstance(value, ast.Name) and value.id in self.kept:
            self.logs.items = list(self.kept[value.id].items())
            return
        items = self.results_in(value)
        if items is not None:
            self.logs.items = items
            return
        if isinstance(value, ast.Call) and ast.unparse(value.func) == f"{self.own.self_name}.compute_metrics":
            given = self.arguments(value, ("x", "y", "y_pred", "sample_weight"))
            self.writer.changes.texts[statement] = "\n".join(self.told_compiled(value, given))
            self.logs.items = [i for t, m in self.own.all_metrics(statement) for i in self.results_of(t, m)]
            return
        raise self.decline(statement, "what this step returns is not translated")

    def results_in(self, value: ast.expr | None) -> list[tuple[str, str]] | None:
        """The titles and values of an expression that is a dictionary of them; None for others."""
        if isinstance(value, ast.Dict):
            return [self.log(k, v) for k, v in zip(value.keys, value.values)]
        if value is not None and ast.unparse(value) in self.all_results():
            return [i for t, m in self.own.all_metrics(value) for i in self.results_of(t, m)]
        return None

    def keeps_results(self, statement: ast.stmt) -> bool:
        """Whether a statement makes, or adds to, the dictionary that the step returns."""
        returned = {n.value.id for n in nodes(self.node) if isinstance(n, ast.Return) and isinstance(n.value, ast.Name)}
        if self.logs is None or len(self.path) != 1:
            return False
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if (
                isinstance(target, ast.Name)
                and target.id in returned
                and (items := self.results_in(statement.value)) is not None
            ):
                self.kept[target.id] = dict(items)
                return True
            named = (
                isinstance(target, ast.Subscript)
                and isinstance(target.value, ast.Name)
                and target.value.id in self.kept
            )
            if named:
                title, text = self.log(target.slice, statement.value)  # type: ignore[attr-defined]
                self.kept[target.value.id][title] = text  # type: ignore[attr-defined]
                return True
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "update":
            name, given = call.func.value, call.args[0] if len(call.args) == 1 and not call.keywords else None
            if isinstance(name, ast.Name) and name.id in self.kept and isinstance(given, ast.Dict):
                self.kept[name.id] |= dict(self.results_in(given) or ())
                return True
        return False

    def all_results(self) -> tuple[str, ...]:
        """The ways to write the results of all metrics."""
        own = self.own.self_name
        return (
            *(f"{{{m}.name: {m}.result() for {m} in {own}.metrics}}" for m in ("m", "metric")),
            f"{own}.get_metrics_result()",
        )

    def results_of(self, text: str, metric: Any) -> list[tuple[str, str]]:
        if metric is COMPILED:
            return [(n, f"{self.own.meter(n)}.average") for n in self.own.names_of_compile()]
        attribute = "total" if metric.leaf == "Sum" else "average"
        return [(self.own.name_of_metric(metric), f"{text}.{attribute}")]

    def log(self, key: ast.expr | None, value: ast.expr) -> tuple[str, str]:
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise self.decline(value, "a step that returns values by names that are not written out is not translated")
        role = self.see(value)
        if role is NUMBER:
            return key.value, self.text(value)
        if not isinstance(role, Tensor) or not role.scalar:
            raise self.decline(value, f"{ast.unparse(value)} is no number that can be followed")
        self.own.raw.append(key.value)
        return key.value, f"{self.atom(value)}.item()"

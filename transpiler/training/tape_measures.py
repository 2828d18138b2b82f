"""Losses and metrics in code with tapes."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transpiler.ir.model import ApiObject, ApiValue
from transpiler.read.keras.evaluate.values import Model
from transpiler.rules.training.base import WHOLE_NUMBERS, Measure, Prediction
from transpiler.rules.training.registry import LossRule, MetricRule, known
from transpiler.training.added_losses import added_losses
from transpiler.training.tape_lowered import RANKS
from transpiler.training.tape_values import NUMBER, PLAIN, Data, Known, Tensor, enclosed, tidy
from transpiler.training.trainer import as_loss, is_metric, name_of, name_of_ending

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

TARGETS = dict.fromkeys(WHOLE_NUMBERS, "torch.long")


class Measures:
    """The part of a region that calls losses and metrics."""

    writer: TapeWriter
    see: Any
    taken: Any
    text: Any
    atom: Any
    become: Any
    let_go: Any
    decline: Any
    value_of: Any
    arguments: Any

    def prediction(self, node: ast.expr, role: Any, loss: str = "") -> Prediction:
        if not isinstance(role, Tensor) or role.shape is None:
            raise self.decline(node, f"the shape of {ast.unparse(node)} is not known")
        return Prediction(role.shape, name_of_ending(role.ending), loss)

    def measured(self, node: ast.Call, measure: Measure, template: str, given: Mapping[str, ast.expr]) -> str:
        """The text of a loss or a metric of what it is given."""
        target, output = given["y_true"], given["y_pred"]
        wanted, role = self.see(target), self.output_of(output)
        assert isinstance(role, Tensor)
        for helper in measure.helpers:
            self.writer.need(helper)
        name, function = measure.function
        if name and not self.writer.has_function(name, function):
            raise self.decline(node, f"the file has two functions {name}()")
        if measure.on_logits:
            text = self.writer.logits_of(self, output, role)
        else:
            text = self.named_output(output) if template.count("{output}") > 1 else self.text(output)
        if isinstance(wanted, Data) or isinstance(wanted, Tensor) and wanted.source is not None:
            own = self.taken(target, wanted, TARGETS.get(measure.target, "torch.float32"))
        elif isinstance(wanted, Tensor):
            own = self.text(target)
            if wanted.shape == role.shape:
                template = template.replace("{target}.view_as({output})", "{target}")
        else:
            raise self.decline(target, f"{ast.unparse(target)} as targets is not translated")
        if "{weight}" in template and len(role.shape or ()) != 2:
            raise self.decline(node, "weights of samples beside outputs of several axes are not translated here")
        weight = self.weight_of(given["sample_weight"]) if "{weight}" in template else ""
        return tidy(template.format(output=enclosed(text), target=enclosed(own), weight=weight))

    def loss_call(self, node: ast.Call, value: ApiObject) -> Any:
        given = self.without_none(self.arguments(node, ("y_true", "y_pred", "sample_weight")))
        if not {"y_true", "y_pred"} <= given.keys():
            raise self.decline(node, "this call of a loss is not translated")
        role = self.see(given["y_pred"])
        measure = self.loss_of_rank(value, given["y_pred"], role, node)
        template = measure.mean_with_weights if "sample_weight" in given else measure.mean
        self.become(node, self.measured(node, measure, template, given))
        return Tensor((), role.learns)

    def loss_of_rank(self, value: Any, output: ast.expr, role: Any, node: ast.AST) -> Measure:
        """A loss of an output, of unknown rank where it is the same for all."""
        name = name_of(value)
        if not isinstance(role, Tensor) or role.shape is not None:
            return self.loss_of(value, self.prediction(output, role, name), node)
        tried = [self.loss_of(value, self.prediction(output, replace(role, shape=r), name), node) for r in RANKS[1:]]
        if any(other.mean != tried[0].mean or other.on_logits or other.helpers for other in tried):
            raise self.decline(output, f"the shape of {ast.unparse(output)} is not known")
        return tried[0]

    def without_none(self, given: dict[str, ast.expr]) -> dict[str, ast.expr]:
        """Arguments without a weight of samples that is None."""
        weight = given.get("sample_weight")
        if weight is not None and self.is_none(weight):
            return {n: v for n, v in given.items() if n != "sample_weight"}
        return given

    def is_none(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and node.value is None

    def weight_of(self, node: ast.expr) -> str:
        """The text of weights of samples."""
        role = self.see(node)
        if not isinstance(role, (Data, Tensor)):
            raise self.decline(node, f"{ast.unparse(node)} as weights of samples is not translated")
        text = enclosed(self.taken(node, role, "torch.float32"))
        return text if isinstance(role, Tensor) and len(role.shape or ()) == 1 else f"{text}.flatten()"

    def loss_value(self, node: ast.Call, value: ApiValue) -> Any:
        """A loss as a function: its values for each sample."""
        given = self.arguments(node, ("y_true", "y_pred", "from_logits", "label_smoothing", "axis"))
        options = {n: self.value_of(a) for n, a in given.items() if n not in ("y_true", "y_pred")}
        if not {"y_true", "y_pred"} <= given.keys() or any(
            not isinstance(v, (bool, int, float)) for v in options.values()
        ):
            raise self.decline(node, "this call of a loss is not translated")
        role = self.see(given["y_pred"])
        prediction = self.prediction(given["y_pred"], role, name_of(value))
        measure = self.loss_of(ApiObject(value, (), options), prediction, node)
        if not measure.each:
            raise self.decline(node, f"the values of {value.leaf}() for each sample are not translated")
        self.become(node, self.measured(node, measure, measure.each, given))
        target = self.see(given["y_true"])
        learns = role.learns or isinstance(target, Tensor) and target.learns
        return Tensor(role.shape[:-1], learns)

    def loss_of(self, value: Any, prediction: Prediction, node: ast.AST) -> Measure:
        rule, arguments = known(LossRule, value, self.writer.generation)
        return rule.lower(arguments, prediction)

    def metric_method(self, node: ast.Call, base: Known, method: str) -> Any:
        assert isinstance(node.func, ast.Attribute)
        text = self.text(node.func.value)
        if method == "update_state":
            return self.update(node, base)
        if method in ("reset_state", "reset_states") and not node.args:
            self.become(node, f"{text}.reset()")
            return PLAIN
        if method == "result" and not node.args:
            self.become(node, f"{text}.{'total' if base.value.leaf == 'Sum' else 'average'}")
            return NUMBER
        raise self.decline(node, f"{method}() of a metric is not translated")

    def update(self, node: ast.Call, base: Known) -> Any:
        """A metric that is told of a batch."""
        func = node.func
        own = node.func.value if isinstance(func, ast.Attribute) and func.attr == "update_state" else node.func
        text = self.text(own)  # type: ignore[arg-type]
        if not self.writer.is_statement(node):
            raise self.decline(node, "what a metric returns for a batch is not translated")
        if base.value.leaf in ("Mean", "Sum"):
            given = self.arguments(node, ("values",))
            if len(given) != 1:
                raise self.decline(node, "this call of a metric is not translated")
            role = self.see(given["values"])
            if not isinstance(role, Tensor):
                self.let_go(given["values"], role)
                self.become(node, f"{text}.update({self.text(given['values'])})")
                return PLAIN
            value = self.atom(given["values"])
            told = f"{value}.mean().item(), {value}.numel()"
            if role.scalar or base.value.leaf == "Sum":
                told = f"{value}.item()" if role.scalar else f"{value}.sum().item()"
            self.become(node, f"{text}.update({told})")
            return PLAIN
        given = self.without_none(self.arguments(node, ("y_true", "y_pred", "sample_weight")))
        if not {"y_true", "y_pred"} <= given.keys():
            raise self.decline(node, "this call of a metric is not translated")
        role = self.output_of(given["y_pred"])
        prediction = self.prediction(given["y_pred"], role)
        kind, value = (MetricRule, base.value) if is_metric(base.value) else (LossRule, as_loss(base.value))
        rule, arguments = known(kind, value, self.writer.generation)
        measure = rule.lower(arguments, prediction)
        if measure.whole or measure.sums:
            raise self.decline(node, f"{base.value.leaf} beside a tape is not translated")
        self.become(node, self.told(node, text, measure, given))
        return PLAIN

    def named_output(self, node: ast.expr) -> str:
        """The text of an output that is read more than once: a variable for what a model computes."""
        text = self.text(node)
        if not any(isinstance(n, ast.Call) for n in ast.walk(node)):
            return str(text)
        if node not in self.writer.named:
            scopes = self.writer.training.scopes
            statement = scopes.statement[node]
            if not isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr, ast.Return)):
                raise self.decline(node, f"{ast.unparse(node)} here is not translated")
            name = self.writer.named[node] = self.writer.training.names.take("output")
            self.writer.changes.first.setdefault(statement, []).append(f"{name} = {text}")
            self.writer.changes.texts[node] = name
        return self.writer.named[node]

    def output_of(self, node: ast.expr) -> Any:
        """The role of what a metric is told of as an output, which may be data."""
        role = self.see(node)
        if isinstance(role, Data) and role.shape is not None and role.known:
            self.taken(node, role, f"torch.{role.known}".replace("int64", "long"))
            return Tensor(role.shape, dtype=role.known)
        return role

    def told(self, node: ast.Call, text: str, measure: Measure, given: Mapping[str, ast.expr]) -> str:
        """The call that tells a meter of a batch."""
        role = self.output_of(given["y_pred"])
        if "sample_weight" in given:
            if not measure.each or measure.weighted or len(role.shape) > 2:
                raise self.decline(node, "this metric of weighted samples is not translated beside a tape")
            weights = self.weight_of(given["sample_weight"])
            total = self.measured(node, measure, f"({measure.each} * {{weight}}).sum()", given)
            return f"{text}.add({total}.item(), {weights}.sum().item())"
        counted = (
            self.writer.logits_of(self, given["y_pred"], role)
            if measure.on_logits
            else self.named_output(given["y_pred"])
        )
        mean = self.measured(node, measure, measure.mean, given)
        return f"{text}.update({mean}.item(), len({counted}))"

    def losses_of(self, node: ast.expr) -> str:
        """The text of the model whose `losses` an expression is."""
        if isinstance(node, ast.Attribute) and node.attr == "losses" and isinstance(self.value_of(node.value), Model):
            return ast.unparse(node.value)
        return ""

    def penalty(self, node: ast.Call) -> Any:
        """What the layers of a model have added to the loss in its last pass, and its regularizers."""
        owner = node.args[0].value  # type: ignore[attr-defined]
        model = self.value_of(owner)
        self.see(owner)
        text = self.text(owner)
        added = re.sub(r"\bmodel\b", text, added_losses(self.writer.training, model))
        if added and self.writer.interpreter.losses_summed:
            raise self.decline(node, "losses of several numbers, which add_loss() was given, are not translated")
        name = self.writer.penalty_of(model)
        parts = [*([added] if added else []), *([f"{name}({text})"] if name else [])]
        self.become(node, f"({' + '.join(parts)})" if len(parts) > 1 else parts[0] if parts else "0")
        return Tensor((), True)

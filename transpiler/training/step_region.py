"""The statements of a `train_step` or `test_step` of the program's, as those of a loop over batches."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS3
from transpiler.read.keras.evaluate.values import Function, Model
from transpiler.training.own_models import acts_by_mode
from transpiler.training.step_batches import Batches
from transpiler.training.step_results import COMPILED, Logs, Results
from transpiler.training.tape_region import Region
from transpiler.training.tape_values import PLAIN, Known, Several, Tensor, Variables, kind_of

if TYPE_CHECKING:
    from transpiler.training.own_steps import Own


class StepRegion(Results, Batches, Region):
    """A method of a model that trains itself; `own` says what `self` is."""

    own: Own
    receiver: str
    """What the result calls the model here."""
    batch: tuple[str, ...] = ()
    """The variables of a batch, where the method is given one."""
    given: str = ""
    """The parameter that holds the batch."""
    whole: bool = False
    """Whether a batch is one array, and no tuple."""
    logs: Logs | None = None
    nones: frozenset[str] = frozenset()
    modes_vary = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: dict[str, dict[str, str]] = {}
        """Variables that hold what the step will return: titles, and the texts of their values."""

    # --- self ------------------------------------------------------------------------------------------------------

    def is_self(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self.own.self_name

    def see_Name(self, node: ast.Name) -> Any:
        if self.is_self(node):
            self.become(node, self.receiver)
            return Known(self.own.model, self.receiver)
        if node.id in self.nones:
            self.become(node, "None")
            return PLAIN
        return super().see_Name(node)

    def see_Attribute(self, node: ast.Attribute) -> Any:
        if not self.is_self(node.value):
            return super().see_Attribute(node)
        self.see(node.value)
        if node.attr in ("trainable_variables", "trainable_weights"):
            return Variables((self.receiver,))
        if node.attr == "optimizer" and "optimizer" not in self.own.attributes:
            self.become(node, self.own.optimizer_name("optimizer"))
            return Known(self.own.optimizer(), "optimizer")
        if node.attr == "compiled_metrics" and self.own.generation != KERAS3:
            return PLAIN
        if node.attr not in self.own.attributes:
            raise self.decline(node, f"{ast.unparse(node)} is not translated")
        value = self.own.attributes[node.attr]
        kind = kind_of(value)
        if kind == "optimizer":
            self.become(node, self.own.optimizer_name(node.attr))
        elif kind == "metric":
            self.become(node, self.own.meter(node.attr))
        elif isinstance(value, Function):
            self.become(node, value.name)
        elif isinstance(value, (bool, int, float, str, type(None))) and not self.own.holder:
            self.become(node, code_of(value))
        elif isinstance(value, (bool, int, float, str, type(None))) and not self.own.made_with(node.attr):
            self.own.late[node.attr] = code_of(value)
        return Known(value, ast.unparse(node))

    def value_of(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Attribute) and self.is_self(node.value):
            return self.own.attributes.get(node.attr)
        if self.is_self(node):
            return self.own.model
        return super().value_of(node)

    def see_Call(self, node: ast.Call) -> Any:
        func = node.func
        if isinstance(func, ast.Attribute) and self.is_self(func.value):
            method = getattr(self, f"call_{func.attr}", None)
            own = self.own.cls.lookup(func.attr)
            if isinstance(own, Function):
                return self.own_method(node, own)
            if method is not None:
                return method(node)
        if (
            isinstance(func, ast.Attribute)
            and ast.unparse(func) == f"{self.own.self_name}.compiled_metrics.update_state"
        ):
            return self.update_compiled(node)
        return super().see_Call(node)

    def losses_of(self, node: ast.expr) -> str:
        found = super().losses_of(node)
        if found and self.is_self(node.value):  # type: ignore[attr-defined]
            raise self.decline(node, f"{ast.unparse(node)} is not translated")
        return found

    def is_method(self, node: ast.Call) -> bool:
        assert isinstance(node.func, ast.Attribute)
        return not self.is_self(node.func.value) and super().is_method(node)

    def own_method(self, node: ast.Call, function: Function) -> Any:
        """A call of another method of the program's."""
        assert isinstance(node.func, ast.Attribute)
        if not self.own.holder:
            raise self.decline(node, f"{function.name}() of a model with a graph is not translated")
        self.see(node.func.value)
        names = [p.arg for p in function.node.args.args]
        given = {n: self.see(v) for n, v in self.arguments(node, names[1:]).items()}
        result = self.writer.function_result(function, given, bool(self.under or self.helper), node)
        if self.writer.results[function.node].calls:
            self.note_inner(node)
        return result

    # --- what Keras does with the loss and the metrics of `compile` ------------------------------------------------

    def call_compute_loss(self, node: ast.Call) -> Any:
        return self.compiled_loss(node, ("x", "y", "y_pred", "sample_weight", "training"))

    def call_compiled_loss(self, node: ast.Call) -> Any:
        if self.own.generation == KERAS3:
            raise self.decline(node, "compiled_loss, which Keras 3 does not have")
        return self.compiled_loss(node, ("y", "y_pred", "sample_weight", "regularization_losses"))

    def compiled_loss(self, node: ast.Call, names: tuple[str, ...]) -> Any:
        given = self.arguments(node, names)
        trainer = self.own.trainer(node)
        if len(trainer.losses) != 1 or trainer.losses[0].weight not in (None, 1, 1.0) or trainer.added:
            raise self.decline(node, "the loss of several outputs or parts beside a tape is not translated")
        shown = self.named(node, given)
        measure = trainer.losses[0].measure
        template = measure.mean_with_weights if "sample_weight" in shown else measure.mean
        text = self.measured(node, measure, template, shown)
        penalised = names[0] == "x" or "regularization_losses" in given
        penalty = self.writer.penalty_of(self.own.graph) if penalised and self.own.graph is not None else ""
        self.become(node, f"{text} + {penalty}({self.receiver})" if penalty else text)
        if self.own.generation != KERAS3:  # which tells the tracker of the loss here
            statement = self.writer.training.scopes.statement[node]
            target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is node else None
            if not isinstance(target, ast.Name):
                raise self.decline(node, "the loss has to be one variable")
            told = f"{self.own.meter('loss')}.update({target.id}.item(), len({self.text(given['y_pred'])}))"
            self.writer.changes.after.setdefault(statement, []).append(told)
            self.own.listed.add("loss")
        return Tensor((), True)

    def named(self, node: ast.Call, given: dict[str, ast.expr]) -> dict[str, ast.expr]:
        """The arguments of a loss or a metric as those of one of Keras's functions."""
        if not {"y", "y_pred"} <= given.keys():
            raise self.decline(node, "this call is not translated")
        found = {"y_true": given["y"], "y_pred": given["y_pred"]}
        if "sample_weight" in given:
            found["sample_weight"] = given["sample_weight"]
        return self.without_none(found)

    def is_none(self, node: ast.expr) -> bool:
        return super().is_none(node) or isinstance(node, ast.Name) and node.id in self.nones

    def update_compiled(self, node: ast.Call) -> Any:
        if self.kept:
            raise self.decline(node, "a metric that is told of a batch after its result is taken")
        given = self.arguments(node, ("y", "y_pred", "sample_weight"))
        self.become(node, "\n".join(self.told_compiled(node, given)))
        return PLAIN

    def told_compiled(self, node: ast.Call, given: dict[str, ast.expr]) -> list[str]:
        """The calls that tell the meters of all metrics of `compile` of a batch."""
        shown = {n: v for n, v in self.named(node, given).items() if n != "sample_weight"}  # metrics= is never weighted
        role = self.see(shown["y_pred"])
        self.own.listed.add("metrics")
        found = self.own.metrics_of_compile(node, self.prediction(shown["y_pred"], role))
        return [self.told(node, self.own.meter(m.name), m.measure, shown) for m in found]

    # --- statements ------------------------------------------------------------------------------------------------

    def do(self, statement: ast.stmt) -> None:
        if self.keeps_results(statement):
            self.writer.changes.texts[statement] = ""
            return
        super().do(statement)

    def do_Assign(self, statement: ast.Assign) -> None:
        if len(statement.targets) == 1 and self.unpacks(statement.targets[0], statement.value):
            self.writer.changes.texts[statement] = ""
            return
        super().do_Assign(statement)
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and value.value is None:
            self.nones |= {target.id}
            self.writer.changes.texts[statement] = ""

    def see_Subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == self.given and not self.whole:
            role = self.roles.get(self.given)
            if isinstance(role, Several) and isinstance(node.slice, ast.Constant) and type(node.slice.value) is int:
                self.become(node, self.batch[node.slice.value])
                return role.items[node.slice.value]
        return super().see_Subscript(node)

    def do_If(self, statement: ast.If) -> None:
        decided = self.decided(statement.test)
        if decided is None:
            super().do_If(statement)
        elif decided:
            self.writer.changes.opened.add(statement)
            self.run(statement.body)
        elif statement.orelse:
            self.writer.changes.otherwise.add(statement)
            self.run(statement.orelse)
        else:
            self.writer.changes.texts[statement] = ""

    def do_For(self, statement: ast.For) -> None:
        if ast.unparse(statement.iter) != f"{self.own.self_name}.metrics" or not isinstance(statement.target, ast.Name):
            super().do_For(statement)
            return
        if self.own.generation != KERAS3 and self.own.compiled.arguments.get("metrics"):
            raise self.decline(statement, "metrics of compile() that legacy Keras does not list before they are told")
        lines: list[str] = []
        for text, metric in self.own.all_metrics(statement):
            self.roles[statement.target.id] = Known(metric, text)
            for inner in self.copied(statement.body, statement.target.id, text):
                self.run([inner])
                lines += self.writer.blocks.statement(inner)
        self.roles.pop(statement.target.id, None)
        self.writer.changes.texts[statement] = "\n".join(lines)

    def update(self, node: ast.Call, base: Known) -> Any:
        if self.kept:
            raise self.decline(node, "a metric that is told of a batch after its result is taken")
        if base.value is not COMPILED:
            return super().update(node, base)
        given = self.arguments(node, ("y", "y_pred", "sample_weight"))
        self.become(node, "\n".join(self.told_compiled(node, given)))
        return PLAIN

    def do_Expr(self, statement: ast.Expr) -> None:
        super().do_Expr(statement)
        text = self.writer.changes.texts.get(statement.value)
        if text is not None and ("\n" in text or not text):  # several statements in the place of one
            self.writer.changes.texts[statement] = text

    # --- modes -----------------------------------------------------------------------------------------------------

    def modes(self, learns: bool) -> list[str]:
        """The lines that set all models to their modes before the first batch; those in which nothing depends on it
        go with the rest, or with whether the function learns."""
        wanted: dict[str, bool] = {}
        changing = [c for c in self.calls if acts_by_mode(self.own.models[c.text])]
        for c in changing:
            if {o.mode for o in changing if o.text == c.text} == {c.mode}:  # else it is set before each of its calls
                wanted[c.text] = c.mode
        if all(wanted.values()) and (wanted or learns):
            return [f"{self.receiver}.train()"]
        if not any(wanted.values()):
            return [f"{self.receiver}.eval()"]
        return [f"{text}.{'train' if mode else 'eval'}()" for text, mode in wanted.items()]

    def set_modes(self) -> None:
        sensitive = [c for c in self.calls if acts_by_mode(self.own.models[c.text])]
        if self.logs is None or any(
            len({c.mode for c in sensitive if c.text == t}) > 1 for t in {c.text for c in sensitive}
        ):
            self.calls = sensitive
            super().set_modes()

    def note_call(self, node: ast.Call, text: str, mode: bool) -> None:
        value = self.value_of(node.func) if not self.is_self(node.func) else self.own.model
        if isinstance(value, Model):
            self.own.models[text] = self.writer.root_of(value, node)
        super().note_call(node, text, mode)

    def bind_role(self, target: ast.expr, role: Any, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.nones -= {target.id}
        super().bind_role(target, role, value)

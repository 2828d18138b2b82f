"""The statements of a `train_step` or `test_step` of the program's, as those of a loop over batches."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS3, ApiObject, ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Function, Model
from transpiler.training.own_models import acts_by_mode
from transpiler.training.tape_region import Region
from transpiler.training.tape_values import NUMBER, PLAIN, Known, Several, Tensor, Variables, kind_of

if TYPE_CHECKING:
    from transpiler.training.own_steps import Own

UNPACKING = "unpack_x_y_sample_weight"
LOSS = ApiObject(ApiValue("keras.metrics.Mean"), (), {"name": "loss"})
"""The tracker of the loss that Keras makes itself."""
COMPILED = ApiObject(ApiValue("keras.metrics.Mean"), (), {"name": "compile_metrics"})
"""What stands for all metrics of a `compile` in Keras 3."""


@dataclass(eq=False)
class Logs:
    """What a step returns: titles and the texts of their values."""

    items: list[tuple[str, str]] = field(default_factory=list)
    found: bool = False


class StepRegion(Region):
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

    def unpacks(self, target: ast.expr, value: ast.expr) -> bool:
        """Whether a statement takes the batch apart, into the variables that the loop has for it."""
        names = unpacked(target, value, self.given)
        if not names:
            return False
        calls = isinstance(value, ast.Call)
        role = self.roles.get(self.given)
        items = role.items if isinstance(role, Several) else (role,)
        if calls:
            self.nones |= set(names[len(items) :])
        if (not calls and len(names) != len(items)) or tuple(names[: len(items)]) != self.batch:
            raise self.decline(value, "a batch that is taken apart in several ways is not translated")
        self.roles |= dict(zip(names, items)) | dict.fromkeys(names[len(items) :], PLAIN)
        return True

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

    def decided(self, test: ast.expr) -> bool | None:
        """The outcome of a test of what a batch is made of, or of the name of a metric; None for others."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.decided(test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance" and len(test.args) == 2:
            kinds = ast.unparse(test.args[1])
            if (
                isinstance(test.args[0], ast.Name)
                and test.args[0].id == self.given
                and kinds in ("tuple", "(tuple, list)", "(list, tuple)")
            ):
                return isinstance(self.roles.get(self.given), Several)
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return None
        left, right = test.left, test.comparators[0]
        equal = isinstance(test.ops[0], (ast.Eq, ast.Is))
        if not equal and not isinstance(test.ops[0], (ast.NotEq, ast.IsNot)):
            return None
        if (
            isinstance(left, ast.Name)
            and isinstance(right, ast.Constant)
            and right.value is None
            and left.id in self.roles
        ):
            return (left.id in self.nones) == equal
        role = self.roles.get(self.given)
        if ast.unparse(left) == f"len({self.given})" and isinstance(right, ast.Constant) and isinstance(role, Several):
            return (len(role.items) == right.value) == equal
        if isinstance(left, ast.Attribute) and left.attr == "name" and isinstance(right, ast.Constant):
            metric = self.roles.get(left.value.id) if isinstance(left.value, ast.Name) else None
            if isinstance(metric, Known) and kind_of(metric.value) == "metric":
                return (self.own.name_of_metric(metric.value) == right.value) == equal
        return None

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

    def copied(self, body: list[ast.stmt], name: str, text: str) -> list[ast.stmt]:
        """A loop's body for one of its rounds, in which the variable is another text."""
        scopes, found = self.writer.training.scopes, copy.deepcopy(body)
        for old, new in zip(body, found):
            pairs = dict(zip(ast.walk(old), ast.walk(new)))
            for was, now in pairs.items():
                scopes.scope[now] = scopes.scope.get(was)
                if was in scopes.statement:
                    scopes.statement[now] = pairs.get(scopes.statement[was], now)  # type: ignore[assignment]
                if isinstance(now, ast.Name) and now.id == name:
                    self.writer.changes.texts[now] = text
        return found

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

    # --- modes -----------------------------------------------------------------------------------------------------

    def modes(self) -> list[str]:
        """The lines that set all models to their modes before the first batch; those in which nothing depends on it
        are set to train with the rest."""
        wanted: dict[str, bool] = {}
        changing = [c for c in self.calls if acts_by_mode(self.own.models[c.text])]
        for c in changing:
            if {o.mode for o in changing if o.text == c.text} == {c.mode}:  # else it is set before each of its calls
                wanted[c.text] = c.mode
        if all(wanted.values()):
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


def unpacked(target: ast.expr, value: ast.expr, batch: str) -> list[str]:
    """The variables that a statement takes a batch apart into; none for other statements."""
    source = value
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == UNPACKING and len(value.args) == 1:
        source = value.args[0]
    if not isinstance(source, ast.Name) or source.id != batch or not isinstance(target, (ast.Tuple, ast.List)):
        return []
    return (
        [t.id for t in target.elts if isinstance(t, ast.Name)]
        if all(isinstance(t, ast.Name) for t in target.elts)
        else []
    )


def batch_names(method: ast.FunctionDef, batch: str, count: int | None) -> list[str]:
    """What a step calls the parts of its batch, `count` of them, if it takes it apart."""
    for n in nodes(method):
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and (names := unpacked(n.targets[0], n.value, batch)):
            if isinstance(n.value, ast.Call):
                return names[:count]
            if count is None or len(names) == count:
                return names
    return []

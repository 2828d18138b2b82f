"""Training code of the source, statement by statement, as PyTorch."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined, Finding, Severity, Span, excerpt
from transpiler.ir.conversion import TrainingPlan
from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS3, ApiObject, ApiValue, Args, Layer
from transpiler.ir.naming import Names
from transpiler.ir.program import ModuleClass, Value, tensors
from transpiler.ir.trees import nodes
from transpiler.passes.logits import last_activations, last_call, pass_logits_on, split_logits
from transpiler.read.keras.evaluate.api import WEIGHT_METHODS
from transpiler.read.keras.evaluate.data_objects import Batches
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.training_calls import Toggle, TrainingCall, argument_nodes
from transpiler.read.keras.evaluate.values import Generator, Instance, Model
from transpiler.read.keras.names import canonical
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import Recorder
from transpiler.read.keras.units import layers_of
from transpiler.rules.base import Raw, call
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.rules.training.callbacks import CallbackRule, Loop, torch_file
from transpiler.rules.training.registry import known
from transpiler.training.constraints import constraints_of
from transpiler.training.data import DTYPES, DataWriter, Stream, class_weights, is_none, remaining
from transpiler.training.edits import edited
from transpiler.training.freezing import trained_parts
from transpiler.training.image_generators import ImageGenerators
from transpiler.training.loops import DEVICE, EpochFunction, epoch_function
from transpiler.training.map_functions import MapFunction, changed_functions
from transpiler.training.own_callbacks import own_callback
from transpiler.training.penalties import penalties_of
from transpiler.training.pipelines import PipelineWriter
from transpiler.training.places import places_of
from transpiler.training.saving import given_on, weights_call
from transpiler.training.source import Scopes, known_here, object_at
from transpiler.training.tape import TapeWriter
from transpiler.training.trainer import Functions, Trainer, optimizer_of, trainer_of
from transpiler.training.utilities import UtilityWriter
from transpiler.training.whole_weights import check_embeddings, check_whole
from transpiler.write.torch.layout import render
from transpiler.write.torch.module import FileEdit, used_identifiers

NOT_TRANSLATED = {
    "fit": ("validation_freq",),
    "evaluate": ("callbacks",),
    "predict": ("steps", "callbacks"),
    "predict_on_batch": (),
    "train_on_batch": ("class_weight",),
    "test_on_batch": (),
}
"""Arguments of methods that are declined if they are given."""


@dataclass
class Training:
    """One `compile` and what was written for it."""

    trainer: Trainer
    receiver: str
    optimizer: str = ""
    epoch: EpochFunction | None = None
    code: OptimizerCode | None = None
    weighted: bool = False
    """Whether samples have weights."""
    scheduler: str = ""
    penalty: str = ""
    """The function that adds up what is added to the loss for the weights."""
    constrain: str = ""
    """The function that changes the weights after every step."""
    covered: list[Layer] = field(default_factory=list)
    """The layers whose regularizers and constraints these are."""
    parts: list[str] = field(default_factory=list)
    """The variables of the models whose weights are trained, where that is not all of the model."""
    toggles: list[Toggle] = field(default_factory=list)
    """What was set to be trained or not for that."""
    first: ast.Call | None = None
    """The call that makes the optimizer, where the `compile` stands in code that became a factory."""


class TrainingWriter:
    """Rewrites what a file does with its models, where all of it is translated."""

    def __init__(
        self,
        source: SourceModule,
        interpreter: Recorder,
        edit: FileEdit,
        roots: Callable[[Any], ModuleClass | None],
        gone: Collection[ast.AST],
        names_of_file: Mapping[str, Any],
        functions: Functions,
        frozen: Collection[Span] = (),
    ) -> None:
        self.source, self.interpreter, self.edit = source, interpreter, edit
        self.calls, self.generation = interpreter.training_calls, interpreter.generation
        self.roots = roots
        """The class of a model."""
        self.gone = gone
        """The nodes of what is replaced by classes and factories."""
        self.names_of_file = names_of_file
        self.functions_of_program = functions
        self.frozen = frozen
        """Where the source sets `trainable` so that the classes of the result have it."""
        self.scopes = Scopes(source)
        self.names = Names(frozenset(used_identifiers(source.tree)) | {n for _, n in self.scopes.bound})
        self.functions: dict[str, str] = {}
        """Texts of functions that the file needs → their names."""
        self.declined: dict[ast.expr, Declined] = {}
        """Calls that are not translated, and why."""
        self.edits: dict[ast.stmt, dict[ast.AST, str]] = {}
        """Expressions that are replaced, by their statements."""
        self.several = False
        """Whether the file compiles more than one model."""
        self.handled: set[ast.Call] = set()
        """Calls that are translated."""
        self.trained: set[ast.stmt] = set()
        """The statements that they stand in."""
        self.plans: list[tuple[Any, TrainingPlan]] = []
        """Models, and how they are trained."""
        self.notes: list[Finding] = []
        """What is not quite the same in training."""
        self.own_callbacks: set[str] = set()
        """The variables that hold callbacks of the program."""
        self.covered: list[Layer] = []
        """The layers whose regularizers and constraints are translated."""
        self.settled_toggles: list[Toggle] = []
        """What sets `trainable`, which the optimizers of the result say."""
        made = {n: p for n, p in interpreter.pipelines.items() if n in self.scopes.scope and n not in gone}
        first = interpreter.image_data_format != "channels_last"
        self.pipelines = PipelineWriter(made, self.takes, self.need_helper, interpreter.eval, self.place_mapped, first)
        self.handled_statements: set[ast.stmt] = set()
        """Statements of the top level that train with tapes, and are translated."""

    def write(self) -> None:
        """Rewrites all that is done with a model where every part of it is translated, and nothing of it otherwise."""
        here = {n: c for n, c in self.calls.items() if n in self.scopes.scope and n not in self.gone}
        by_compile: dict[ast.Call | None, list[ast.Call]] = {}
        for node, evaluations in here.items():
            for evaluation in evaluations:
                if evaluation.method in WEIGHT_METHODS:
                    self.write_alone(evaluation)
                    continue
                owner = node if evaluation.method == "compile" else getattr(evaluation.compiled, "node", None)
                group = by_compile.setdefault(owner, [])
                if node not in group:
                    group.append(node)
        receivers = {
            ast.unparse(o.func.value) for o in by_compile if o is not None and isinstance(o.func, ast.Attribute)
        }
        self.several = len(receivers) > 1
        for owner, group in by_compile.items():
            try:
                self.write_group(owner, group)
            except Declined as declined:
                for node in group:
                    self.declined[node] = declined
        self.write_pipelines()
        self.drop_toggles()
        self.drop_arguments()
        ImageGenerators(self).write()
        UtilityWriter(self).write()
        TapeWriter(self).write()
        for read in self.interpreter.history_reads:  # the result has the numbers themselves
            if read in self.scopes.statement and read not in self.gone and self.handled:
                self.edits.setdefault(self.scopes.statement[read], {})[read] = ast.unparse(read.value)
        self.apply_edits()
        self.place_functions()

    def write_pipelines(self) -> None:
        """Pipelines of `tf.data`, in code that stays."""
        made = self.pipelines.pipelines
        inner = {n.func.value for n in made if isinstance(n.func, ast.Attribute)}
        for node in made:
            statement = self.statement_of(node)
            if node in inner or statement in self.trained:
                continue
            try:
                text = self.pipelines.text(node)
            except Declined as declined:
                self.declined[node] = declined
                continue
            targets = [ast.unparse(t) for t in statement.targets] if isinstance(statement, ast.Assign) else []
            if targets == [text]:
                self.edit.removed.add(statement)
            else:
                self.edits.setdefault(statement, {})[node] = text

    def need_helper(self, helper: str) -> str:
        """Notes a helper; the name that it has in this file."""
        if helper not in self.edit.helpers and helper in self.scopes.names_at(self.source.tree.body[0]):
            self.edit.other_names.setdefault(helper, self.names.take(f"{helper}_"))
        self.edit.needs([helper])
        return self.edit.other_names.get(helper, helper)

    def place_mapped(self, changed: MapFunction) -> None:
        """Puts the new texts of functions that items of pipelines go through where they stand."""
        mapped = {f.node for f in self.interpreter.mapped.values()}
        for function, text in changed_functions(changed, self.source, mapped, self.scopes):
            if self.edit.replaced.get(function, text) != text:
                raise Declined(TRAINING, f"{function.name}() means different things each time it is given to map()")
            self.edit.replaced[function] = text

    def drop_toggles(self) -> None:
        """What sets `trainable`, where all of the training is translated: the optimizers say it, or `requires_grad_`."""
        for toggle in self.settled_toggles:
            statement = toggle.statement
            if not isinstance(statement, ast.Assign) or statement not in self.scopes.scope or self.declined:
                continue
            self.handled_statements.add(statement)
            if toggle.late:
                self.edit.removed.add(statement)
            else:
                target = statement.targets[0]
                assert isinstance(target, ast.Attribute)
                self.edit.replaced[statement] = f"{ast.unparse(target.value)}.requires_grad_({toggle.value})"

    def drop_arguments(self) -> None:
        """Removes assignments of what only went into calls that are translated: optimizers, lists of callbacks."""
        found = {
            node for n in self.handled for e in self.calls[n] for v in e.arguments.values() for node in made_by(v, e)
        }
        kept = [s for s in set(self.scopes.statement.values()) if isinstance(s, ast.Assign) and s not in self.gone]
        names = {
            t.id: s for s in kept for t in s.targets if len(s.targets) == 1 and isinstance(t, ast.Name)
            and self.scopes.bound.get((self.scopes.scope[s], t.id)) == 1
        }  # fmt: skip
        candidates: dict[str, ast.Assign] = {}
        while more := {
            n: s
            for n, s in names.items()
            if n not in candidates and only_of(s.value, found, {*candidates, *self.own_callbacks})
        }:
            candidates |= more
        changed = True
        while changed:
            gone = {*self.trained, *candidates.values()}
            read = {
                n.id
                for n, statement in self.scopes.statement.items()
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and statement not in gone
            }
            changed = bool(candidates.keys() & read)
            candidates = {n: s for n, s in candidates.items() if n not in read}
        self.edit.removed |= set(candidates.values())

    def path_of(self, node: ast.AST) -> str:
        """The name that a part of Keras has today, of an expression that means one wherever it is evaluated."""
        if isinstance(node, ast.Name):
            scope = self.scopes.scope[node]
            value = self.names_of_file.get(node.id)
            hidden = scope is not None and (scope, node.id) in self.scopes.bound
            return value.path if isinstance(value, ApiValue) and not hidden else ""
        if isinstance(node, ast.Attribute):
            return canonical(f"{path}.{node.attr}") if (path := self.path_of(node.value)) else ""
        return ""

    def apply_edits(self) -> None:
        """Writes the statements of which expressions are replaced; those inside of others go with these."""
        around = {
            s: [o for o in self.edits if o is not s and s in nodes(o)] for s in (*self.edits, *self.edit.replaced)
        }
        for statement, edits in self.edits.items():
            if statement in self.edit.replaced:  # by a text that has these expressions as they were
                for node, new in edits.items():
                    old = re.escape(ast.unparse(node))
                    text = re.sub(rf"(?<![\w.]){old}(?!\w)", new.replace("\\", r"\\"), self.edit.replaced[statement])
                    self.edit.replaced[statement] = text
                continue
            if around[statement]:
                continue
            inside = [s for s, outer in around.items() if statement in outer]
            whole: dict[ast.AST, str] = dict(edits)
            for inner in inside:
                whole |= self.edits.get(inner, {})  # type: ignore[call-overload]
                if inner in self.edit.replaced:
                    indent = " " * inner.col_offset  # type: ignore[attr-defined]
                    whole[inner] = textwrap.indent(self.edit.replaced.pop(inner), indent).lstrip()
            text = edited(self.source.text, statement, whole)
            self.edit.replaced[statement] = re.sub(r"^(class \w+)\(\):", r"\1:", text, flags=re.M)

    def place_functions(self) -> None:
        """Puts the functions above the first statement that does something with a model."""
        first = next((s for s in self.source.tree.body if any(n in self.trained for n in nodes(s))), None)
        if first is not None and self.functions:
            self.edit.before.setdefault(first, []).extend(self.functions.values())

    def write_alone(self, evaluation: TrainingCall) -> None:
        """Calls that save and load weights, which need nothing but the model."""
        try:
            if self.roots(evaluation.model) is None:
                raise Declined(TRAINING, "the model is not converted")
            arguments = argument_nodes(evaluation.node, evaluation.method, self.generation)
            statement = self.statement_of(evaluation.node)
            if evaluation.method != "get_weights" or not given_on(evaluation.node, statement):
                text = weights_call(self.receiver_of(evaluation.node), evaluation, arguments)
                self.replace_expression(evaluation.node, text)
                self.rename_file((arguments or {}).get("filepath"))
            self.handled.add(evaluation.node)
            self.trained.add(self.statement_of(evaluation.node))
        except Declined as declined:
            self.declined[evaluation.node] = declined

    def rename_file(self, node: ast.expr | None) -> None:
        """Gives a file its new name wherever the source writes it out."""
        old = node.value if isinstance(node, ast.Constant) else None
        if isinstance(old, str) and torch_file(old) != old:
            for other, statement in self.scopes.statement.items():
                if isinstance(other, ast.Constant) and other.value == old and other not in self.gone:
                    self.edits.setdefault(statement, {}).setdefault(other, code_of(torch_file(old)))

    def write_group(self, owner: ast.Call | None, group: Sequence[ast.Call]) -> None:
        """What is done with a model from one `compile` on."""
        outer = self.functions, self.edits, dict(self.edit.replaced), set(self.edit.removed), list(self.edit.helpers)
        self.functions, self.edits = dict(self.functions), {s: dict(e) for s, e in self.edits.items()}
        try:
            training = self.training_of(owner, group)
            for node in sorted(group, key=lambda n: (n.lineno, n.col_offset)):
                for evaluation in self.calls[node]:
                    getattr(self, f"write_{evaluation.method}", self.write_other)(evaluation, training)
        except Declined:
            self.functions, self.edits, self.edit.replaced, self.edit.removed, self.edit.helpers = outer
            raise
        if training is not None and training.code is not None:
            self.write_rates(training)
        self.handled.update(group)
        if training is not None:
            self.covered += training.covered
        if owner is not None and owner in self.scopes.scope:
            self.handled.add(owner)
        if training is not None:
            self.settled_toggles += training.toggles
        if training is not None and training.epoch is not None and training.code is not None and not training.toggles:
            self.plans.append((training.trainer.compiled.model, self.plan_of(training)))
        self.trained.update(self.statement_of(n) for n in group)

    def training_of(self, owner: ast.Call | None, group: Sequence[ast.Call]) -> Training | None:
        """The losses, the optimizer and the function for an epoch, as far as the group needs them."""
        evaluations = [
            e for n in group for e in self.calls[n] if e.node is owner or e.compiled is not None or owner is None
        ]
        methods = {e.method for e in evaluations}
        if owner is None:
            if methods - {"predict", "predict_on_batch"}:
                raise Declined(TRAINING, "the model is not compiled by code that could be evaluated")
            return None
        compiled = self.calls[owner][-1]
        if not methods - {"compile", "predict", "predict_on_batch"}:
            return None
        model = compiled.model
        root = self.roots(model)
        if root is None:
            raise Declined(TRAINING, "the model is not converted")
        endings = last_activations(root)
        inner = self.last_model(model, root)
        if inner is not None and endings == [""]:
            endings = last_activations(inner)
        trainer = trainer_of(
            compiled, self.generation, endings, self.functions_of_program, self.recovers, self.maker_of
        )
        if trainer.needs_logits and inner is not None:
            split_logits(inner)
            pass_logits_on(root, endings[0])
        elif trainer.needs_logits:
            split_logits(root)
        if not isinstance(owner.func, ast.Attribute):
            raise Declined(TRAINING, "this way to call compile() is not translated")
        training = Training(trainer, ast.unparse(owner.func.value))
        learns = methods & {"fit", "train_on_batch"}
        if learns:
            fitted = [e for e in evaluations if e.method == "fit"]
            changing = bool(rate_places(self.scopes.statement, training.receiver)) or any(
                getattr(r, "changes_rate", False) for e in fitted for r, _ in self.callbacks(e)
            )
            training.code = optimizer_of(compiled, owner, self.scopes, self.generation, changing)
            self.note_differences(training, compiled)
            if training.code.by_row and self.generation != KERAS3:
                check_embeddings(layers_of(model, self.interpreter), self.interpreter.built)
            if training.code.schedule is not None and changing:
                raise Declined(TRAINING, "a callback that changes a learning rate which decays is not translated")
            if training.code.whole:
                check_whole(layers_of(model, self.interpreter), self.interpreter.built, training.code.whole)
            training.optimizer = self.variable_beside(training.receiver, "optimizer")
            if training.code.schedule is not None:
                training.scheduler = self.variable_beside(training.receiver, "scheduler")
            if owner in self.gone:
                training.first = self.first_learning(group)
            self.note_parts(training, owner, [e for e in evaluations if e.method in ("fit", "train_on_batch")])
        fits = [e for e in evaluations if e.method == "fit"]
        training.weighted = any(
            e.arguments.get(n) is not None for e in evaluations for n in ("sample_weight", "class_weight")
        )
        progress = any(e.arguments.get("verbose", "auto") not in (0, 2, False) for e in fits)
        inputs = len(tensors(model.inputs))
        if methods & {"fit", "evaluate", "train_on_batch", "test_on_batch"}:
            code = training.code
            training.penalty = self.on_weights(training, model, penalties_of, "penalty")
            if code is not None and code.constrains:
                training.constrain = self.on_weights(training, model, constraints_of, "constrain")
            own = training.receiver.rpartition(".")[2] if self.several else ""
            name = self.names.take(f"run_{own}_epoch" if own.isidentifier() else "run_epoch")
            used = [e for e in evaluations if e.method in ("fit", "evaluate")]
            loads = any(not isinstance(e.arguments.get("x"), (Generator, Pipeline)) for e in used)
            training.epoch = epoch_function(
                name,
                trainer,
                inputs,
                code.clipping if code else (),
                bool(training.scheduler),
                training.weighted,
                progress,
                "DataLoader" if loads else "Iterable",
                training.penalty,
                training.constrain,
            )
            texts = {n: t.replace(f"def {n}(", f"def {name}(", 1) for n, t in self.functions.items()}
            same = next((n for n, text in texts.items() if text == training.epoch.text), "")
            if same:
                training.epoch = replace(training.epoch, name=same, text=self.functions[same])
            self.functions[training.epoch.name] = training.epoch.text
            self.takes(*("torch.utils.data", "DataLoader") if loads else ("collections.abc", "Iterable"))
            self.edit.needs(trainer.helpers)
            for title, text in (m.measure.function for m in (*trainer.losses, *trainer.metrics)):
                self.own_function(title, text)
            if progress:
                self.takes("tqdm", "tqdm")
        return training

    def last_model(self, model: Model, root: ModuleClass) -> ModuleClass | None:
        """The class of the model that a model ends in, if it calls one last."""
        outputs = tensors(model.outputs)
        inner = self.interpreter.nested.get(outputs[0], (None,))[0] if len(outputs) == 1 else None
        if not isinstance(inner, Model) or len(tensors(inner.outputs)) != 1 or last_call(root) is None:
            return None
        return self.roots(inner)

    def note_parts(self, training: Training, owner: ast.Call, learning: list[TrainingCall]) -> None:
        """Which parts of the model are trained, where some are frozen for the training alone."""
        compiled = training.trainer.compiled
        taken = [c for c in self.calls[owner] if any(e.compiled is c for e in learning)] or [compiled]
        found = [
            trained_parts(c, [e for e in learning if e.compiled is c], self.interpreter, self.frozen) for c in taken
        ]
        if any(parts != found[0][0] for parts, _ in found):
            raise Declined(TRAINING, "a model whose trained parts differ from call to call is not translated")
        training.parts, training.toggles = found[0]
        if training.parts and (training.first is not None or training.code is not None and training.code.clipping):
            raise Declined(TRAINING, "clipped gradients of a part of a model are not translated")
        if training.parts and self.found_on_weights(compiled.model, penalties_of):
            raise Declined(TRAINING, "regularizers in a model of which a part is frozen are not translated")

    def variable_beside(self, receiver: str, what: str) -> str:
        """A variable for what goes with a model: an attribute of the same object where the model is one."""
        base, _, name = receiver.rpartition(".")
        label = f"{name}_{what}" if name.isidentifier() and (self.several or base and name != "model") else what
        taken = {n.attr for n in self.scopes.scope if isinstance(n, ast.Attribute)}
        while base and label in taken:
            label += "_"
        return f"{base}.{label}" if base else self.names.take(label)

    @staticmethod
    def optimizer_at(training: Training, node: ast.Call) -> list[str]:
        """The optimizer, and the schedule of its learning rate if it has one, from where a call stands."""
        assert isinstance(node.func, ast.Attribute)
        base = ast.unparse(node.func.value).rpartition(".")[0]
        own = training.receiver.rpartition(".")[0]
        names = [n for n in (training.optimizer, training.scheduler) if n]
        return [f"{base}.{n.rpartition('.')[2]}" if own else n for n in names]

    def note_differences(self, training: Training, compiled: TrainingCall) -> None:
        """Notes what torch does in its own way when it trains a model."""
        layers = layers_of(compiled.model, self.interpreter)
        kinds = {layer.rule.keras[0] for layer in layers if isinstance(layer, Layer)}
        found = []
        if "BatchNormalization" in kinds:
            found.append("the running variance of nn.BatchNorm is the unbiased one, that of Keras is biased")
        by_row = training.code is not None and training.code.by_row
        if "Embedding" in kinds and by_row and self.generation == KERAS3:
            found.append(
                "gradients of rows of embeddings are summed before they are squared or clipped, which Keras 3 does after"
            )
        span = self.source.span(compiled.node)
        self.notes += [Finding("K2T501", Severity.NOTE, text, "", span, excerpt(span)) for text in found]

    def write_rates(self, training: Training) -> None:
        """Learning rates that the program sets and reads by hand."""
        for node, value in rate_places(self.scopes.statement, training.receiver):
            if node in self.gone:
                continue
            optimizer = training.optimizer
            if value is None:
                self.replace_expression(node, f"{optimizer}.param_groups[0]['lr']")
            else:
                lines = [f"for group in {optimizer}.param_groups:", f"    group['lr'] = {ast.unparse(value)}"]
                self.replace(self.scopes.statement[node], "\n".join(lines))

    def own_function(self, name: str, text: str) -> None:
        """Notes a function of a loss. Raises Declined if the file has another one of this name."""
        if not name:
            return
        if self.functions.get(name, text) != text or name in self.scopes.names_at(self.source.tree.body[0]):
            raise Declined(TRAINING, f"the file has two functions {name}()")
        self.functions = {name: text, **self.functions}

    def maker_of(self, output: Value) -> Any:
        """The layer that makes an output."""
        origin = self.interpreter.origins.get(output)
        return origin.layer if origin is not None else None

    def recovers(self, output: Value) -> bool:
        """Whether Keras knows the logits of an output; also where that cannot be told."""
        try:
            return any(self.interpreter.logits_behind(output, kind) is not None for kind in ("sigmoid", "softmax"))
        except Declined:
            return True

    def found_on_weights(self, model: Model, find: Callable[..., Any]) -> Any:
        """The regularizers or constraints that `find` finds of a model; None where no layer asks for any."""
        layers, built, root = layers_of(model, self.interpreter), self.interpreter.built, self.roots(model)
        return find(layers, built, self.generation, lambda: root and places_of(root, layers, built))

    def on_weights(self, training: Training, model: Model, find: Callable[..., Any], name: str) -> str:
        """The function for the regularizers or constraints that `find` finds of a model; "" if there are none."""
        found = self.found_on_weights(model, find)
        if found is None:
            return ""
        training.covered += found.layers
        if not found:
            return ""
        name = self.names.take(name)
        self.functions[name] = found.text(name)
        self.edit.needs(found.helpers)
        return name

    def first_learning(self, group: Sequence[ast.Call]) -> ast.Call:
        """The first call that trains. Raises Declined if there are others that do not surely come after it."""
        learning = [n for n in group if any(e.method in ("fit", "train_on_batch") for e in self.calls[n])]
        learning.sort(key=lambda n: (n.lineno, n.col_offset))
        bodies = {id(self.body_of(self.statement_of(n))) for n in learning}
        if len(bodies) > 1:
            raise Declined(TRAINING, "a model that its builder compiles is trained in several places")
        return learning[0]

    def body_of(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements beside a statement."""
        for node in (self.source.tree, *self.scopes.scope):
            for name in ("body", "orelse", "finalbody"):
                found = getattr(node, name, None)
                if isinstance(found, list) and statement in found:
                    return found
        raise AssertionError("a statement outside of the file")

    @staticmethod
    def plan_of(training: Training) -> TrainingPlan:
        code, epoch = training.code, training.epoch
        assert code is not None and epoch is not None
        kinds = {m.output: m.measure.target for m in (*training.trainer.metrics, *training.trainer.losses)}
        compiling = ast.unparse(training.trainer.compiled.node).replace("{", "{{").replace("}", "}}")
        return TrainingPlan(
            compiling.replace(f"{training.receiver}.compile", "{model}.compile", 1),
            epoch.name,
            call(code.function, Raw("{model}.parameters()"), **code.arguments),
            code.schedule.factor if code.schedule is not None else "",
            epoch.titles,
            tuple((kinds.get(i, "numbers"), tuple(p.shape)) for i, p in enumerate(training.trainer.predictions)),
            training.weighted,
        )

    def write_compile(self, evaluation: TrainingCall, training: Training | None) -> None:
        statement = self.statement_of(evaluation.node)
        made = [] if training is None or training.code is None else self.optimizer_lines(training, training.receiver)
        self.replace(statement, "\n".join(made))

    def optimizer_lines(self, training: Training, model: str) -> list[str]:
        """The statements that make the optimizer of a model."""
        assert training.code is not None
        code = training.code
        parts = training.parts or [model]
        trained = (
            f"{parts[0]}.parameters()" if len(parts) == 1 else f"[{', '.join(f'*{p}.parameters()' for p in parts)}]"
        )
        made = call(code.function, Raw(trained), **code.arguments)
        self.edit.needs((*code.helpers, *(code.schedule.helpers if code.schedule is not None else ())))
        self.edit.dropped_names |= set(code.helpers)
        lines = [f"{model}.to({DEVICE})", f"{training.optimizer} = {made}"]
        if code.schedule is not None:
            factor = f"lambda step: {code.schedule.factor}"
            lines.append(f"{training.scheduler} = torch.optim.lr_scheduler.LambdaLR({training.optimizer}, {factor})")
        return lines

    def write_fit(self, evaluation: TrainingCall, training: Training | None) -> None:
        assert training is not None and training.epoch is not None
        self.check(evaluation)
        arguments = argument_nodes(evaluation.node, "fit", self.generation)
        if arguments is None:
            raise Declined(TRAINING, "fit() with * or ** is not translated")
        statement = self.statement_of(evaluation.node)
        target = self.target_of(statement, evaluation.node)
        self.replace(statement, self.fit_text(evaluation, training, arguments, target))

    def fit_text(
        self, evaluation: TrainingCall, training: Training, arguments: dict[str, ast.expr], target: str | None
    ) -> str:
        epoch = training.epoch
        assert epoch is not None
        names = Names(self.scopes.names_at(evaluation.node) | frozenset(self.functions))
        model = self.receiver_of(evaluation.node)
        lines = self.optimizer_lines(training, model) if training.first is evaluation.node else []
        train, held = self.streams(evaluation, training, arguments, names)
        trained = epoch.variables("train", names)
        held_out = epoch.variables("val", names) if held is not None else []
        values = dict(zip((*epoch.titles, *(f"val_{t}" for t in epoch.titles)), (*trained, *held_out)))
        epoch_name = names.take("epoch")
        rising = {m.name for m in training.trainer.metrics if m.measure.rising}
        rising |= {f"val_{n}" for n in rising}
        options = self.optimizer_at(training, evaluation.node)
        loop = Loop(model, options[0], epoch_name, values, frozenset(rising), names.take)
        acts = [
            own_callback(rule, a, loop) if isinstance(rule, Instance) else rule.lower(a, loop)
            for rule, a in self.callbacks(evaluation)
        ]
        for act in acts:
            for name, module in act.libraries.items():
                self.takes(module, name)
        streams = [s for s in (train, held) if s is not None]
        return render(
            "training/fit",
            lines=[*lines, *(n for s in streams for n in s.lines), *(n for act in acts for n in act.before)],
            history=target,
            values=values,
            epoch=epoch_name,
            begin=[line for act in acts for line in act.begin],
            end=[*(line for act in acts for line in act.end), *(n for s in streams for n in s.end)],
            stop=[line for act in acts for line in act.stop],
            after=[line for act in acts for line in act.after],
            first=self.text(arguments.get("initial_epoch"), "0"),
            epochs=self.text(arguments.get("epochs"), "1"),
            trained=trained,
            held_out=held_out,
            train_call=f"{epoch.name}({model}, {train.epoch}, {', '.join(options)})",
            val_call=f"{epoch.name}({model}, {held.epoch})" if held is not None else "",
            prints=known_here(evaluation, "verbose", "auto") != 0,
        )

    def streams(
        self, evaluation: TrainingCall, training: Training, arguments: dict[str, ast.expr], names: Names
    ) -> tuple[Stream, Stream | None]:
        """The data of a `fit` to train with and, if there is any, to validate with."""
        data = self.data_of(training)
        shuffle = known_here(evaluation, "shuffle", True)
        if not isinstance(shuffle, bool):
            raise Declined(TRAINING, "fit(shuffle=…) with anything but True and False is not translated")
        size = self.text(arguments.get("batch_size"), "32", none="32")
        steps = self.text(arguments.get("steps_per_epoch"), "", none="")
        train = Stream(epoch=names.take("train_loader"))
        split = known_here(evaluation, "validation_split", 0.0)
        held = self.validation(evaluation, data, arguments, size, names)
        if not given(arguments, "y"):
            if "x" not in arguments:
                raise Declined(TRAINING, "fit() without data is not translated")
            value = evaluation.arguments.get("x")
            return data.batches("train_batches", arguments["x"], value, steps, shuffle, names, False), held
        if steps:
            raise Declined(TRAINING, "a number of steps beside arrays is not translated")
        columns = data.columns(arguments, class_weights(arguments.get("class_weight"), data))
        if held is not None or not split:
            train.lines = [f"{train.epoch} = {data.loader(columns, size, shuffle)}"]
            return train, held
        held = Stream(epoch=names.take("val_loader"))
        wholes = [names.take(n) for n in data.column_names(len(columns))]
        cut = names.take("split")
        train.lines = [f"{n} = {c}" for n, c in zip(wholes, columns)]
        train.lines.append(f"{cut} = int(len({wholes[0]}) * {remaining(arguments['validation_split'], split)})")
        train.lines.append(f"{train.epoch} = {data.loader([f'{n}[:{cut}]' for n in wholes], size, shuffle)}")
        rest = [f"{n}[{cut}:]" for n in wholes]
        if data.weighted and not given(arguments, "sample_weight"):
            rest[-1] = f"torch.ones(len({wholes[0]}) - {cut})"  # classes have weights in training only
        held.lines = [f"{held.epoch} = {data.loader(rest, size)}"]
        return train, held

    def validation(
        self, evaluation: TrainingCall, data: DataWriter, arguments: dict[str, ast.expr], size: str, names: Names
    ) -> Stream | None:
        """The data of a `fit` to validate with that is given by itself."""
        if not given(arguments, "validation_data"):
            return None
        node = arguments["validation_data"]
        own = self.text(arguments.get("validation_batch_size"), size, none=size)
        if isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) in (2, 3):
            columns = data.columns(dict(zip(("x", "y", "sample_weight"), node.elts)))
            stream = Stream(epoch=names.take("val_loader"))
            stream.lines = [f"{stream.epoch} = {data.loader(columns, own)}"]
            return stream
        steps = self.text(arguments.get("validation_steps"), "", none="")
        value = evaluation.arguments.get("validation_data")
        return data.batches("val_batches", node, value, steps, False, names, False)

    def data_of(self, training: Training) -> DataWriter:
        inputs = tensors(training.trainer.compiled.model.inputs)
        names = [self.interpreter.input_names.get(x, "") for x in inputs]
        return DataWriter(
            training.trainer, training.weighted, self.function, self.takes, self.pipelines, self.generation, names
        )

    def callbacks(self, evaluation: TrainingCall) -> list[tuple[CallbackRule, Args] | tuple[Instance, ast.expr]]:
        """The callbacks of a `fit`, in order. Raises Declined for one that is not translated."""
        given = known_here(evaluation, "callbacks", None)
        values = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
        places = self.items_of(
            (argument_nodes(evaluation.node, evaluation.method, self.generation) or {}).get("callbacks")
        )
        found: list[Any] = []
        for i, value in enumerate(values):
            if isinstance(value, Instance) and len(places) == len(values):
                found.append((value, places[i]))
                self.own_callbacks.add(ast.unparse(places[i]))
            elif isinstance(value, ApiObject):
                own = object_at(value, evaluation.node, self.scopes, evaluation)
                found.append(known(CallbackRule, own, self.generation))
            else:
                raise Declined(TRAINING, "this callback is not translated")
        return found

    def items_of(self, node: ast.expr | None) -> list[ast.expr]:
        """The items of a list that is written out, here or where its variable is bound."""
        if isinstance(node, ast.Name):
            scope = self.scopes.scope[node]
            bound = [
                n.value
                for n in self.scopes.scope
                if isinstance(n, ast.Assign) and self.scopes.scope[n] is scope and ast.unparse(n.targets[0]) == node.id
            ]
            node = bound[0] if len(bound) == 1 and isinstance(bound[0], (ast.List, ast.Tuple)) else node
        return list(node.elts) if isinstance(node, (ast.List, ast.Tuple)) else [] if node is None else [node]

    def write_evaluate(self, evaluation: TrainingCall, training: Training | None) -> None:
        assert training is not None and training.epoch is not None
        self.check(evaluation)
        arguments = argument_nodes(evaluation.node, "evaluate", self.generation)
        if arguments is None or known_here(evaluation, "return_dict", False):
            raise Declined(TRAINING, "this evaluate() is not translated")
        size = self.text(arguments.get("batch_size"), "32", none="32")
        data = self.data_of(training)
        if given(arguments, "y"):
            loader = data.loader(data.columns(arguments), size)
        else:
            steps = self.text(arguments.get("steps"), "", none="")
            names = Names(frozenset())
            loader = data.batches("", arguments["x"], evaluation.arguments.get("x"), steps, False, names, True).epoch
        self.replace_expression(
            evaluation.node, f"{training.epoch.name}({self.receiver_of(evaluation.node)}, {loader})"
        )

    def write_predict(self, evaluation: TrainingCall, training: Training | None) -> None:
        self.check(evaluation)
        arguments = argument_nodes(evaluation.node, evaluation.method, self.generation)
        model = evaluation.model
        xs, ys = tensors(model.inputs), tensors(model.outputs)
        if arguments is None or "x" not in arguments:
            raise Declined(TRAINING, "this predict() is not translated")
        if len(xs) != 1 or len(ys) != 1:
            raise Declined(TRAINING, "predict() of a model with several inputs or outputs is not translated")
        dtype = DTYPES.get(xs[0].type.dtype, "torch.float32")
        value = evaluation.arguments.get("x")
        if isinstance(value, Batches):
            name = self.function("predict_batches", dtype=dtype)
            self.takes("torch.utils.data", "DataLoader")
            batches = f"DataLoader({ast.unparse(arguments['x'])}, batch_size=None)"
            self.replace_expression(evaluation.node, f"{name}({self.receiver_of(evaluation.node)}, {batches})")
            return
        if isinstance(value, Pipeline):
            if not value.batched or not value.known or value.endless:
                raise Declined(
                    TRAINING, "predict() of a tf.data.Dataset without batches or without an end is not translated"
                )
            name = self.function("predict_batches", dtype=dtype)
            self.pipelines.check(value)
            batches = self.pipelines.text(arguments["x"])
            self.replace_expression(evaluation.node, f"{name}({self.receiver_of(evaluation.node)}, {batches})")
            return
        name = self.function("predict", dtype=dtype)
        size = self.text(arguments.get("batch_size"), "", none="")
        given = [
            self.receiver_of(evaluation.node),
            ast.unparse(arguments["x"]),
            *([f"batch_size={size}"] if size else []),
        ]
        self.replace_expression(evaluation.node, f"{name}({', '.join(given)})")

    def write_train_on_batch(self, evaluation: TrainingCall, training: Training | None) -> None:
        """One step, as an epoch of one batch."""
        assert training is not None and training.epoch is not None
        if training.first is evaluation.node:
            raise Declined(TRAINING, "the builder of a model that is trained batch by batch must not compile it")
        options = self.optimizer_at(training, evaluation.node)
        self.replace_expression(evaluation.node, self.batch_call(evaluation, training, options))

    def write_test_on_batch(self, evaluation: TrainingCall, training: Training | None) -> None:
        assert training is not None and training.epoch is not None
        self.replace_expression(evaluation.node, self.batch_call(evaluation, training, []))

    def batch_call(self, evaluation: TrainingCall, training: Training, options: list[str]) -> str:
        """A call of the function for an epoch on one batch of arrays."""
        assert training.epoch is not None
        self.check(evaluation)
        arguments = argument_nodes(evaluation.node, evaluation.method, self.generation)
        if arguments is None or known_here(evaluation, "return_dict", False):
            raise Declined(TRAINING, f"this {evaluation.method}() is not translated")
        columns = self.data_of(training).columns(arguments)
        batch = f"[({', '.join(columns)})]"
        return f"{training.epoch.name}({', '.join([self.receiver_of(evaluation.node), batch, *options])})"

    def write_predict_on_batch(self, evaluation: TrainingCall, training: Training | None) -> None:
        self.write_predict(evaluation, training)

    def write_other(self, evaluation: TrainingCall, training: Training | None) -> None:
        raise Declined(TRAINING, f"{evaluation.method}() is not translated")

    # --- parts ----------------------------------------------------------------------------------------------------

    @staticmethod
    def check(evaluation: TrainingCall) -> None:
        """Raises Declined for arguments that are not translated."""
        for name in NOT_TRANSLATED[evaluation.method]:
            value = evaluation.arguments.get(name)
            if value is not None and value != [] and not (name == "validation_freq" and value == 1):
                raise Declined(TRAINING, f"{evaluation.method}({name}=…) is not translated")
        if "" in evaluation.arguments:
            raise Declined(TRAINING, f"the arguments of {evaluation.method}() cannot be evaluated")

    @staticmethod
    def text(node: ast.expr | None, default: str, none: str | None = None) -> str:
        """An argument as it stands."""
        if node is None:
            return default
        if is_none(node):
            if none is None:
                raise Declined(TRAINING, "None is given for a number")
            return none
        return ast.unparse(node)

    def function(self, template: str, **values: Any) -> str:
        """The name of a function that the file needs, written once."""
        name = next((n for n, t in self.functions.items() if t == render(f"training/{template}", name=n, **values)), "")
        if not name:
            name = self.names.take(template)
            self.functions[name] = render(f"training/{template}", name=name, **values)
        return name

    @staticmethod
    def receiver_of(node: ast.Call) -> str:
        assert isinstance(node.func, ast.Attribute)
        return ast.unparse(node.func.value)

    def takes(self, module: str, *names: str) -> None:
        """Notes names of a library. Raises Declined if the file means something else by one."""
        for name in names:
            if any(bound == name for _, bound in self.scopes.bound):
                raise Declined(TRAINING, f"the file has a {name} of its own")
            self.edit.libraries[name] = module

    def statement_of(self, node: ast.Call) -> ast.stmt:
        return self.scopes.statement[node]

    def target_of(self, statement: ast.stmt, node: ast.Call) -> str | None:
        """The variable that a statement puts the result of a call into, if there is one."""
        if isinstance(statement, ast.Expr) and statement.value is node:
            return None
        if isinstance(statement, ast.Assign) and statement.value is node and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                return target.id
        raise Declined(TRAINING, "fit() inside of another expression is not translated")

    def replace(self, statement: ast.stmt, text: str) -> None:
        """Puts a text in the place of a statement."""
        if self.edit.replaced.get(statement, text) != text:
            raise Declined(TRAINING, "this statement does different things each time it runs")
        if not text:
            self.edit.removed.add(statement)
        else:
            self.edit.replaced[statement] = text

    def replace_expression(self, node: ast.AST, text: str) -> None:
        edits = self.edits.setdefault(self.scopes.statement[node], {})
        if edits.get(node, text) != text:
            raise Declined(TRAINING, "this expression means different things each time it is evaluated")
        edits[node] = text


def rate_places(places: Iterable[ast.AST], receiver: str) -> list[tuple[ast.AST, ast.expr | None]]:
    """Where a program sets the learning rate of the optimizer of a model (to which value), and where it reads it (None)."""
    names = {f"{receiver}.optimizer.{n}" for n in ("lr", "learning_rate")}
    found: list[tuple[ast.AST, ast.expr | None]] = []
    for node in places:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and ast.unparse(node.targets[0]) in names:
            found.append((node.targets[0], node.value))
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        leaf, first = function.rpartition(".")[2], ast.unparse(node.args[0]) if node.args else ""
        if leaf == "set_value" and first in names and len(node.args) == 2:
            found.append((node, node.args[1]))
        elif leaf == "assign" and function.rpartition(".")[0] in names and node.args:
            found.append((node, node.args[0]))
        elif (
            leaf in ("get_value", "eval") and first in names or leaf == "numpy" and function.rpartition(".")[0] in names
        ):
            found.append((node, None))
    return found


def made_by(value: Any, evaluation: TrainingCall) -> Iterator[ast.Call]:
    """The calls that made the objects of Keras in an argument."""
    if isinstance(value, ApiObject):
        if value in evaluation.objects:
            yield evaluation.objects[value]
        value = [*value.args, *value.kwargs.values()]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for item in items:
        yield from made_by(item, evaluation)


def only_of(node: ast.expr, calls: Collection[ast.AST], names: Collection[str]) -> bool:
    """Whether an expression is nothing but such calls and variables, in lists."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return bool(node.elts) and all(only_of(n, calls, names) for n in node.elts)
    return node in calls or isinstance(node, ast.Name) and node.id in names


def given(arguments: Mapping[str, ast.expr], name: str) -> bool:
    """Whether an argument is there, and not None."""
    return name in arguments and not is_none(arguments[name])

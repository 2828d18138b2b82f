"""What one `compile` becomes: losses, metrics, the optimizer and the function for an epoch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.conversion import TrainingPlan
from transpiler.ir.model import KERAS3, ApiObject, Layer
from transpiler.ir.program import Apply, ModuleClass, Value, tensors
from transpiler.ir.trees import nodes
from transpiler.options import ACCELERATE, LIGHTNING, PLAIN
from transpiler.passes.logits import last_activations, last_call, pass_logits_on, split_logits
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.toggles import Toggle
from transpiler.read.keras.evaluate.training_calls import LEARNING, TrainingCall, model_of
from transpiler.read.keras.evaluate.values import Generator, Model
from transpiler.read.keras.units import layers_of
from transpiler.rules.base import Raw, call
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.training.accelerated import LOGITS, PlainLoop, accelerate
from transpiler.training.added_losses import added_losses
from transpiler.training.callbacks import callbacks_of, changes_rate, hooks_of
from transpiler.training.called import binds, codes_where_bound
from transpiler.training.constraints import constraints_of
from transpiler.training.differences import note_differences
from transpiler.training.file import FileTraining
from transpiler.training.freezing import frozen_norms, trained_parts
from transpiler.training.groups import Group, same_variable
from transpiler.training.in_builder import codes_in_builder, made_in_file
from transpiler.training.lightning import LIGHTNING_METHODS, lightning_module
from transpiler.training.loops import DEVICE, EpochFunction, epoch_function
from transpiler.training.open_models import check_open
from transpiler.training.own_losses import Losses
from transpiler.training.own_models import check_own
from transpiler.training.penalties import penalties_of
from transpiler.training.rates import rate_places
from transpiler.training.requires_grad import RequiresGrad
from transpiler.training.trainer import Trainer, optimizer_of, trainer_of
from transpiler.training.whole_weights import check_embeddings, check_whole


@dataclass
class Training:
    """One `compile` and what was written for it."""

    trainer: Trainer
    receiver: str
    optimizer: str = ""
    epoch: EpochFunction | None = None
    module: str = ""
    """The variable of the LightningModule, where one trains the model."""
    module_class: str = ""
    net: str = ""
    """The variable of what an Accelerator made of the model, where one does."""
    code: OptimizerCode | None = None
    seen: OptimizerCode | None = None
    """The optimizer with the numbers that it was seen with; None where these differ."""
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
    bound: list[ast.Assign] = field(default_factory=list)
    """The statements that bind the model, and make the optimizer after it, in its place."""
    carried: bool = False
    """Whether the optimizer is an attribute of the model itself, which has several names."""
    in_builder: bool = False
    """Whether the factory gives it to the model."""
    names: dict[ast.Assign, str] = field(default_factory=dict)
    """What each of the statements calls the model."""
    codes: dict[ast.Assign, OptimizerCode] = field(default_factory=dict)
    """The optimizer after each of the statements, where a builder compiles with what it is given."""


class CompileWriter:
    """Writes what `compile` says."""

    def __init__(self, file: FileTraining, trainer: str) -> None:
        self.file, self.trainer = file, trainer

    def training_of(self, group: Group) -> Training | None:
        """The losses, the optimizer and the function for an epoch, as far as the group needs them."""
        owner = group.owner
        evaluations = [
            e
            for n in group.nodes
            for e in self.file.calls[n]
            if e.node is owner or e.compiled is not None or owner is None
        ]
        methods = {e.method for e in evaluations}
        elsewhere = self.learning_elsewhere(owner)
        if owner is None:
            if methods - {"predict", "predict_on_batch"}:
                raise Declined(TRAINING, "the model is not compiled by code that could be evaluated")
            return None
        if not methods - {"compile", "predict", "predict_on_batch"} and not elsewhere:
            return None
        has_weights = any(
            e.arguments.get(n) is not None for e in evaluations for n in ("sample_weight", "class_weight")
        )
        trainer = self.trainer_of(group.compiles[-1], has_weights=has_weights)
        for other in group.compiles[:-1]:
            own = self.trainer_of(other, has_weights=has_weights)
            if (own.losses, own.metrics, own.added) != (trainer.losses, trainer.metrics, trainer.added):
                raise Declined(TRAINING, "one compile() with different losses or metrics is not translated")
        if not group.receiver:
            raise Declined(TRAINING, "this way to call compile() is not translated")
        training = Training(trainer, group.receiver)
        training.weighted = has_weights
        weights = [e.arguments.get("sample_weight") for e in evaluations]
        if any(isinstance(w, NumpyArray) and len(w.shape) > 1 for w in weights):
            raise Declined(TRAINING, "weights of samples in an array of several axes are not translated")
        if training.weighted and any(trainer.masks):
            raise Declined(TRAINING, "weights of samples beside masked steps are not translated")
        learning = [e for e in (*evaluations, *elsewhere) if e.method in LEARNING]
        if any(e.stale for e in learning):
            raise Declined(
                TRAINING,
                "training goes on with the optimizer that load_model() brings back, which the result does not save; "
                "compile the loaded model again",
            )
        if learning:
            self.add_optimizer(training, group, learning)
        root = self.file.roots(trainer.compiled.model)
        if self.file.interpreter.open_choices and root is not None:
            check_open(root, trainer, training.code)
        self.add_epoch(training, evaluations)
        return training

    def trainer_of(self, compiled: TrainingCall, own_steps: bool = False, has_weights: bool = False) -> Trainer:
        """What `compile` says of losses and metrics; the classes of the model get `logits()` where these need it."""
        root = self.file.roots(compiled.model)
        if root is None:
            raise Declined(TRAINING, "the model is not converted")
        if not own_steps:
            check_own(compiled.model, root, self.file.generation)
        endings = last_activations(root)
        last = last_call(root)
        inner = self.last_model(compiled.model, last[0]) if last is not None else None
        if inner is not None and last is not None and endings == [""]:
            endings = last_activations(inner)[last[1] : last[1] + 1]
        file = self.file
        trainer = trainer_of(
            compiled,
            file.generation,
            endings,
            Losses(file, compiled),
            self.recovers,
            self.makers_of,
            added_losses(file, compiled.model),
            file.interpreter.makers,
            has_weights,
        )
        if trainer.needs_logits and inner is not None:
            split_logits(inner)
            pass_logits_on(root, endings[0])
        elif trainer.needs_logits:
            split_logits(root)
        return trainer

    def add_optimizer(self, training: Training, group: Group, learning: list[TrainingCall]) -> None:
        """The optimizer and its schedule, and which weights they move."""
        file, compiled, owner = self.file, training.trainer.compiled, group.owner
        assert owner is not None
        changing = any(self.changes_rate(e) for e in learning)
        home = file.home_of(owner)
        stays_there = home is not file and owner not in file.gone
        if stays_there or self.learning_elsewhere(owner):
            self.carry(training)
        fits = [e for e in learning if e.method == "fit" and e.node in file.scopes.scope]
        if self.trainer != PLAIN and hooks_of(file, fits):
            raise PlainLoop("callbacks that are called for each batch")
        training.bound = group.bound
        if owner in file.gone and not training.bound:
            try:
                training.first = self.first_learning(group.nodes)
            except Declined:
                if any(e.method != "fit" for e in learning):
                    raise
                training.bound, training.names = list(group.places), group.places
                self.carry(training)
        place: ast.AST = owner
        made: Any = training.bound[0].value if training.bound else training.first or owner
        in_builder = training.carried and not training.bound and owner in file.gone
        if in_builder:
            made = file.source.tree.body[-1]
        if made is not owner and (home is not file or self.reads_variables_of(compiled, changing)):
            place = made
        scopes = home.scopes if stays_there else file.scopes
        codes = [optimizer_of(c, place, scopes, file.generation, changing) for c in group.compiles]
        code = training.code = training.seen = codes[-1]
        seen = codes
        if in_builder:
            codes = codes_in_builder(file, training, group, changing)
        elif made is not owner and (place is made or any(repr(other) != repr(code) for other in codes)):
            try:
                training.codes = codes_where_bound(file, training, group, changing)
                codes = [code, *training.codes.values()]
            except Declined:
                self.carry(training)
                codes = codes_in_builder(file, training, group, changing)
        if training.codes and any(repr(c) != repr(training.seen) for c in seen):
            training.seen = None
        code = training.code = codes[-1]
        self.note_differences(training, compiled)
        layers, built = layers_of(compiled.model, file.interpreter), file.interpreter.built
        for code in codes:
            if code.by_row and file.generation != KERAS3:
                check_embeddings(layers, built)
            if code.schedule is not None and changing:
                raise Declined(TRAINING, "a callback that changes a learning rate which decays is not translated")
            if code.whole:
                check_whole(layers, built, code.whole)
        self.check_shared(compiled)
        if not training.bound and not training.carried and self.is_elsewhere(made, training.receiver, group.nodes):
            self.carry(training)
        beside_model = self.variable_beside if not training.carried else lambda receiver, what: f"{receiver}.{what}"
        training.optimizer = beside_model(training.receiver, "optimizer")
        if code.schedule is not None:
            training.scheduler = beside_model(training.receiver, "scheduler")
        self.note_parts(training, group, learning)

    def add_epoch(self, training: Training, evaluations: list[TrainingCall]) -> None:
        """The function that runs over the data once, where a call needs it."""
        file, trainer, code = self.file, training.trainer, training.code
        if not {e.method for e in evaluations} & {"evaluate", "test_on_batch", *LEARNING}:
            return
        model = trainer.compiled.model
        models = [e.model for e in evaluations if isinstance(e.model, Model)]
        training.penalty = self.on_weights(training, model, penalties_of, "penalty", models)
        if code is not None and code.constrains:
            training.constrain = self.on_weights(training, model, constraints_of, "constrain", models)
        file.edit.needs(trainer.helpers)
        if self.trainer == LIGHTNING and {e.method for e in evaluations} <= LIGHTNING_METHODS:
            self.add_module(training, evaluations)
        else:
            self.add_function(training, evaluations)
        for title, text in (m.measure.function for m in (*trainer.losses, *trainer.metrics)):
            file.own_function(title, text)

    def add_function(self, training: Training, evaluations: list[TrainingCall]) -> None:
        """The function that runs over the data once."""
        file, trainer, code = self.file, training.trainer, training.code
        accelerated = self.trainer == ACCELERATE
        if accelerated:
            accelerate(file, training, self.variable_beside(training.receiver, "net"), evaluations)
        if self.trainer == LIGHTNING:
            file.note(
                "K2T502", "batches that are handed over one by one go through a plain loop", trainer.compiled.node
            )
        own = training.receiver.rpartition(".")[2] if file.several_compiled else ""
        name = file.names.take(f"run_{own}_epoch" if own.isidentifier() else "run_epoch")
        used = [e for e in evaluations if e.method in ("fit", "evaluate")]
        loads = any(not isinstance(e.arguments.get("x"), (Generator, Pipeline)) for e in used)
        progress = any(e.arguments.get("verbose", "auto") not in (0, 2, False) for e in used if e.method == "fit")
        hooks = hooks_of(file, [e for e in evaluations if e.method == "fit"])
        epoch = epoch_function(
            name,
            trainer,
            len(tensors(trainer.compiled.model.inputs)),
            code.clipping if code else (),
            bool(training.scheduler),
            training.weighted,
            progress,
            "DataLoader" if loads else "Iterable",
            training.penalty,
            training.constrain,
            *frozen_norms(training.toggles, file.interpreter),
            accelerated,
            hooks,
        )
        if hooks:
            file.takes("collections.abc", "Sequence")
        texts = {n: t.replace(f"def {n}(", f"def {name}(", 1) for n, t in file.functions.items()}
        same = next((n for n, text in texts.items() if text == epoch.text), "")
        training.epoch = replace(epoch, name=same, text=file.functions[same]) if same else epoch
        file.functions[training.epoch.name] = training.epoch.text
        file.takes(*("torch.utils.data", "DataLoader") if loads else ("collections.abc", "Iterable"))
        if progress:
            file.takes("tqdm", "tqdm")

    def add_module(self, training: Training, evaluations: list[TrainingCall]) -> None:
        """The LightningModule that trains the model, and what it needs."""
        file, root = self.file, self.file.roots(training.trainer.compiled.model)
        assert root is not None
        training.module = self.variable_beside(training.receiver, "module")
        training.module_class = file.names.take(f"Lit{root.name}")
        validates = any(
            e.arguments.get("validation_data") is not None or e.arguments.get("validation_split") not in (None, 0)
            for e in evaluations
        )
        tests = any(e.method == "evaluate" for e in evaluations)
        norms = frozen_norms(training.toggles, file.interpreter)
        for name, text in lightning_module(training.module_class, training, validates, tests, *norms).items():
            if file.functions.get(name, text) != text:
                raise Declined(TRAINING, f"two models measure different things as {name}")
            file.functions[name] = text
        file.takes("import lightning as L", "L")
        file.takes("", "torchmetrics")

    def on_weights(
        self, training: Training, model: Model, find: Callable[..., Any], name: str, models: Sequence[Model]
    ) -> str:
        """The function for the regularizers or constraints that `find` finds of a model, and of others; "" if there are none."""
        found = self.file.found_on_weights(model, find)
        for other in {id(m): m for m in models if m is not model}.values():
            own = self.file.found_on_weights(other, find)
            if (own and own.text(name)) != (found and found.text(name)):
                raise Declined(TRAINING, "models of one builder that are regularized or constrained in different ways")
        if found is None:
            return ""
        training.covered += found.layers
        if not found:
            return ""
        name = self.file.names.take(name)
        self.file.functions[name] = found.text(name)
        self.file.edit.needs(found.helpers)
        return name

    def last_model(self, model: Model, last: Apply) -> ModuleClass | None:
        """The class of the model that a model calls last."""
        made = self.file.made_as(last.member.code) if last.member is not None and last.member.given else None
        if made is not None:
            return made
        inner = self.file.interpreter.nested.get(tensors(model.outputs)[0], (None,))[0]
        if not isinstance(inner, Model) or len(tensors(inner.outputs)) != 1:
            return None
        return self.file.roots(inner)

    def note_parts(self, training: Training, group: Group, learning: list[TrainingCall]) -> None:
        """Which parts of the model are trained, where some are frozen for the training alone."""
        compiled = training.trainer.compiled
        taken = [c for c in group.compiles if any(e.compiled is c for e in learning)] or [compiled]
        found = [
            trained_parts(c, [e for e in learning if e.compiled is c], self.file.interpreter, self.file.frozen)
            for c in taken
        ]
        if any(parts != found[0][0] for parts, _ in found):
            raise Declined(TRAINING, "a model whose trained parts differ from call to call is not translated")
        training.parts, training.toggles = found[0]
        for statement in {t.statement: None for t in training.toggles if not t.late and not training.parts}:
            scopes = self.file.home_of(statement).scopes
            writer = RequiresGrad(self.file.interpreter, self.file.roots, scopes)
            self.file.requires_grad[statement] = writer.lines(statement)
        if training.parts and (
            training.first is not None or training.bound or training.code is not None and training.code.clipping
        ):
            raise Declined(TRAINING, "clipped gradients of a part of a model are not translated")
        if training.parts and self.file.found_on_weights(compiled.model, penalties_of):
            raise Declined(TRAINING, "regularizers in a model of which a part is frozen are not translated")

    def variable_beside(self, receiver: str, what: str) -> str:
        """A variable for what goes with a model: an attribute of the same object where the model is one."""
        base, _, name = receiver.rpartition(".")
        label = f"{name}_{what}" if name.isidentifier() and (self.file.several or base and name != "model") else what
        taken = {n.attr for n in self.file.scopes.scope if isinstance(n, ast.Attribute)}
        while base and label in taken:
            label += "_"
        return f"{base}.{label}" if base else self.file.names.take(label)

    def note_differences(self, training: Training, compiled: TrainingCall) -> None:
        """Notes what torch does in its own way when it trains a model."""
        by_row = training.code is not None and training.code.by_row
        note_differences(self.file, layers_of(compiled.model, self.file.interpreter), by_row, compiled.node)

    def makers_of(self, output: Value) -> list[Any]:
        """The layer that makes an output, and those that return it as it is."""
        origin = self.file.interpreter.origins.get(output)
        return [origin.layer if origin is not None else None, *self.file.interpreter.unchanged.get(output, ())]

    def recovers(self, output: Value) -> bool:
        """Whether Keras knows the logits of an output; also where that cannot be told."""
        return bool(self.file.interpreter.recovered(output))

    def learning_elsewhere(self, owner: ast.Call | None) -> list[TrainingCall]:
        """The calls of other files that train what a `compile` of code of this file that stays has made ready."""
        if owner is None or owner not in self.file.scopes.scope or owner in self.file.gone:
            return []
        others = [n for n in self.file.calls if n not in self.file.scopes.scope and self.file.home_with(n) is not None]
        found = [e for n in others for e in self.file.calls[n] if e.method in LEARNING]
        return [e for e in found if e.compiled is not None and e.compiled.node is owner]

    def changes_rate(self, evaluation: TrainingCall) -> bool:
        """Whether the program changes the learning rate around or during a call that trains."""
        file = self.file.home_of(evaluation.node)
        if rate_places(file.scopes.statement, file.receiver_of(evaluation.node)):
            return True
        callbacks = callbacks_of(file, evaluation) if evaluation.method == "fit" else []
        return any(changes_rate(rule) for rule, _ in callbacks)

    def reads_variables_of(self, compiled: TrainingCall, changing: bool) -> bool:
        """Whether the arguments of an optimizer are written with variables of the function around its `compile`."""
        scope = self.file.scopes.scope[compiled.node]
        code = optimizer_of(compiled, compiled.node, self.file.scopes, self.file.generation, changing)
        schedule = code.schedule.factor if code.schedule is not None else "0"
        texts = (call(code.function, **code.arguments), schedule)
        names = {n.id for text in texts for n in nodes(ast.parse(text)) if isinstance(n, ast.Name)}
        return any((scope, name) in self.file.scopes.bound for name in names)

    def check_shared(self, compiled: TrainingCall) -> None:
        """Raises Declined for an optimizer that has trained the same model since another `compile`."""
        optimizer = compiled.arguments.get("optimizer")
        used = [e.compiled for found in self.file.calls.values() for e in found if e.method in LEARNING and e.compiled]
        if isinstance(optimizer, ApiObject) and any(
            c.node is not compiled.node and c.model is compiled.model and c.arguments.get("optimizer") is optimizer
            for c in used
        ):
            raise Declined(TRAINING, "an optimizer goes on after another compile() with what it has gathered before")

    def is_elsewhere(self, made: ast.Call, receiver: str, group: Sequence[ast.Call]) -> bool:
        """Whether what a function makes to train a model is needed where the model has another name, or is an attribute of
        another object."""
        scope, scopes = self.file.scopes.scope[made], self.file.scopes.scope
        users = (*LEARNING, "evaluate") if self.trainer != PLAIN else LEARNING
        used = [n for n in group if any(e.method in users for e in self.file.calls[n])]
        if "." not in receiver:
            return scope is not None and any(scopes[n] is not scope for n in used)
        own, others = model_of(made), [n.func.value for n in used if isinstance(n.func, ast.Attribute)]
        return ast.unparse(own) == receiver and not all(same_variable(self.file, own, n) for n in others)

    def carry(self, training: Training) -> None:
        """Makes the optimizer an attribute of the model. Raises Declined where that would not do."""
        reads = [n for n in self.file.scopes.scope if isinstance(n, ast.Attribute) and n.attr == "optimizer"]
        if self.trainer != PLAIN:
            raise PlainLoop("a model that is compiled in one place and trained in others carries its optimizer")
        if reads:
            raise Declined(TRAINING, "a model that is compiled in one function and trained outside of it")
        training.carried = True

    def first_learning(self, group: Sequence[ast.Call]) -> ast.Call:
        """The first call that trains. Raises Declined if there are others that do not surely come after it."""
        learning = [n for n in group if any(e.method in ("fit", "train_on_batch") for e in self.file.calls[n])]
        learning.sort(key=lambda n: (n.lineno, n.col_offset))
        bodies = {id(self.file.body_of(self.file.statement_of(n))) for n in learning}
        if len(bodies) > 1:
            raise Declined(TRAINING, "a model that its builder compiles is trained in several places")
        first = learning[0]
        models = [e.model for e in self.file.calls[first]]
        later = {id(e.model) for n in learning for e in self.file.calls[n]}
        if later != {id(m) for m in models}:
            raise Declined(TRAINING, "several models that one builder compiles, each trained by itself")
        loops = [n for n in self.file.scopes.scope if isinstance(n, (ast.For, ast.While)) and first in nodes(n)]
        receiver = self.file.receiver_of(first)
        if len({id(m) for m in models}) < len(models) or any(not binds(loop, receiver) for loop in loops):
            raise Declined(TRAINING, "a model that its builder compiles is trained again and again by the same call")
        return first

    def write_compile(self, evaluation: TrainingCall, training: Training | None) -> None:
        statement = self.file.statement_of(evaluation.node)
        made = made_by_compile(self.file, training, training.receiver) if training is not None else []
        self.file.replace(statement, "\n".join(made))

    @staticmethod
    def plan_of(training: Training) -> TrainingPlan:
        code, epoch = training.seen, training.epoch
        assert code is not None
        kinds = {m.output: m.measure.target for m in (*training.trainer.metrics, *training.trainer.losses)}
        compiling = ast.unparse(training.trainer.compiled.node).replace("{", "{{").replace("}", "}}")
        return TrainingPlan(
            compiling.replace(f"{training.receiver}.compile", "{model}.compile", 1),
            epoch.name if epoch is not None else "",
            (
                "{model}.optimizer"
                if training.in_builder
                else call(code.function, Raw("{model}.parameters()"), **code.arguments)
            ),
            code.schedule.factor if code.schedule is not None else "",
            tuple(training.trainer.titles),
            (
                tuple((kinds.get(i, "numbers"), tuple(p.shape)) for i, p in enumerate(training.trainer.predictions))
                if training.trainer.compares
                else ()
            ),
            training.weighted,
            training.module_class,
            (LOGITS.format(model="{model}") if training.trainer.needs_logits else "{model}") if training.net else "",
        )


def beside(training: Training, node: ast.Call, *variables: str) -> list[str]:
    """Variables that go with a model, as they are called where a method of it is called."""
    assert isinstance(node.func, ast.Attribute)
    if training.carried:
        return [f"{ast.unparse(node.func.value)}.{n.rpartition('.')[2]}" for n in variables if n]
    base = ast.unparse(node.func.value).rpartition(".")[0]
    own = training.receiver.rpartition(".")[0]
    return [f"{base}.{n.rpartition('.')[2]}" if own else n for n in variables if n]


def made_by_compile(
    file: FileTraining, training: Training, model: str, statement: ast.Assign | None = None
) -> list[str]:
    """The statements that make the optimizer of a model and, with Lightning, the module that trains it; those after
    a `statement` that binds the model."""
    code, lines = training.codes.get(statement, training.code) if statement is not None else training.code, []
    optimizer, scheduler = training.optimizer, training.scheduler
    if training.carried:
        optimizer, scheduler = f"{model}.optimizer", f"{model}.scheduler"
    if code is not None:
        lines = [] if training.module or training.net else [f"{model}.to({DEVICE})"]
        lines += made_in_file(file, code, training.parts or [model], optimizer, scheduler)
    if training.net:
        wrapped = LOGITS.format(model=model) if training.trainer.needs_logits else model
        pair = [(training.net, wrapped), *([(training.optimizer, training.optimizer)] if code is not None else [])]
        lines.append(f"{', '.join(n for n, _ in pair)} = accelerator.prepare({', '.join(t for _, t in pair)})")
    if training.module:
        made = ", ".join(n for n in (model, training.optimizer, training.scheduler) if n)
        lines.append(f"{training.module} = {training.module_class}({made})")
    return lines

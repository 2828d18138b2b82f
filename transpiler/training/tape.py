"""Training with `tf.GradientTape`: loops and functions that the program writes itself, all of a file or nothing."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined, Severity
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import KERAS3, ApiObject, ApiValue, Layer
from transpiler.ir.program import ModuleClass
from transpiler.ir.trees import nodes
from transpiler.options import LIGHTNING
from transpiler.passes.logits import last_activations, split_logits
from transpiler.read.keras.evaluate.own_models import graph_of
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.tapes import is_tape
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Env, Function, Model
from transpiler.read.keras.units import layers_of
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.rules.training.registry import OptimizerRule, ScheduleRule, known, training_rules
from transpiler.training.blocks import BlockWriter, Changes
from transpiler.training.loops import DEVICE
from transpiler.training.open_models import has_open_parts
from transpiler.training.penalties import penalties_of
from transpiler.training.source import object_at
from transpiler.training.tape_freezing import Freezing
from transpiler.training.tape_functions import makes_tensors
from transpiler.training.tape_region import Region
from transpiler.training.tape_results import FunctionResults
from transpiler.training.tape_values import NUMBER, GradientList, Result, Several, Tensor, kind_of
from transpiler.training.trainer import optimizer_lines
from transpiler.training.whole_weights import check_embeddings, check_whole

if TYPE_CHECKING:
    from transpiler.training.file import FileTraining


class TapeWriter(FunctionResults, Freezing):
    """Rewrites the code of one file that trains with tapes."""

    def __init__(self, training: FileTraining) -> None:
        self.training = training
        self.source, self.interpreter = training.source, training.interpreter
        self.generation, self.edit = training.generation, training.edit
        self.changes = Changes()
        self.blocks = BlockWriter(self.source.text, self.changes)
        self.done_tapes: set[ast.With] = set()
        self.results: dict[ast.AST, Result] = {}
        self.running: list[ast.AST] = []
        self.objects: dict[ast.stmt, tuple[Any, str]] = {}
        """Statements that make optimizers, losses and metrics → these, and their variables."""
        self.optimizers: dict[str, tuple[OptimizerCode, tuple[str, ...]]] = {}
        self.helpers: list[str] = []
        self.by_hand: list[Model] = []
        self.left: dict[ast.expr, str] = {}
        """Tensors that go to code that knows nothing of them → what is called for it."""
        self.casts: dict[ast.expr, str] = {}
        """Tensors that are converted where they are used → how."""
        self.named: dict[ast.expr, str] = {}
        """Outputs of models that get a variable, as more than one place reads them."""
        self.logits: dict[ast.Call, str] = {}
        self.split: set[ModuleClass] = set()
        self.ends: dict[ModuleClass, list[str]] = {}
        self.without_gradients: set[ast.FunctionDef] = set()
        self.penalties: dict[int, str] = {}
        self.covered: list[Layer] = []
        """The layers whose regularizers are translated."""
        self.functions: dict[str, str] = {}
        self.device = "device"
        self.top_region: Region | None = None
        self.moved: set[str] = set()
        """Models that are moved to the device before their optimizers are made."""
        self.called_at_top: set[str] = set()
        """The variables of the top level whose models are called."""

    def write(self) -> None:
        """Rewrites all that belongs to tapes, where every part of it is translated."""
        tapes = self.open_tapes()
        if not tapes:
            return
        try:
            self.device = self.training.names.take("device")
            self.run()
            self.place()
        except Declined as declined:
            for top in self.source.tree.body:
                if any(t in tapes for t in nodes(top)):
                    declined.span = declined.span or self.source.span(top)
                    self.interpreter.failed[top] = declined

    def open_tapes(self) -> list[ast.With]:
        """The tapes of the file that nothing else has rewritten."""
        training = self.training
        done = {n for top in training.handled_statements for n in nodes(top)}
        here = [t for t in self.interpreter.tapes if t in training.scopes.scope]
        return [t for t in here if t not in training.gone and t not in done]

    # --- what there is ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        env = Env(None, "module", self.source, self.training.names_of_file)
        region = self.top_region = Region(self, self.source.tree, env, {})
        for statement in self.source.tree.body:
            if statement in self.training.gone or isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                continue
            if self.concerns(statement, env):
                region.run([statement])
        region.finish()
        for node in [n for n in self.source.tree.body if isinstance(n, ast.FunctionDef)]:
            function = self.training.names_of_file.get(node.name)
            left = isinstance(function, Function) and node not in self.results and node not in self.training.gone
            if left and any(map(is_tape, nodes(node))):
                self.function_result(function, {}, False, node)
        for node in [n for n in self.source.tree.body if isinstance(n, ast.FunctionDef)]:
            function = self.training.names_of_file.get(node.name)
            if isinstance(function, Function) and function.node is node and node not in self.results:
                self.read_uncalled(function, node)
        rest = [t for t in self.open_tapes() if t not in self.done_tapes]
        if rest:
            raise Declined(
                TRAINING, "a tape in a place that is not evaluated is not translated", "", self.source.span(rest[0])
            )

    def read_uncalled(self, function: Function, node: ast.FunctionDef) -> None:
        """Rewrites a function that the program never calls, as far as that is possible."""
        inside = set(nodes(node))
        changed = {*self.training.edits, *self.edit.replaced, *self.edit.removed, *self.training.trained}
        if inside & changed or node in self.training.gone or not self.is_involved(function):
            return
        try:
            self.function_result(function, {}, False, node)
        except Declined as declined:
            self.forget(node)
            self.results.pop(node, None)
            text = f"{node.name}() stays as it is, as the program does not call it: {declined.message}"
            self.training.note(TRAINING, text, node, Severity.WARNING, "Translate it by hand if it can run.")

    @property
    def top(self) -> dict[str, Any]:
        """The roles of the variables of the top level."""
        return self.top_region.roles if self.top_region is not None else {}

    def tensor_at_top(self, node: ast.Name) -> Tensor | None:
        """The tensor that a variable of the top level holds, where a function reads it."""
        scope = self.training.scopes.scope.get(node)
        if scope is None or (scope, node.id) in self.training.scopes.bound:
            return None
        role = self.top.get(node.id)
        return role if isinstance(role, Tensor) else None

    def is_rewritten(self, node: ast.expr) -> bool:
        """Whether something else has a new text for an expression."""
        pipelines = self.training.pipelines.pipelines
        return node in pipelines or any(node in edits for edits in self.training.edits.values())

    def is_given(self, name: str, function: ast.AST) -> bool:
        """Whether a variable is one that a function is given."""
        a = getattr(function, "args", None)
        return a is not None and name in [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]

    def concerns(self, statement: ast.stmt, env: Env) -> bool:
        """Whether a statement of the top level has to do with training by hand."""
        if statement in self.edit.replaced or statement in self.edit.removed:
            return False
        for node in nodes(statement):
            if is_tape(node):
                return True
            role = self.top.get(node.id) if isinstance(node, ast.Name) else None
            if isinstance(role, (Tensor, GradientList, Several)) or role is NUMBER:
                return True
            if isinstance(node, ast.Call) and self.makes_tensor(node, env):
                return True
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                value = graph_of(env.names.get(node.id))
                if kind_of(value) or isinstance(value, Function) and self.is_involved(value):
                    return True
        targets = getattr(statement, "targets", ())
        return any(isinstance(t, ast.Name) and kind_of(env.names.get(t.id)) for t in targets)

    def makes_tensor(self, node: ast.Call, env: Env) -> bool:
        """Whether a call makes a tensor: of a model, or by a function of TensorFlow."""
        if any(isinstance(n, ast.Call) for n in nodes(node.func)):
            return False
        try:
            value = graph_of(self.interpreter.eval(node.func, env))
        except (Declined, ProgramError, NeedsConstant):
            return False
        return isinstance(value, Model) or isinstance(value, ApiValue) and makes_tensors(value.path)

    def is_involved(self, function: Function, seen: frozenset[ast.AST] = frozenset()) -> bool:
        """Whether a function has code of this kind."""
        node = function.node
        if node in self.training.gone or node in seen or node not in self.training.scopes.scope:
            return False
        if node in self.interpreter.taped:
            return True
        for n in nodes(node):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load):
                value = (
                    graph_of(function.env.names.get(n.id)) if (node, n.id) not in self.training.scopes.bound else None
                )
                if kind_of(value) or isinstance(value, Model):
                    return True
                if isinstance(value, Function) and self.is_involved(value, seen | {node}):
                    return True
        return False

    # --- parts -----------------------------------------------------------------------------------------------------

    def root_of(self, model: Model, node: ast.AST) -> ModuleClass:
        root = self.training.roots(model)
        if root is None:
            raise Declined(TRAINING, "the model is not converted", "", self.source.span(node))
        if self.interpreter.open_choices and has_open_parts(root):
            why = "a tape around a model with branches or loops that only the run decides is not translated"
            raise Declined(TRAINING, why, "", self.source.span(node))
        return root

    def endings(self, root: ModuleClass) -> list[str]:
        if root not in self.ends:
            self.ends[root] = last_activations(root)
        return self.ends[root]

    def logits_of(self, region: Region, node: ast.expr, role: Tensor) -> str:
        """The text of what a prediction was computed from before its last activation."""
        if role.made is None or not isinstance(node, ast.Name):
            raise region.decline(node, "the logits of this prediction cannot be had")
        name = self.logits.get(role.made)
        statement = self.training.scopes.statement[role.made]
        if name is None:
            direct = isinstance(statement, ast.Assign) and statement.value is role.made and len(statement.targets) == 1
            if not direct or not isinstance(statement.targets[0], ast.Name):  # type: ignore[attr-defined]
                raise region.decline(node, "the logits of this prediction cannot be had")
            taken = {n.id for n in nodes(region.node) if isinstance(n, ast.Name)} | set(self.logits.values())
            name = self.logits[role.made] = "logits" if "logits" not in taken else self.training.names.take("logits")
            root = self.root_of(region.value_of(role.made.func), node)
            self.split.add(root)
            text = self.changes.texts[role.made]
            receiver = self.blocks.text_of(role.made.func)
            self.changes.before.setdefault(statement, []).append(f"{name} = {receiver}.logits{text[len(receiver):]}")
            self.changes.texts[role.made] = role.ending.format(name)
        region.spared.setdefault(statement, set()).add(node)
        return name

    def need(self, helper: str) -> None:
        if helper not in self.helpers:
            self.helpers.append(helper)

    def has_function(self, name: str, text: str) -> bool:
        """Whether the file has this function from now on: that it means nothing else by the name."""
        return self.functions.setdefault(name, text) == text and name not in self.training.scopes.names_at(
            self.source.tree.body[0]
        )

    def is_statement(self, node: ast.Call) -> bool:
        statement = self.training.scopes.statement[node]
        return isinstance(statement, ast.Expr) and statement.value is node

    def penalty_of(self, model: Model) -> str:
        if id(model) not in self.penalties:
            found = self.training.found_on_weights(model, penalties_of)
            name = self.training.names.take("penalty") if found else ""
            if found:
                self.functions[name] = found.text(name)
            if found is not None:
                self.covered += found.layers
            self.penalties[id(model)] = name
        return self.penalties[id(model)]

    def note_object(self, statement: ast.Assign, value: ApiObject, text: str) -> bool:
        self.objects[statement] = value, text
        return True

    def use_optimizer(
        self, text: str, value: ApiObject, models: tuple[str, ...], region: Region, statement: ast.stmt
    ) -> OptimizerCode:
        """The code of an optimizer that trains the weights of models."""
        if text in self.optimizers and self.optimizers[text][1] != models:
            raise region.decline(statement, f"{text} trains different weights at different times")
        if text not in self.optimizers:
            here = TrainingCall(
                ast.Call(ast.Name(text), [], []),
                "compile",
                None,
                {},
                frozenset(),
                objects=self.interpreter.object_nodes,
            )
            own = object_at(value, statement, self.training.scopes, here)
            rule, arguments = known(OptimizerRule, own, self.generation)
            code = rule.lower(arguments, False)
            for name in models:
                model = region.value_of(ast.parse(name, mode="eval").body)
                if isinstance(model, Model):
                    self.by_hand.append(model)
                    self.check_weights(model, code.whole, code.by_row and self.generation != KERAS3)
                elif code.whole or code.by_row:
                    raise region.decline(statement, f"this optimizer of {name} is not translated")
            self.optimizers[text] = code, models
        return self.optimizers[text][0]

    def check_weights(self, model: Model, whole: str, by_row: bool) -> None:
        """Raises Declined for a model with weights that are not what an optimizer or a norm needs."""
        layers, built = layers_of(model, self.interpreter), self.interpreter.built
        if by_row:
            check_embeddings(layers, built)
        if whole:
            check_whole(layers, built, whole)

    def scheduler_of(self, text: str) -> str:
        base, _, name = text.rpartition(".")
        label = name.replace("optimizer", "scheduler") if "optimizer" in name else f"{name}_scheduler"
        return f"{base}.{label}" if base else label

    # --- placing ---------------------------------------------------------------------------------------------------

    def place(self) -> None:
        """Writes the statements that make objects, and puts all changes into the file."""
        first_use, made = self.first_use(), set[str]()
        late = self.move_models(first_use)
        for statement, (value, text) in self.objects.items():
            kind = kind_of(value)
            if kind == "metric":
                if value.leaf != "Mean" and not value.leaf:
                    raise Declined(TRAINING, "this metric is not translated")
                self.need("AverageMeter")
                self.changes.texts[statement] = f"{text} = AverageMeter()"
            elif kind == "loss" or value.leaf in training_rules(ScheduleRule) and self.only_for_objects(text):
                self.changes.texts[statement] = ""
            elif text in self.optimizers:
                lines, waits = self.optimizer_lines(text, statement)
                made.add(text)
                if waits:
                    late += lines
                self.changes.texts[statement] = "" if waits else "\n".join(lines)
        missing = set(self.optimizers) - made
        if missing:
            raise Declined(TRAINING, f"it cannot be followed where {min(missing)} is made")
        self.write_toggles()
        tops = self.tops()
        texts = self.texts_of(tops)
        self.commit(tops, texts)
        if late:
            self.edit.before.setdefault(first_use, []).append("\n".join(late))

    def move_models(self, first_use: ast.stmt) -> list[str]:
        """Moves models to the device that are used before an optimizer of theirs is made, or have none; the lines for the
        others of these, which stand before the first use of any."""
        body = self.source.tree.body
        trained = {m for _, models in self.optimizers.values() for m in models if m.isidentifier()}
        at = {text: body.index(s) for s, (_, text) in self.objects.items() if s in body}
        for model in sorted(trained | self.called_at_top):
            users = [text for text in at if self.trains(text, model)]
            end = min((at[t] for t in users), default=len(body))
            used = next((s for s in body[:end] if self.uses(s, model)), None)
            if used is not None:
                self.moved.add(model)
                self.changes.before.setdefault(used, []).insert(0, f"{model}.to({self.device})")
        bound = self.training.scopes.bound
        left = sorted(n for n in self.called_at_top - trained - self.moved if (None, n) in bound)
        return [f"{n}.to({self.device})" for n in left]

    def uses(self, statement: ast.stmt, model: str) -> bool:
        """Whether a changed statement of the top level computes with a model."""
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) or statement in self.objects:
            return False
        read = {n.id for n in nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        return model in read and any(n in self.changes.statements for n in nodes(statement))

    def trains(self, optimizer: str, model: str) -> bool:
        return model in self.optimizers.get(optimizer, (None, ()))[1]

    def only_for_objects(self, name: str) -> bool:
        """Whether a variable is only read where optimizers are made, which the result makes of what it holds."""
        statements = self.training.scopes.statement
        reads = [n for n in statements if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)]
        return all(statements[n] in self.objects for n in reads)

    def texts_of(self, tops: list[ast.stmt]) -> dict[ast.stmt, str]:
        """The new texts of statements, with what else is changed in them. Raises Declined for what would be lost."""
        training = self.training
        for top in tops:
            for n in nodes(top):
                if n in self.interpreter.left_out and n not in training.handled:
                    raise Declined(
                        TRAINING, f"{ast.unparse(n)} beside a tape is not translated", "", self.source.span(n)
                    )
                if n in training.edits:
                    for node, text in training.edits[n].items():  # type: ignore[index]
                        self.changes.texts.setdefault(node, text)
                if n in self.edit.replaced:
                    self.changes.texts.setdefault(n, self.edit.replaced[n])
                if n in self.edit.removed and n is not top:
                    self.changes.texts.setdefault(n, "")
        return {top: "\n".join(self.blocks.statement(top)) for top in tops}

    def commit(self, tops: list[ast.stmt], texts: dict[ast.stmt, str]) -> None:
        """Puts all of it into the file."""
        training, begin = self.training, f"{self.device} = {DEVICE}"
        for top in tops:
            for n in nodes(top):
                training.edits.pop(n, None)  # type: ignore[call-overload]
                self.edit.replaced.pop(n, None)
            text = texts[top]
            if begin and text.strip():
                if isinstance(top, ast.FunctionDef):
                    self.edit.before.setdefault(top, []).append(begin)
                else:
                    text = f"{begin}\n{text}"
                begin = ""
                self.edit.before.setdefault(top, []).extend(self.functions.values())
            if text.strip():
                self.edit.replaced[top] = text
            else:
                self.edit.removed.add(top)
        for root in self.split:
            split_logits(root)
        self.edit.needs(self.helpers)
        training.covered += self.covered
        if training.trainer == LIGHTNING:
            training.note("K2T502", "steps that are taken by hand stay a plain loop", min(tops, key=lambda t: t.lineno))
        training.handled_statements.update(tops)

    def tops(self) -> list[ast.stmt]:
        """The statements of the top level that are changed, the functions with them."""
        changed = self.changes.statements
        return [s for s in self.source.tree.body if any(n in changed for n in nodes(s))]

    def first_use(self) -> ast.stmt:
        """The first statement of the top level that trains or calls what trains."""
        for s in self.source.tree.body:
            if isinstance(s, (ast.FunctionDef, ast.ClassDef)) or s in self.objects:
                continue
            names = {n.id for n in nodes(s) if isinstance(n, ast.Name)}
            called = {getattr(f, "name", "") for f in self.results}
            if any(is_tape(n) for n in nodes(s)) or names & called:
                return s
        return self.source.tree.body[-1]

    def optimizer_made(self, name: str, code: OptimizerCode, models: Sequence[str]) -> list[str]:
        """The statements that make an optimizer of the weights of some models."""
        for helper in code.all_helpers:
            self.need(helper)
        self.edit.dropped_names |= set(code.helpers)
        return optimizer_lines(code, models, name, self.scheduler_of(name) if code.schedule is not None else "")

    def optimizer_lines(self, text: str, statement: ast.stmt) -> tuple[list[str], bool]:
        """The statements that make an optimizer, and whether its models are only made after it."""
        code, models = self.optimizers[text]
        lines = [f"{m}.to({self.device})" for m in models if m not in self.moved]
        lines += self.optimizer_made(text, code, models)
        body = self.source.tree.body
        waits = False
        for model in models:
            name = model.partition(".")[0]
            binds = [
                s
                for s in body
                if isinstance(s, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in s.targets)
            ]
            if statement in body and binds and body.index(binds[0]) > body.index(statement):
                waits = True
        return lines, waits

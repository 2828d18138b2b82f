"""What is known and written of the training code of one file."""

from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from transpiler.diagnostics import Declined, Finding, Severity, Span, excerpt
from transpiler.ir.conversion import TrainingPlan
from transpiler.ir.expr import code_of
from transpiler.ir.model import ApiValue, Layer
from transpiler.ir.naming import Names
from transpiler.ir.program import ModuleClass
from transpiler.ir.trees import nodes
from transpiler.options import PLAIN
from transpiler.read.keras.evaluate.own_models import with_graphs
from transpiler.read.keras.evaluate.toggles import Toggle
from transpiler.read.keras.evaluate.training_calls import argument_nodes, model_of
from transpiler.read.keras.evaluate.values import Function, Model
from transpiler.read.keras.factory import Factory
from transpiler.read.keras.names import canonical
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import Recorder
from transpiler.read.keras.units import layers_of
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import torch_file
from transpiler.training.across import ProjectNames, Renamed
from transpiler.training.edits import edited, taken_branch, with_edits
from transpiler.training.map_functions import MapFunction, changed_functions
from transpiler.training.pipelines import PipelineWriter
from transpiler.training.places import holders_of, places_of
from transpiler.training.source import Scopes
from transpiler.training.trainer import Functions, Trainer
from transpiler.write.torch.layout import render
from transpiler.write.torch.module import FileEdit, used_identifiers


class FileTraining:
    """The training code of one file: what the program does with its models, and what that becomes."""

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
        rebuilt: Collection[ast.AST] = (),
        made_as: Callable[[str], ModuleClass | None] = lambda _: None,
        trainer: str = PLAIN,
        strict: bool = False,
    ) -> None:
        self.source, self.interpreter, self.edit = source, interpreter, edit
        self.calls, self.generation = with_graphs(interpreter.training_calls), interpreter.generation
        self.roots = roots
        """The class of a model."""
        self.gone = gone
        """The nodes of what is replaced by classes and factories."""
        self.made_as = made_as
        """The class of the model that a variable of the result holds."""
        self.rebuilt = rebuilt
        """The statements among them that bind the same models in the result."""
        self.names_of_file = names_of_file
        self.functions_of_program = functions
        self.frozen = frozen
        """Where the source sets `trainable` so that the classes of the result have it."""
        self.trainer, self.strict = trainer, strict
        self.scopes = Scopes(source)
        self.names = Names(frozenset(used_identifiers(source.tree)) | {n for _, n in self.scopes.bound})
        imports = [n for n in self.scopes.scope if isinstance(n, (ast.Import, ast.ImportFrom))]
        modules = [m for n in imports for m in ([a.name for a in n.names] if isinstance(n, ast.Import) else [n.module])]
        self.takes_frames = any((m or "").partition(".")[0] == "pandas" for m in modules)
        """Whether data of the program may be frames and series of pandas."""
        self.functions: dict[str, str] = {}
        """Texts of functions that the file needs → their names."""
        self.declined: dict[ast.expr, Declined] = {}
        """Calls that are not translated, and why."""
        self.edits: dict[ast.stmt, dict[ast.AST, str]] = {}
        """Expressions that are replaced, by their statements."""
        made = {n: p for n, p in interpreter.pipelines.items() if n in self.scopes.scope and n not in gone}
        channels_first = interpreter.image_data_format != "channels_last"
        self.pipelines = PipelineWriter(
            made,
            self.takes,
            self.need_helper,
            interpreter.eval,
            self.place_mapped,
            self.near,
            interpreter.made_pipelines,
            self.scopes.condition,
            channels_first,
        )
        self.after: dict[ast.stmt, list[str]] = {}
        """Statement → the lines that follow it."""
        self.several = False
        """Whether the file trains or measures models under more than one name."""
        self.several_compiled = False
        """Whether they are compiled under more than one name."""
        self.handled: set[ast.Call] = set()
        """Calls that are translated."""
        self.trained: set[ast.stmt] = set()
        """The statements that they stand in."""
        self.trainers: dict[int, Trainer] = {}
        """How models are measured, by their ids."""
        self.plans: list[tuple[Any, TrainingPlan]] = []
        """Models, and how they are trained."""
        self.notes: list[Finding] = []
        """What is not quite the same in training."""
        self.settled_tests: set[ast.stmt] = set()
        """Statements that ask for settings of Keras, which are constants."""
        self.own_callbacks: set[str] = set()
        """The variables that hold callbacks of the program."""
        self.covered: list[Layer] = []
        """The layers whose regularizers and constraints are translated."""
        self.settled_toggles: list[Toggle] = []
        """What sets `trainable`, which the optimizers of the result say."""
        self.factories: dict[ast.AST, Factory] = {}
        """The functions that became factories."""
        self.project: Sequence[FileTraining] = (self,)
        """The files that are converted together."""
        self.names_of_project = ProjectNames(interpreter.modules)
        self.requires_grad: dict[ast.AST, list[str]] = {}
        """Statements that set `trainable` → the lines that stand for them."""
        self.handled_statements: set[ast.stmt] = set()
        """Statements of the top level that train with tapes, and are translated."""

    def note(
        self, code: str, text: str, node: ast.expr | ast.stmt, severity: Severity = Severity.NOTE, advice: str = ""
    ) -> None:
        """Notes something about the training."""
        home = self.home_with(node) or self
        span = home.source.span(node)
        finding = Finding(code, severity, text, advice, span, excerpt(span))
        self.notes += [finding] if finding not in self.notes else []

    def near(self, text: str, node: ast.expr | ast.stmt) -> None:
        """Notes that the training is nearly the same. Raises Declined where only the same is wanted."""
        if self.strict:
            raise Declined(TRAINING, f"--strict: {text}")
        self.note("K2T501", text, node)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What is written inside is taken back if a part of it is declined."""
        outer = [(f, f.state()) for f in self.project]
        try:
            yield
        except Exception:
            for file, state in outer:
                file.restore(state)
            raise

    def state(self) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
        """What is written so far."""
        own = {n: copied(getattr(self, n)) for n in ("functions", "edits", "notes", "after")}
        names = ("replaced", "removed", "helpers", "endings", "dropped_names", "libraries", "importable")
        return own, {n: copied(getattr(self.edit, n)) for n in names}, set(self.names.taken)

    def restore(self, state: tuple[dict[str, Any], dict[str, Any], set[str]]) -> None:
        own, edit, self.names.taken = state
        self.__dict__.update(own)
        self.edit.__dict__.update(edit)

    def apply_edits(self) -> None:
        """Writes the statements of which expressions are replaced; those inside of others go with these."""
        for statement, lines in self.after.items():
            if statement in self.gone:
                self.edit.after[statement] = lines
                continue
            text = self.edit.replaced.get(statement) or edited(self.source.text, statement, {})
            self.edit.replaced[statement] = "\n".join((text, *lines))
        around = {
            s: [o for o in self.edits if o is not s and s in nodes(o)] for s in (*self.edits, *self.edit.replaced)
        }
        for statement, edits in self.edits.items():
            if statement in self.edit.replaced:  # by a text that has these expressions as they were
                self.edit.replaced[statement] = with_edits(self.edit.replaced[statement], edits)
                continue
            if around[statement] or statement in self.edit.removed:
                continue
            inside = [s for s, outer in around.items() if statement in outer]
            whole: dict[ast.AST, str] = dict(edits)
            for inner in inside:
                whole |= self.edits.get(inner, {})  # type: ignore[call-overload]
                if inner in self.edit.replaced:
                    indent = " " * inner.col_offset  # type: ignore[attr-defined]
                    whole[inner] = textwrap.indent(self.edit.replaced.pop(inner), indent).lstrip()
            for node in edits:
                inner = {n: whole[n] for n in nodes(node) if n in edits and n is not node}
                whole[node] = with_edits(whole[node], inner) if inner else whole[node]
            text = edited(self.source.text, statement, whole)
            if statement in self.settled_tests:
                text = taken_branch(text) or ("" if statement in self.source.tree.body else "pass")
            self.edit.replaced[statement] = re.sub(r"^(class \w+)\(\):", r"\1:", text, flags=re.M)

    def place_functions(self) -> None:
        """Puts the functions above the first statement that does something with a model."""
        using = {*self.trained, *self.after} or self.handled_statements
        first = next((s for s in self.source.tree.body if any(n in using for n in nodes(s))), None)
        for text in self.functions.values() if first is not None else ():
            self.edit.before.setdefault(self.place_of(text, first), []).append(text)

    def place_of(self, text: str, first: ast.stmt) -> ast.stmt:
        """The statement above which a function goes: the `first`, or one below what its making reads."""
        made = ast.parse(text).body
        read = used_identifiers(made[0]) if len(made) == 1 and isinstance(made[0], ast.Assign) else frozenset()
        body = self.source.tree.body
        late = [i for i, s in enumerate(body) if i >= body.index(first) and self.scopes.bound_by(s) & read]
        return body[late[-1] + 1] if late and late[-1] + 1 < len(body) else first

    def own_function(self, name: str, text: str) -> None:
        """Notes a function of a loss. Raises Declined if the file has another one of this name."""
        if not name:
            return
        if self.functions.get(name, text) != text or name in self.scopes.names_at(self.source.tree.body[0]):
            raise Declined(TRAINING, f"the file has two functions {name}()")
        self.functions = {name: text, **self.functions}

    def function(self, template: str, called: str = "", **values: Any) -> str:
        """The name of a function that the file needs, written once; that of its template if it is not `called` else."""
        name = next((n for n, t in self.functions.items() if t == render(f"training/{template}", name=n, **values)), "")
        if not name:
            name = self.names.take(called or template)
            self.functions[name] = render(f"training/{template}", name=name, **values)
        return name

    def takes(self, module: str, *names: str) -> None:
        """Notes names of a library. Raises Declined if the file means something else by one."""
        for name in names:
            if any(bound == name for _, bound in self.scopes.bound):
                raise Declined(TRAINING, f"the file has a {name} of its own")
            self.edit.libraries[name] = module

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

    def arguments_of(self, call: ast.Call, method: str) -> dict[str, ast.expr] | None:
        """The expressions of a call's arguments by name; None where `*` or a `**` that cannot be written out hides them."""
        named: dict[str, ast.expr] = {}
        for keyword in call.keywords:
            more = {keyword.arg: keyword.value} if keyword.arg else self.scopes.written_out(keyword.value, call)
            if more is None:
                return None
            named |= more
        return argument_nodes(call, method, self.generation, named)

    def function_called(self, call: ast.expr) -> ast.AST | None:
        """The function of the top level that a call names, or the method of the same class by `self`; None for others."""
        of = call.func if isinstance(call, ast.Call) else None
        if isinstance(of, ast.Name):
            value = self.names_of_file.get(of.id)
            return value.node if isinstance(value, Function) and (None, of.id) not in self.scopes.bound else None
        own = self.scopes.scope[call]
        if (
            not isinstance(of, ast.Attribute)
            or not isinstance(of.value, ast.Name)
            or not isinstance(own, ast.FunctionDef)
        ):
            return None
        holder = next((c for c in self.scopes.scope if isinstance(c, ast.ClassDef) and own in c.body), None)
        if holder is None or [a.arg for a in own.args.args[:1]] != [of.value.id]:
            return None
        methods = [f for f in self.scopes.scope if isinstance(f, ast.FunctionDef) and f.name == of.attr]
        return methods[0] if len(methods) == 1 and methods[0] in holder.body else None

    def class_of(self, node: ast.expr) -> ast.ClassDef | None:
        """The class in whose method an expression starts with `self`, or the base of it that the file has."""
        method, first = self.scopes.scope[node], node
        while isinstance(first, ast.Attribute):
            first = first.value
        owned = isinstance(method, ast.FunctionDef) and [a.arg for a in method.args.args[:1]] == [ast.unparse(first)]
        classes = [c for c in self.scopes.scope if isinstance(c, ast.ClassDef)]
        found = next((c for c in classes if owned and method in c.body), None)
        while found is not None:
            base = next((c for c in classes if c is not found and c.name in map(ast.unparse, found.bases)), None)
            if base is None:
                break
            found = base
        return found

    def statement_of(self, node: ast.Call) -> ast.stmt:
        return self.scopes.statement[node]

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

    def replace_anywhere(self, node: ast.expr, text: str) -> None:
        """Replaces an expression, perhaps in a text with values, whose parts have no places of their own before Python 3.12."""
        statement = self.scopes.statement[node]
        edits = self.edits.setdefault(statement, {})
        around = next((n for n in nodes(statement) if isinstance(n, ast.JoinedStr) and node in nodes(n)), None)
        if around is None:
            edits[node] = text
        else:
            known = edits.get(around) or ast.get_source_segment(self.source.text, around) or ""
            edits[around] = known.replace(ast.unparse(node), text)

    def rename_file(self, node: ast.expr | None) -> None:
        """Gives a file its new name wherever the source writes it out."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.rename_path(node.value)

    def rename_path(self, path: str) -> None:
        """Gives a file its new name wherever the source writes its path out, or the end of it."""
        for other, statement in self.scopes.statement.items():
            old = other.value if isinstance(other, ast.Constant) and isinstance(other.value, str) else ""
            ends = old == path or f"/{path}".endswith(f"/{old}") and torch_file(old) != f"{old}.pt"
            if old and ends and torch_file(old) != old and other not in self.gone:
                self.edits.setdefault(statement, {}).setdefault(other, code_of(torch_file(old)))

    def body_of(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements beside a statement."""
        for node in (self.source.tree, *self.scopes.scope):
            for name in ("body", "orelse", "finalbody"):
                found = getattr(node, name, None)
                if isinstance(found, list) and statement in found:
                    return found
        raise AssertionError("a statement outside of the file")

    @staticmethod
    def receiver_of(node: ast.Call) -> str:
        return ast.unparse(model_of(node))

    def target_of(self, statement: ast.stmt, node: ast.Call) -> str | None:
        """The variable that a statement puts the result of a call into, if there is one."""
        if isinstance(statement, ast.Expr) and statement.value is node:
            return None
        value = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(value, ast.Attribute) and value.attr == "history":
            value = value.value  # the result has the numbers themselves
        if isinstance(statement, ast.Assign) and value is node and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name) or isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                return ast.unparse(target)
        raise Declined(TRAINING, "fit() inside of another expression is not translated")

    def home_with(self, node: ast.AST) -> FileTraining | None:
        """The file that a node stands in, if it is converted along with this one."""
        return next((f for f in (self, *self.project) if node in f.scopes.scope), None)

    def home_of(self, node: ast.AST) -> FileTraining:
        """The file that a node stands in. Raises Declined for one that is not converted along with this one."""
        home = self.home_with(node)
        if home is None:
            raise Declined(TRAINING, "this is said in a file that is not converted along with this one")
        return home

    def name_here(self, name: str, home: FileTraining) -> str | None:
        """What a name of the top level of another file is called here, where it is imported if need be; None if it cannot be."""
        if home is self:
            return name
        origin = self.names_of_project.origin(home.source, name)
        return self.names_of_project.name_in(self.source, origin, self.edit) if origin is not None else None

    def written_here(self, expression: ast.expr) -> ast.expr | None:
        """An expression of the top level of any file as this one reads it; None where it may mean something else."""
        home = self.home_of(expression)
        if not home.scopes.reads_alike(expression, home.source.tree.body[-1]):
            return None
        names = {n.id for n in nodes(expression) if isinstance(n, ast.Name)}
        here = {n: self.name_here(n, home) for n in names}
        if not all(here.values()):
            return None
        return Renamed({n: ast.Name(t) for n, t in here.items() if t}).visit(copy.deepcopy(expression))

    def found_on_weights(self, model: Model, find: Callable[..., Any]) -> Any:
        """The regularizers or constraints that `find` finds of a model; None where no layer asks for any."""
        layers, built, root = layers_of(model, self.interpreter), self.interpreter.built, self.roots(model)
        return find(
            layers,
            built,
            self.generation,
            lambda: root and places_of(root, layers, built),
            lambda: root and holders_of(root, layers, built),
        )


def copied(value: Any) -> Any:
    """A collection, and the collections in it, made anew."""
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return type(value)(value) if isinstance(value, (list, set)) else value

"""What is left of Keras in a file once its models are written: removed, or reported."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from transpiler.diagnostics import Declined, Finding, Severity, excerpt
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import Unknown, has_tensors
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import uses_keras
from transpiler.read.keras.scripts import holds_models, is_used_part
from transpiler.rewrite.calls_left import CallsLeft
from transpiler.rewrite.outcome import Outcome
from transpiler.rewrite.statements import (
    changed_names,
    expressions_of,
    imports_framework,
    is_alias,
    is_import_block,
    of_framework,
    only_for_models,
    read_by_others,
    stored_names,
    without_decorators,
)
from transpiler.write.torch.check import global_names
from transpiler.write.torch.module import FileEdit, used_identifiers


class Leftovers:
    """Goes through the statements of one file that nothing has taken the place of yet."""

    def __init__(
        self, outcome: Outcome, source: SourceModule, edit: FileEdit, untrained: Mapping[ast.expr, Declined]
    ) -> None:
        self.outcome, self.source, self.edit, self.untrained = outcome, source, edit, untrained
        """`untrained`: calls on models that belong to training and are not translated, and why."""
        self.interpreter, self.memory = outcome.program.interpreter, outcome.memory
        self.names = outcome.names_of(source)
        self.moved = outcome.moved()
        used = {n for s in self.moved for n in used_identifiers(s)}
        self.keras_names = {n for n, v in self.names.items() if uses_keras(v)} - outcome.converted_names(self.names)
        self.keras_names |= {n for n, v in self.names.items() if holds_models(v)} & used  # the result has no such lists
        self.keras_names -= self.renewed()
        self.gone = {
            n.name
            for n in edit.replaced
            if isinstance(n, ast.FunctionDef) and n in self.memory.visited and n not in outcome.done
        }
        """Names of functions that the result does not have."""
        self.followers: list[ast.stmt] = []
        """Statements that are not translated because others are not."""

    def renewed(self) -> set[str]:
        """The variables that are set to something else now, which is no part of Keras."""
        found: set[str] = set()
        for statement in [s for s in self.source.tree.body if isinstance(s, ast.Assign) and s in self.edit.replaced]:
            used = used_identifiers(ast.parse(self.edit.replaced[statement]))
            if not (used - stored_names(statement)) & self.keras_names:
                found |= stored_names(statement)
        return found

    def handle(self) -> bool:
        """Removes what nothing needs any more and reports the rest; whether code stays that uses Keras."""
        CallsLeft(self.outcome, self.source, self.edit, self.untrained).handle()
        unasked: list[ast.stmt] = []
        stays = False
        for statement in self.source.tree.body:
            if statement in self.edit.replaced or statement in self.edit.removed or is_import(statement):
                continue
            if any(n in self.edit.replaced or n in self.interpreter.left_out for n in nodes(statement)):
                stays |= self.rest_of(statement)
            elif self.remove(statement) or not self.needs_keras(statement) or self.undecorate(statement):
                continue
            else:
                stays = True
                if not self.outcome.only_entries:
                    self.report_leftover(statement)
                elif not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                    unasked.append(statement)
        self.edit.removed |= set(unasked) - read_by_others(self.source.tree.body, unasked, self.edit)
        self.report_followers()
        return stays

    def rest_of(self, statement: ast.stmt) -> bool:
        """What surrounds the parts of a statement that have new texts; whether any of it still uses Keras."""
        if isinstance(statement, ast.ClassDef) and not self.outcome.only_entries:
            self.edit.removed |= {
                n
                for n in statement.body
                if n in self.memory.visited
                and not any(inner in self.edit.replaced for inner in nodes(n))
                and used_identifiers(n) & self.keras_names
            }
        found = self.leftovers_beside_models(statement)
        failure = self.interpreter.failed.get(statement)
        if failure is not None:  # what comes after it was not evaluated
            self.outcome.findings.add(failure.finding())
        return bool(found)

    def remove(self, statement: ast.stmt) -> bool:
        """Removes a statement that the result does not need; whether there is no more to do about it."""
        if is_import_block(statement):
            return True
        if self.outcome.only_entries and self.makes_other_model(statement):
            self.edit.removed.add(statement)
            return True
        if statement in self.memory.visited and statement not in [f.node for f in self.memory.static_functions]:
            self.remove_visited(statement)
            return True
        if not self.is_needless(statement):
            return False
        self.edit.removed.add(statement)
        return True

    def remove_visited(self, statement: ast.stmt) -> None:
        """Removes a function or class that became part of others."""
        written = isinstance(statement, ast.ClassDef) and statement.name in self.edit.dropped_names
        if self.outcome.only_entries and not written:  # other files may still import it
            return
        self.edit.removed.add(statement)
        self.gone.add(getattr(statement, "name", ""))
        if statement in self.edit.before:
            self.edit.replaced[statement] = ""

    def is_needless(self, statement: ast.stmt) -> bool:
        """Whether a statement only makes what the models of the result hold themselves."""
        failed = id(statement) in self.interpreter.failed_marks
        if not failed and only_for_models(statement, self.moved, self.source.tree.body, self.names):
            return True
        changed = changed_names(statement)
        if changed and not failed and any(w.statements for w in self.outcome.written()):
            values = [self.names.get(n) for n in changed]
            if all(has_tensors(v) or isinstance(v, Layer) for v in values):
                return True  # another name or a list for tensors or layers of the model
        if isinstance(statement, ast.Assign) and used_identifiers(statement) & self.gone:  # a table of such functions
            return True
        if is_alias(statement, self.names, self.memory.visited) or self.is_part(statement):
            return True
        return self.is_read_no_more(statement)

    def is_read_no_more(self, statement: ast.stmt) -> bool:
        """Whether a statement makes an object of Keras, such as a loss, which only functions have used that are others now."""
        names = stored_names(statement)
        if not names or not all(isinstance(self.names.get(n), ApiObject) for n in names) or self.outcome.project:
            return False
        others = [s for s in self.source.tree.body if s is not statement and s not in self.edit.removed]
        rest = [ast.parse(self.edit.replaced[s]) if s in self.edit.replaced else s for s in others]
        read = [s for s in others if s in self.edit.replaced and used_identifiers(s) & names]
        return bool(read) and not any(used_identifiers(s) & names for s in rest)

    def needs_keras(self, statement: ast.stmt) -> bool:
        """Whether a statement cannot stay as it is."""
        untrained = any(n in self.untrained for n in nodes(statement))
        removed = {n for s in nodes(statement) if s in self.edit.removed for n in nodes(s)}
        names = [n for n in nodes(statement) if isinstance(n, ast.Name)]
        gone = {n.id for n in names if n in removed} - {n.id for n in names if n not in removed}
        uses = (used_identifiers(statement) - stored_names(statement) - gone) & self.keras_names
        if uses and isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            uses &= global_names(ast.unparse(statement))  # parameters and variables of its own may be called the same
        return bool(uses) or untrained or imports_framework(statement)

    def undecorate(self, statement: ast.stmt) -> bool:
        """Leaves out the decorators of a function if nothing else of it uses Keras; whether that is so."""
        plain = without_decorators(statement, self.source)
        used = used_identifiers(ast.parse(plain))
        if not plain or any(n in self.keras_names or of_framework(self.names.get(n)) for n in used):
            return False
        self.edit.replaced[statement] = plain
        return True

    def leftovers_beside_models(self, statement: ast.stmt) -> list[ast.stmt]:
        """What still uses Keras beside the models in functions and blocks that make and train them."""
        inside = set(nodes(statement))
        workers = [f for f in self.outcome.factories() if f.function.node in self.memory.workers and f.statements]
        rest = [s for f in workers for s in f.statements.body if s in inside and not is_import(s)]
        rest = [s for s in rest if not any(n in self.edit.replaced or n in self.edit.removed for n in nodes(s))]
        found = [
            s
            for s in rest
            if used_identifiers(s) & self.keras_names and not any(n in self.interpreter.left_out for n in nodes(s))
        ]
        found += [  # steps of training, such as those of a pipeline, that are declined by themselves
            s
            for s in inside
            if isinstance(s, ast.stmt)
            and any(n in self.untrained and n not in self.interpreter.left_out for n in expressions_of(s))
            and not any(n in self.edit.replaced or n in self.edit.removed or n in found for n in nodes(s))
        ]
        for inner in sorted(found, key=lambda s: s.lineno):
            self.report_leftover(inner)
        return found

    def is_part(self, statement: ast.stmt) -> bool:
        """Whether a statement only makes what has become a part of models that call it."""
        made = assigned_names([statement]) if isinstance(statement, ast.Assign) else []
        return bool(made) and all(is_used_part(self.names.get(n), self.interpreter) for n in made)

    def makes_other_model(self, statement: ast.stmt) -> bool:
        """Whether a statement only makes models of the program's own classes that nobody asked for."""
        made = assigned_names([statement]) if isinstance(statement, ast.Assign) else []
        wanted = {k[1] for k in self.outcome.done if isinstance(k, tuple)}
        return bool(made) and all(is_own_layer(self.names.get(n)) and n not in wanted for n in made)

    def follows_from_another(self, statement: ast.stmt) -> bool:
        """Whether a statement of a script is not translated only because another one, which is reported, is not."""
        failed = self.interpreter.failed
        known = failed.get(statement)
        if known is not None:
            return any(known.message.endswith(f": {f.message}") for s, f in failed.items() if s is not statement)
        return bool(failed) and id(statement) in self.interpreter.statement_marks

    def cause_in(self) -> Declined | None:
        """The first thing of a file that was not translated, and that others may follow from."""
        failed = [d for s, d in self.interpreter.failed.items() if s in self.source.tree.body]
        declined = [
            d
            for d in self.outcome.done.values()
            if isinstance(d, Declined) and d.span and d.span.file == str(self.source.path)
        ]
        return next(iter((*declined, *failed)), None)

    def needs_what_failed(self, statement: ast.stmt) -> bool:
        """Whether a statement makes or reads layers, tensors or models of which others were not translated."""
        cause = self.cause_in()
        if cause is None:
            return False
        held = [self.names.get(n) for n in (*assigned_names([statement]), *used_identifiers(statement))]
        return any(
            (
                root_of(v.reason) == root_of(cause.message)
                if isinstance(v, Unknown)
                else uses_keras(v) and not isinstance(v, (ApiValue, ApiObject))
            )
            for v in held
        )

    def report_followers(self) -> None:
        """One finding for all statements that go with what is not translated."""
        found, cause = self.followers, self.cause_in()
        if not found or cause is None:
            return
        span, last = self.source.span(found[0]), found[-1].end_lineno
        what = f"{len(found)} statements, down to line {last}, go" if len(found) > 1 else "this statement goes"
        self.outcome.findings.add(
            Finding(
                "K2T203",
                Severity.ERROR,
                f"{what} with what is not translated: {cause.message}",
                "Mend what that says first.",
                span,
                excerpt(span),
            )
        )

    def report_leftover(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign) and self.follows_from_another(statement):
            if self.outcome.options.allow_partial:
                self.edit.removed.add(statement)
            return
        known = self.outcome.done.get(statement) or self.interpreter.failed.get(statement)
        untrained = next((self.untrained[n] for n in nodes(statement) if n in self.untrained), None)
        span = self.source.span(statement)
        if isinstance(known, Declined):
            finding = known.finding()
        elif untrained is not None:
            advice = "Translate it by hand."
            finding = Finding(untrained.code, Severity.ERROR, untrained.message, advice, span, excerpt(span))
        else:
            name = getattr(statement, "name", "")
            what = (
                f"{name}() was not converted: it builds no model that could be evaluated"
                if isinstance(statement, ast.FunctionDef)
                else (
                    f"the class {name} is not translated" if name else "this statement uses Keras and is not translated"
                )
            )
            code = "K2T107" if isinstance(statement, ast.ClassDef) else "K2T203"
            finding = Finding(
                code,
                Severity.ERROR,
                what,
                "Name a call of it with --entry, or translate it by hand.",
                span,
                excerpt(span),
            )
            if not name and self.needs_what_failed(statement):
                self.followers.append(statement)
        if statement not in self.followers:
            self.outcome.findings.add(finding)
        if not self.outcome.options.allow_partial:
            return
        message = f"{finding.code}: {finding.message}"
        if isinstance(statement, ast.FunctionDef):
            self.edit.replaced[statement] = (
                f"def {statement.name}(*args, **kwargs):\n    raise NotImplementedError({message!r})"
            )
        elif isinstance(statement, ast.ClassDef):
            self.edit.replaced[statement] = (
                f"class {statement.name}:\n    def __init__(self, *args, **kwargs):\n        raise NotImplementedError({message!r})"
            )
        else:
            self.edit.replaced[statement] = f"raise NotImplementedError({message!r})"


def root_of(reason: str) -> str:
    """What is behind a reason that others were put in front of: `y` of `x cannot be evaluated: y`."""
    return reason.rpartition(": ")[2]


def is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))

"""Calls on models in code that stays as it is."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from transpiler.diagnostics import Declined, Finding, Severity, excerpt
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.api import TRAINING_METHODS, WEIGHT_METHODS
from transpiler.read.keras.parse import SourceModule
from transpiler.rewrite.outcome import Outcome
from transpiler.rewrite.statements import called_in, expressions_of
from transpiler.write.torch.module import FileEdit


class CallsLeft:
    """Goes through the calls on models that no training code of the result stands for."""

    def __init__(
        self, outcome: Outcome, source: SourceModule, edit: FileEdit, untrained: Mapping[ast.expr, Declined]
    ) -> None:
        self.outcome, self.source, self.edit, self.untrained = outcome, source, edit, untrained
        """`untrained`: those that are not translated, and why."""
        self.interpreter, self.memory = outcome.program.interpreter, outcome.memory

    def handle(self) -> None:
        """Rewrites calls with a torch idiom, and reports the others."""
        gone = {n for root in (*self.edit.replaced, *self.edit.removed) for n in nodes(root)}
        for node in list(self.edit.replaced):
            if isinstance(node, ast.stmt) and not isinstance(node, ast.ClassDef) and node not in self.memory.visited:
                self.warn_of_unseen(node)
        for statement in self.source.tree.body:
            if statement in self.memory.visited and not any(n in self.interpreter.left_out for n in nodes(statement)):
                continue
            for node in nodes(statement):
                if node in gone or not isinstance(node, ast.stmt):
                    continue
                call = node.value if isinstance(node, (ast.Expr, ast.Assign, ast.Return)) else None
                if isinstance(node, ast.Expr) and call in self.interpreter.rewritten:
                    self.edit.replaced[node] = self.interpreter.rewritten[call]  # type: ignore[index]
                    continue
                self.warn_of_unseen(node)
                own = [n for n in expressions_of(node) if n in self.interpreter.left_out]
                for n in own:
                    self.report_call(node, n)

    def warn_of_unseen(self, node: ast.stmt) -> None:
        """Calls that look like those on models, in code that could not be evaluated: nothing stands for them."""
        seen = self.interpreter.training_calls
        receivers = {n.func.value for n in seen if isinstance(n.func, ast.Attribute)}
        tails = {ast.unparse(r).rpartition(".")[2] for r in receivers}
        replaced = self.edit.replaced.get(node)
        left = called_in(replaced) if replaced is not None else None
        for call in expressions_of(node) if replaced is None else nodes(node):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call in seen:
                continue
            name, tail = call.func.attr, ast.unparse(call.func.value).rpartition(".")[2]
            if (
                name in (*TRAINING_METHODS, *WEIGHT_METHODS)
                and tail in tails
                and (left is None or ast.unparse(call.func) in left)
            ):
                span = self.source.span(call)
                message = f"{name}() stays as it is: it could not be evaluated what {tail} is here"
                advice = "Translate it by hand if it is a model."
                self.outcome.findings.add(Finding("K2T401", Severity.WARNING, message, advice, span, excerpt(span)))

    def report_call(self, statement: ast.stmt, call: Any) -> None:
        name = self.interpreter.left_out[call]
        span = self.source.span(call)
        code = "K2T403" if name in (*WEIGHT_METHODS, "load_model") else "K2T401"
        untrained = self.untrained.get(call)
        why = f": {untrained.message}" if untrained is not None else ""
        finding = Finding(
            code,
            Severity.ERROR,
            f"{name}(){'' if name == 'load_model' else ' of the model'} is not translated{why}",
            (untrained.advice if untrained is not None else "")
            or "Write the training loop, or load the weights, around the converted model.",
            span,
            excerpt(span),
        )
        if self.outcome.only_entries:
            if statement in self.source.tree.body or statement in self.outcome.constructors():
                self.edit.removed.add(statement)
            return
        self.outcome.findings.items[:] = [f for f in self.outcome.findings.items if f.span != span]
        self.outcome.findings.add(finding)
        if self.outcome.options.allow_partial and statement not in self.edit.replaced:
            self.edit.replaced[statement] = f"raise NotImplementedError({f'{code}: {finding.message}'!r})"

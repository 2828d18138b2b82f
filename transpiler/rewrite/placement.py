"""Puts classes and factories into the files they belong to, where what they come from stood."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.class_files import FileOfClasses
from transpiler.diagnostics import Finding, Severity, excerpt
from transpiler.ir.expr import MISSING
from transpiler.ir.program import Let, ModuleClass
from transpiler.ir.trees import nodes
from transpiler.read.keras.builder_findings import unchecked
from transpiler.read.keras.evaluate.staging import defaults_of, unchanged
from transpiler.read.keras.evaluate.values import PRETRAINED, Function, Model, Module, Unknown
from transpiler.read.keras.factory import Factory
from transpiler.read.keras.measuring import LOGITS
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import uses_keras
from transpiler.rewrite.outcome import Outcome, TensorFunction, Written
from transpiler.rewrite.statements import default_names
from transpiler.rules.registry import module_class
from transpiler.write.torch.factory import (
    code_of_models,
    constructor_texts,
    factory_text,
    script_texts,
    unnamed_defaults,
)
from transpiler.write.torch.guards import other_value
from transpiler.write.torch.module import FileEdit, used_identifiers
from transpiler.write.torch.pieces import names_of
from transpiler.write.torch.tensor_functions import maker_text, tensor_function_text

KNOWN = frozenset(("int", "float", "str", "bool", "tuple", "list", "dict", "staticmethod", "classmethod"))
"""Names of Python that may stay in annotations and decorators of factories."""


class Placement:
    """Edits one file."""

    def __init__(self, outcome: Outcome, source: SourceModule, edit: FileEdit) -> None:
        self.outcome, self.source, self.edit = outcome, source, edit
        self.names = outcome.names_of(source)

    def place(self, items: list[Written], file: FileOfClasses) -> None:
        """Puts the classes and factories of a file where what they come from stood."""
        known = {n for n, v in self.names.items() if not uses_keras(v) and not isinstance(v, Unknown)} | KNOWN
        placed: set[ModuleClass] = set()
        for item in items:
            if item.function is not None and item.function.source.owner is not None:
                continue  # a method, which goes where its class is written
            if item.function is not None:
                self.place_tensor_function(item.function, file, known)
                continue
            self.place_classes(item.classes, item.root, self.anchor(item), file, placed)
            self.place_factory(item, known)
        self.place_classes(file.classes, None, None, file, placed)
        self.edit.dropped_names |= {c.name for c in file.classes}
        self.place_statics()

    def place_tensor_function(self, written: TensorFunction, file: FileOfClasses, known: set[str]) -> None:
        """Puts a function that stays one where it stood."""
        of, options = written.inner or written.source, written.options
        traced, helpers = self.outcome.traced(written)
        frozen = {n: v for n, v in zip(default_names(of), of.defaults) if n not in options}
        node: Any = written.source.node
        on_tensors: Any = with_logits(of.node) if written.on_logits else of.node
        if written.inner is not None:
            text = maker_text(node, on_tensors, traced, written.around.frozen, frozen, known)
        else:
            text = tensor_function_text(on_tensors, traced, written.sizes, frozen | written.around.frozen, known)
        self.edit.replaced[node] = text
        file.helpers += [h for h in helpers if h not in file.helpers]

    def place_classes(
        self,
        classes: list[ModuleClass],
        root: ModuleClass | None,
        anchor: ast.stmt | None,
        file: FileOfClasses,
        placed: set[ModuleClass],
    ) -> None:
        """Puts classes where the functions they come from stood, others above what needs them: the `anchor`."""
        above: list[ModuleClass] = []
        for cls in classes:
            if cls in placed or cls not in file.texts:
                continue
            placed.add(cls)
            origin = getattr(getattr(cls, "source", None), "node", None)
            if (
                origin in self.source.tree.body
                and origin not in self.edit.replaced
                and (cls is root or not self.outcome.only_entries)
            ):
                self.edit.replaced[origin] = file.texts[cls]
                stands = origin
            elif anchor is not None:
                self.edit.before.setdefault(anchor, []).append(file.texts[cls])
                continue
            else:
                above.append(cls)
                stands = next((s for s in self.source.tree.body if origin is not None and origin in nodes(s)), None)
            if stands is not None and above:
                self.edit.before.setdefault(stands, []).extend(file.texts[c] for c in above)
                above.clear()

    def place_factory(self, item: Written, known: set[str]) -> None:
        """Puts what builds the models of an item where its function or statements stood."""
        if item.factory is None:
            return
        printed = {**item.factory.printed, **item.factory.outer_names}
        if item.statements:
            self.place_script(item, item.factory, printed)
        elif item.factory.statements is not None:
            self.place_constructor(item.factory, printed)
        else:
            self.place_function(item.factory, printed, known)

    def place_script(self, item: Written, factory: Factory, printed: dict[str, str]) -> None:
        printed |= own_variables(factory, item.assigned, printed)
        texts = script_texts(item.places, factory.returned, item.assigned, printed)
        for name in item.assigned:
            self.load_pretrained(name, texts)
        last = item.places[-1][0]
        for place, lines in texts.items():  # where models of the script made one by one may stand together
            self.edit.replaced[place] = "\n".join([*self.edit.replaced.get(place, "").splitlines(), *lines])
        self.edit.removed.update(s for s in item.statements if s not in texts)
        following = [line for s in item.statements for line in self.edit.after.pop(s, [])]
        if following:
            self.edit.after[last] = following

    def load_pretrained(self, variable: str, texts: dict[ast.stmt, list[str]]) -> None:
        """Has a model that Keras makes with weights of its own read them from a file, and says how to make that."""
        model = self.names.get(variable)
        span = model.attributes.get(PRETRAINED) if isinstance(model, Model) else None
        lines = next((ls for ls in texts.values() if any(ln.startswith(f"{variable} = ") for ln in ls)), None)
        if span is None or lines is None or self.outcome.only_entries:
            return
        name = f"{model.name or variable}.pt"
        made = next(i for i, line in enumerate(lines) if line.startswith(f"{variable} = "))
        lines.insert(made + 1, f"{variable}.load_state_dict(torch.load({name!r}, weights_only=True))")
        findings = self.outcome.findings
        findings.items[:] = [f for f in findings.items if f.span != span or f.code != "K2T403"]
        command = f"keras2torch weights {span.file} FILE --entry {variable} -o {name}"
        advice = f"Make it of the FILE that Keras has in ~/.keras/models: {command}"
        message = f"the weights that Keras has for this model are read from {name}"
        findings.add(Finding("K2T403", Severity.WARNING, message, advice, span, excerpt(span)))

    def place_constructor(self, factory: Factory, printed: dict[str, str]) -> None:
        """Puts what makes the models that a function or constructor only holds into its own statements."""
        assert factory.statements is not None
        texts = constructor_texts(factory.prologue, factory.statements, factory.frozen, printed)
        self.edit.replaced |= {s: text for s, text in texts.items() if text}
        self.edit.removed |= {s for s, text in texts.items() if not text}

    def place_function(self, factory: Factory, printed: dict[str, str], known: set[str]) -> None:
        function: Any = factory.function
        frozen = factory.frozen
        bound = {n for n, v in frozen.items() if getattr(v, "name", "") in known and self.names.get(v.name) is v}
        defaults = defaults_of(function)
        classes = {n: module_class(v) for n, v in defaults.items() if module_class(v)}
        unnamed = unnamed_defaults(function.node, known) - classes.keys()
        by_default = {n for n, v in frozen.items() if n in unnamed and unchanged(v, defaults[n])}
        for n, v in frozen.items():
            if v is not MISSING and n not in by_default and not other_value(n, v):
                self.outcome.findings.add(unchecked(function, n))
        self.edit.replaced[function.node] = factory_text(
            function.node,
            factory.prologue,
            factory.returned,
            frozen,
            factory.unused,
            printed,
            known,
            bound,
            by_default,
            classes,
            self.edit.endings.get(function.node),
        )

    def place_statics(self) -> None:
        """Copies functions that the new text of a file calls from files that it will not import."""
        own = {getattr(n, "name", None) for n in self.source.tree.body}
        around = [self.source, *self.outcome.project]
        foreign = [f for f in self.outcome.memory.static_functions if f.module not in around and f.name not in own]
        used = {name for text in self.edit.new_texts() for name in names_of(text)}
        needed: list[Function] = []
        while more := [f for f in foreign if f.name in used and f not in needed]:
            needed += more
            used = used.union(*(used_identifiers(f.node) for f in more))
        for function in [f for f in foreign if f in needed]:
            self.edit.dropped_names.add(function.name)
            text = ast.get_source_segment(function.module.text, function.node) or ""
            if text not in self.edit.preamble:
                self.edit.preamble.insert(0, text)
                for name in used_identifiers(function.node):
                    value = function.env.names.get(name)
                    if isinstance(value, Module) and value.source is None:
                        self.edit.preamble.insert(
                            0, f"import {value.name}" + (f" as {name}" if value.name != name else "")
                        )

    def anchor(self, item: Written) -> ast.stmt | None:
        if item.statements:
            return item.places[0][0]
        if item.factory is not None:
            node = item.factory.function.node
            inside = (node, node.body[0]) if isinstance(node, ast.FunctionDef) else (node,)
            return next((s for s in self.source.tree.body if any(n in inside for n in nodes(s))), None)
        origin = getattr(getattr(item.root, "source", None), "node", None)
        return (
            origin if origin in self.source.tree.body else self.source.tree.body[-1] if self.source.tree.body else None
        )


def with_logits(node: ast.FunctionDef) -> ast.FunctionDef:
    """A loss or a metric whose second parameter is the logits of what it was."""
    taken = ast.parse(f"def f({ast.unparse(node.args)}): pass").body[0].args  # type: ignore[attr-defined]
    [*taken.posonlyargs, *taken.args][1].arg = LOGITS
    return ast.FunctionDef(node.name, taken, node.body, node.decorator_list, node.returns)


def own_variables(factory: Factory, assigned: list[str], printed: dict[str, str]) -> dict[str, str]:
    """Static variables that hold the models of a script → the script's own names for them; {} if these are taken."""
    returned = factory.returned if len(assigned) > 1 else [factory.returned]
    lets = [op.name for op in factory.prologue.ops if isinstance(op, Let)]
    own: dict[str, str] = {}
    for name, value in zip(assigned, returned):
        if code_of_models(value) in lets:
            own.setdefault(code_of_models(value), name)
    others = {printed.get(name, name) for name in lets if name not in own}
    return own if not others & set(own.values()) else {}

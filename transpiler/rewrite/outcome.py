"""What became of the functions and models of one conversion."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined, Findings
from transpiler.ir.expr import Sym, code_of
from transpiler.ir.program import Block, Construction, Let, ModuleClass, Return, tensors
from transpiler.options import Options
from transpiler.read.keras.evaluate.loaded_models import LOADED
from transpiler.read.keras.evaluate.staging import Memory
from transpiler.read.keras.evaluate.values import Function, Model, Module
from transpiler.read.keras.factory import Factory
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import Program, made_as
from transpiler.training.trainer import OnTensors
from transpiler.write.torch.classes import ClassWriter
from transpiler.write.torch.tensor_functions import Traced, method_lines

GENERATED = frozenset(("np", "torch", "nn", "F", "Tensor", "functools", "math", "init_weights"))
"""Names that every generated file may use."""


@dataclass(frozen=True)
class TensorFunction:
    """A function on tensors that constructs nothing."""

    source: Function
    around: Factory
    """A builder of a model that does nothing else; its parameters are the sizes of the input."""
    sizes: dict[str, int]
    """These parameters, and the axes they are the sizes of."""
    inner: Function | None = None
    """The function on tensors, where `source` is one that makes it."""
    on_logits: bool = False
    """Whether its last tensor is the logits of what the source takes."""
    options: frozenset[str] = frozenset()
    """Its other parameters that may have any value, and those of the function that makes it."""


@dataclass(eq=False)
class Written:
    """A factory or a lone class, settled and ready to be written into one file."""

    source: SourceModule
    classes: list[ModuleClass]
    factory: Factory | None = None
    root: ModuleClass | None = None
    statements: list[ast.stmt] = field(default_factory=list)
    """Top-level statements of a script that the class replaces."""
    assigned: list[str] = field(default_factory=list)
    """The variables of the script that hold the models."""
    places: list[tuple[ast.stmt, Block]] = field(default_factory=list)
    """Which of the statements make them in the result, and what each of these does."""
    function: TensorFunction | None = None
    """A function that stays one: `root` is a class that holds nothing, whose `forward` does what it does."""

    @property
    def tier(self) -> str:
        return self.factory.tier if self.factory is not None else "flat"


@dataclass(eq=False)
class Outcome:
    """All that is known of one conversion once it is decided what becomes of each function and model."""

    program: Program
    findings: Findings
    options: Options
    only_entries: bool
    memory: Memory
    printed: dict[ModuleClass, dict[str, str]]
    done: dict[Any, Written | Declined]
    """Nodes of functions and classes, names of entries and of models at the top level → what became of them."""
    project: Sequence[SourceModule] = ()
    """The files that are converted together; none if it is one file with what it needs."""

    def written(self) -> list[Written]:
        return [w for w in self.done.values() if isinstance(w, Written)]

    def factories(self) -> list[Factory]:
        return [w.factory for w in self.written() if w.factory is not None]

    def moved(self) -> list[ast.stmt]:
        """The statements of scripts that make models, in the result as well."""
        return [s for w in self.written() for s in w.statements]

    def names_of(self, source: SourceModule) -> dict[str, Any]:
        module = self.program.interpreter.modules.get(source.name)
        return module.names if isinstance(module, Module) else {}

    def on_tensors(self, function: Function) -> OnTensors | None:
        """What is known of a function on tensors that stays one in the result, or that such a function makes."""
        made = self.program.interpreter.made_functions.get(id(function))
        written = self.done.get(function.node if made is None else made.maker.node)
        if not isinstance(written, Written) or written.function is None or written.root is None:
            return None
        returned = [t for op in written.root.block.ops if isinstance(op, Return) for t in tensors(op.value)]
        if len(returned) != 1 or (made is None) != (written.function.inner is None):
            return None
        known = OnTensors(
            "", returned[0].type.rank, written.function.on_logits, returned[0].type.dtype, made and made.node
        )
        if function.owner is not None:
            traced, helpers = self.traced(written.function)
            return replace(
                known, body=tuple(method_lines(traced, function.node.args.args[0].arg)), helpers=tuple(helpers)
            )
        return known if made is not None else replace(known, name=function.name)

    def traced(self, function: TensorFunction) -> tuple[Traced, list[str]]:
        """What the text of a function on tensors is made of, and the helpers that this needs."""
        construction: Construction = function.around.returned
        writer = ClassWriter(construction.cls, self.printed[construction.cls])
        values = {p.label: code_of(construction.values[p.name]) for p in construction.cls.params}
        return Traced(writer.write(), function.around.prologue, values, function.around.printed), writer.helpers

    def class_of_model(self, model: Model) -> ModuleClass | None:
        """The class that stands for a model of the program."""
        model = model.attributes.get(LOADED, model)
        maker = self.program.interpreter.makers.get(id(model))
        if "__root__" in model.attributes:
            return model.attributes["__root__"]
        made = [a.function.node for a in self.program.interpreter.activations if a.result is model]
        for node, written in self.done.items():
            if not isinstance(written, Written) or written.factory is None:
                continue
            if node in made and written.factory.root is not None:
                return written.factory.root
            names = [n for n, v in self.names_of(written.source).items() if made_as(v, n) is model]
            if written.factory.root is not None and any(n in names for n in written.assigned):
                return written.factory.root
            returned = written.factory.returned
            for name, variable in zip(written.assigned, returned if isinstance(returned, (tuple, list)) else ()):
                cls = constructed_as(written.factory, variable) if name in names else None
                if cls is not None:
                    return cls
            if written.factory.statements is not None:
                variable = written.factory.statements.variables.get(maker)
                cls = constructed_as(written.factory, variable) if variable is not None else None
                if cls is not None:
                    return cls
        return None

    def class_of_variable(self, variable: str) -> ModuleClass | None:
        """The class of the model that a variable of a factory or script holds, if it is one of its own."""
        found = [cls for f in self.factories() if (cls := constructed_as(f, Sym.name(variable))) is not None]
        return found[0] if len(found) == 1 else None

    def converted_names(self, names: dict[str, Any]) -> set[str]:
        """The variables of the file that hold a model in the result."""
        functions = {f.function.node for f in self.factories()}
        made = {id(a.result) for a in self.program.interpreter.activations if a.function.node in functions}
        assigned = {name for w in self.written() for name in w.assigned}
        loaded = {n for n, v in names.items() if isinstance(v, Model) and LOADED in v.attributes}
        return assigned | loaded | {n for n, v in names.items() if isinstance(v, Model) and id(v) in made}

    def constructors(self) -> list[ast.stmt]:
        """The statements of the constructors that set attributes to models."""
        return [s for f in self.factories() if f.statements is not None for s in f.statements.body]


def constructed_as(factory: Factory, variable: Any) -> ModuleClass | None:
    """The class of the model that a variable of a factory holds, if it is one of its own."""
    values = [
        op.value for op in factory.prologue.ops if isinstance(op, Let) and op.name == getattr(variable, "code", "")
    ]
    return values[0].cls if len(values) == 1 and isinstance(values[0], Construction) else None

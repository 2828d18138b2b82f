"""`load_model`: which model a file holds, where the program has saved it there before."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from transpiler.ir.model import ApiObject
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Env, Instance, Model, Unknown

LOADED = "__loaded__"
"""The attribute of a model from a file with the model of the program that it is a copy of."""
HOLDER = "__holder__"
"""The attribute with the variable that holds the other one where the file is loaded."""
STALE = "__stale__"
"""The attribute that says that the optimizer of a loaded model is another one than the program has."""
JOINING = ("str", "Path", "pathlib.Path")
"""Functions that make the same path of the same parts, beside those of `os.path`."""
LEARNED = "__learned__"
"""The attribute with the number of calls that have trained a model."""


@dataclass(frozen=True, eq=False)
class SavedFile:
    """A file that the program writes a whole model to."""

    path: Any
    node: ast.expr | None
    names: dict[str, Any]
    """What the variables in the expression of the path held."""
    model: Any
    compiled: Any
    """The `compile` in force, None if there is none; it is in the file."""
    learned: int | None
    """How often the model had been trained; None for a file that is written during the training."""


class LoadedModels:
    """The part of the recorder that knows which models are in files."""

    def begin_files(self) -> None:
        self.saved_files: list[SavedFile] = []
        self.refilled: dict[ast.Call, ast.Delete | None] = {}
        """Calls that bring back a model which the program has no more hold of → the statement that had let it go."""
        self.let_go: dict[tuple[int, str], tuple[Any, ast.Delete]] = {}
        """Scopes and variables → the models that they held, and the statements that deleted these."""

    def exec_Delete(self, node: ast.Delete, env: Env) -> None:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            self.let_go[id(env), name] = env.names.get(name), node
        super().exec_Delete(node, env)  # type: ignore[misc]

    def note_saved(self, call: Any, path_node: ast.expr | None) -> None:
        """Remembers the file that `save` writes to a path, or those that the callbacks of `fit` write."""
        learned, compiled = call.model.attributes.get(LEARNED, 0), call.model.attributes.get("__compiled__")
        if call.method == "save":
            kept = compiled if call.arguments.get("include_optimizer", True) is True else None
            self.add_file(call.arguments.get("filepath"), path_node, call, kept, learned)
        callbacks = call.arguments.get("callbacks") if call.method == "fit" else None
        for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
            if not isinstance(callback, ApiObject) or callback.leaf != "ModelCheckpoint":
                continue
            if callback.kwargs.get("save_weights_only", False) is not False or len(callback.args) > 4:
                continue
            made = call.objects.get(callback)
            path = callback.args[0] if callback.args else callback.kwargs.get("filepath")
            node = (made.args[0] if made.args else keyword(made, "filepath")) if made is not None else None
            self.add_file(path, node, call, compiled, None)

    def add_file(self, path: Any, node: Any, call: Any, compiled: Any, learned: int | None) -> None:
        names = {n: value_of(n, call.env) for n in names_in(node)}
        self.saved_files.append(SavedFile(path, node, names, call.model, compiled, learned))

    def file_named(self, path: Any, node: ast.expr | None, env: Env | None) -> SavedFile | None:
        """The file of this name, as it was written last."""
        return next((f for f in reversed(self.saved_files) if same_file(f, path, node, env)), None)

    def model_in(self, file: SavedFile, node: ast.Call, tree: ast.AST, env: Env | None, compiles: Any) -> Any:
        """The model that `load_model` returns: the one that was saved, where the program keeps no other hold of it, else a copy.

        An Unknown that says why, if there is none.
        """
        model = file.model
        target = target_of(tree, node)
        compiled = file.compiled if compiles is True else None
        if compiles not in (True, False):
            return Unknown("whether it is compiled is not known")
        if target is not None and self.is_alone(model, target, env):
            self.refilled[node] = self.let_go.get((id(env), ast.unparse(target)), (None, None))[1]
            model.attributes["__compiled__"] = compiled
            model.attributes[STALE] = file.learned is None or file.learned != model.attributes.get(LEARNED, 0)
            return model
        if not isinstance(model, Model):
            return Unknown("a second model of a class of the program is not made by it")
        known = model.attributes.get(LOADED, model)
        holder = next((n for scope in scopes(env) for n, v in scope.names.items() if v is known), "")
        own = {**model.attributes, "__compiled__": compiled, LOADED: known, HOLDER: holder, STALE: True}
        return replace(model, attributes=own)

    def is_alone(self, model: Any, target: ast.expr, env: Env | None) -> bool:
        """Whether a variable that is assigned holds a model, and nothing else does."""
        base = target.value if isinstance(target, ast.Attribute) else None
        owner = value_of(base.id, env) if isinstance(base, ast.Name) else None
        if isinstance(target, ast.Attribute):
            held = owner.attributes.get(target.attr) if isinstance(owner, Instance) else None
        else:
            scope = next(iter(scopes(env)), None)
            name = target.id if isinstance(target, ast.Name) else ""
            gone = self.let_go.get((id(scope), name), (None, None))[0]
            held = scope.names.get(name, gone) if scope is not None else None
        own = target.id if isinstance(target, ast.Name) else ""
        others = [n for i, s in enumerate(scopes(env)) for n, v in s.names.items() if v is model and (i or n != own)]
        if held is not model or others or LOADED in model.attributes:
            return False
        return not any(m is not model and self.shares(m, model) for m in self.models)  # type: ignore[attr-defined]

    def shares(self, other: Any, model: Any) -> bool:
        """Whether two models have layers in common."""
        from transpiler.read.keras.units import layers_of

        own = {id(x) for x in layers_of(model, self)}
        return any(id(x) in own for x in layers_of(other, self))


def same_file(file: SavedFile, path: Any, node: ast.expr | None, env: Env | None) -> bool:
    """Whether a path is that of a file: by name, by a pattern with numbers of the epoch, or by expressions that mean the same."""
    if isinstance(path, str) and isinstance(file.path, str):
        pattern = ".+".join(map(re.escape, re.split(r"\{[^{}]*\}", file.path)))
        return path == file.path or file.learned is None and re.fullmatch(pattern, path) is not None
    if isinstance(path, str) or isinstance(file.path, str) or node is None or file.node is None:
        return False
    called = [ast.unparse(n.func) for n in nodes(node) if isinstance(n, ast.Call)]
    if any(c not in JOINING and not c.startswith("os.path.") for c in called):
        return False
    names = {n: value_of(n, env) for n in names_in(node)}
    same = names.keys() == file.names.keys() and all(names[n] is file.names[n] for n in names)
    return same and bool(names) and ast.unparse(node) == ast.unparse(file.node)


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def names_in(node: ast.expr | None) -> set[str]:
    return {n.id for n in nodes(node) if isinstance(n, ast.Name)} if node is not None else set()


def value_of(name: str, env: Env | None) -> Any:
    scope = env.scope_of(name) if env is not None else None
    return scope.names[name] if scope is not None else None


def scopes(env: Env | None) -> Iterator[Env]:
    """A scope and those around it."""
    while env is not None:
        yield env
        env = env.parent


def target_of(tree: ast.AST, node: ast.Call) -> ast.expr | None:
    """What a statement assigns the value of a call to, if it does nothing else."""
    for statement in nodes(tree):
        if isinstance(statement, ast.Assign) and statement.value is node and len(statement.targets) == 1:
            return statement.targets[0]
    return None

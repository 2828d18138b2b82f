"""Functions and classes of Keras on data, in code that stays."""

from __future__ import annotations

import ast

from transpiler.diagnostics import Declined
from transpiler.read.keras.evaluate.data_objects import KNOWN
from transpiler.rules.base import parse_signature
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.utilities import UTILITIES, Utility
from transpiler.training.file import FileTraining
from transpiler.write.torch.helpers import helper_imports


class UtilityWriter:
    """Rewrites the names of such functions; a call with arguments that are not translated is declined."""

    def __init__(self, file: FileTraining) -> None:
        self.file, self.edit, self.scopes = file, file.edit, file.scopes
        calls = [n for n in self.scopes.statement if isinstance(n, ast.Call)]
        self.call_of = {n.func: n for n in calls}

    def write(self) -> None:
        for call, (path, name, _) in self.file.interpreter.data_calls.items():
            if name not in KNOWN.get(path, (name,)) and call in self.scopes.scope and call not in self.file.gone:
                self.file.declined[call] = Declined(TRAINING, f"{name}() of {path} is not translated")
        for node in self.scopes.statement:
            if not isinstance(node, (ast.Name, ast.Attribute)) or node in self.file.gone:
                continue
            path = self.file.path_of(node)
            utility = UTILITIES.get(path)
            if utility is None or isinstance(node.ctx, ast.Store):
                continue
            if self.call_of.get(node) in self.file.declined:
                continue
            if utility.drops and node not in getattr(self.scopes.statement[node], "bases", ()):
                continue
            try:
                self.check(utility, path, self.call_of.get(node))
                text = self.name_of(utility.helper, path) if utility.helper else utility.function
                for name, module in utility.libraries.items():
                    self.file.takes(module, name)
            except Declined as declined:
                self.file.declined[self.call_of.get(node, node)] = declined
                continue
            self.file.edits.setdefault(self.scopes.statement[node], {})[node] = text
            self.edit.dropped_names.add(path.rpartition(".")[2])
            self.edit.needs([utility.helper] if utility.helper else [])

    def check(self, utility: Utility, path: str, call: ast.Call | None) -> None:
        """Raises Declined for a call that is not translated."""
        if utility.layout and self.file.interpreter.image_data_format != "channels_last":
            raise Declined(TRAINING, f"{path}() with image_data_format channels_first is not translated")
        if utility.signature is None or call is None:
            return
        if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
            return
        try:
            parse_signature(utility.signature).bind(*call.args, **{k.arg: k.value for k in call.keywords if k.arg})
        except TypeError as error:
            raise Declined(TRAINING, f"{path}(): {error}; this is not translated") from None

    def name_of(self, helper: str, path: str) -> str:
        """What a helper is called in this file."""
        for name, module in helper_imports([helper]).items():
            if (None, name) in self.scopes.bound:
                raise Declined(TRAINING, f"the file has a {name} of its own, which hides {module or 'the module'}")
        if helper not in self.edit.other_names and self.means_another(helper, path):
            self.edit.other_names[helper] = self.file.names.take(f"{helper}_")
        return self.edit.other_names.get(helper, helper)

    def means_another(self, name: str, path: str) -> bool:
        """Whether the file has a name for something else than what is at a path of Keras."""
        for node in self.scopes.scope:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
                return True
            imported = isinstance(node, ast.alias) and (node.asname or node.name) == name
            if imported and UTILITIES.get(self.path_in_keras(name)) is not UTILITIES[path]:
                return True
        return any(bound == name for _, bound in self.scopes.bound)

    def path_in_keras(self, name: str) -> str:
        """What a name at the top level means in Keras; "" for something else."""
        return str(getattr(self.file.names_of_file.get(name), "path", ""))

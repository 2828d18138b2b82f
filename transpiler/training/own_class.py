"""The class of a model that only holds others, which train together: what of it the result has."""

from __future__ import annotations

import ast
import copy
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.run_time import RunTime
from transpiler.read.keras.evaluate.values import Function, Model
from transpiler.rules.training.base import TRAINING
from transpiler.training.own_steps import LEFT_OUT, StepWriter
from transpiler.training.tape_values import kind_of

NUMBERS = (bool, int, float)


def write_class(writer: StepWriter) -> None:
    """Puts the class of the result in the place of the source's. Raises Declined for what is not translated."""
    own = writer.own
    node = own.cls.node
    assert isinstance(node, ast.ClassDef)
    bases = own.cls.bases
    if len(bases) != 1 or not isinstance(bases[0], ApiValue) or node not in writer.source.tree.body:
        raise Declined(TRAINING, f"{own.cls.name} with a train_step() derives from another class of the program")
    others = [s for s in node.body if isinstance(s, ast.FunctionDef) and s.name not in LEFT_OUT]
    if not own.holder:
        if others and own.graph is not None and own.graph.cls is not None:
            raise Declined(TRAINING, f"{others[0].name}() of a model with a train_step() is not translated")
        if own.graph is not None and own.graph.cls is not None:
            writer.edit.removed.add(node)
        return
    lines = [f"class {own.cls.name}(nn.Module):"]
    if document := ast.get_docstring(node, clean=False):
        lines += [f'    """{document}"""', ""]
    lines += constructor(writer)
    for method in others:
        lines += ["", *other_method(writer, method)]
    writer.edit.replaced[node] = "\n".join(lines)


def constructor(writer: StepWriter) -> list[str]:
    """`__init__`, with the models and the numbers that it keeps."""
    own = writer.own
    method = own.cls.lookup("__init__")
    if not isinstance(method, Function) or not isinstance(method.node, ast.FunctionDef):
        raise Declined(TRAINING, f"{own.cls.name} with a train_step() has no constructor")
    node = method.node
    arguments = node.args
    self_name = arguments.args[0].arg
    kept: list[str] = []
    for statement in node.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if is_super_call(statement):
            kept.insert(0, "super().__init__()")
        elif keeps(statement, self_name, writer):
            kept += writer.blocks.statement(statement)
    rest = arguments.kwarg
    used = {n.id for line in kept for n in nodes(ast.parse(line)) if isinstance(n, ast.Name)}
    if rest is not None and rest.arg in used:
        raise Declined(TRAINING, f"the constructor of {own.cls.name} is not translated")
    shown = copy.deepcopy(ast.arguments(arguments.posonlyargs, arguments.args, None, arguments.kwonlyargs, arguments.kw_defaults, None, arguments.defaults))  # fmt: skip
    for parameter in (*shown.args, *shown.kwonlyargs):
        kind = kind_of_parameter(parameter.arg, node, writer)
        parameter.annotation = ast.parse(kind, mode="eval").body if kind else None
    return [f"    def __init__({ast.unparse(shown)}) -> None:", *(f"        {line}" for line in kept)]


def kind_of_parameter(name: str, constructor: ast.FunctionDef, writer: StepWriter) -> str:
    """The type of a parameter that the constructor keeps as it is."""
    for s in constructor.body:
        if isinstance(s, ast.Assign) and ast.unparse(s.value) == name and isinstance(s.targets[0], ast.Attribute):
            value = writer.own.attributes.get(s.targets[0].attr)
            if isinstance(value, Model):
                return "nn.Module"
            return type(value).__name__ if isinstance(value, (bool, int, float, str)) else ""
    return ""


def is_super_call(statement: ast.stmt) -> bool:
    text = ast.unparse(statement)
    return text.startswith("super(") and ".__init__(" in text


def keeps(statement: ast.stmt, self_name: str, writer: StepWriter) -> bool:
    """Whether the result has an assignment of the constructor: one of a model, a number or a text."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(target, ast.Attribute) or ast.unparse(target.value) != self_name:
        raise Declined(TRAINING, "this statement of a constructor is not translated", "", writer.source.span(statement))
    value = writer.own.attributes.get(target.attr)
    if kind_of(value) or isinstance(value, ApiObject) and value.leaf == "SeedGenerator" or isinstance(value, Function):
        return False
    if isinstance(value, Model):
        if writer.training.roots(value) is None:
            raise Declined(TRAINING, f"the model {target.attr} is not converted", "", writer.source.span(statement))
        made = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(made, ast.Call) and is_builder(made, writer) and all(map(is_plain, arguments_of(made))):
            return True
    elif not isinstance(value, (*NUMBERS, str, type(None), RunTime)) and not is_list_of_numbers(value):
        raise Declined(TRAINING, f"{target.attr} is not translated", "", writer.source.span(statement))
    if not is_plain(statement.value):  # type: ignore[union-attr]
        raise Declined(TRAINING, f"{target.attr} is made in the constructor", "", writer.source.span(statement))
    return True


def is_list_of_numbers(value: Any) -> bool:
    return type(value) in (list, tuple) and all(isinstance(v, NUMBERS) for v in value)


def is_builder(node: ast.Call, writer: StepWriter) -> bool:
    """Whether a call is one of a function of the file's top level that the result has as well."""
    functions = [s.name for s in writer.source.tree.body if isinstance(s, ast.FunctionDef)]
    return isinstance(node.func, ast.Name) and node.func.id in functions


def arguments_of(node: ast.Call) -> list[ast.expr]:
    return [*node.args, *(k.value for k in node.keywords)]


def is_plain(node: ast.expr) -> bool:
    """Whether an expression is one of numbers and texts, and of variables and attributes that hold such."""
    if isinstance(node, (ast.Name, ast.Constant)):
        return True
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name)
    parts = [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)]
    return isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Tuple)) and all(map(is_plain, parts))


def other_method(writer: StepWriter, node: ast.FunctionDef) -> list[str]:
    """Another method that a step calls."""
    region = writer.methods.get(node)
    if region is None:
        raise Declined(
            TRAINING, f"{node.name}() of {writer.own.cls.name} is not translated", "", writer.source.span(node)
        )
    lines = writer.blocks.statement(node)
    if any(f"device={writer.device}" in line for line in lines):
        head = f"{writer.device} = next({region.receiver}.parameters()).device"
        writer.changes.heads.setdefault(node, []).insert(0, head)
        lines = writer.blocks.statement(node)
    return [f"    {line}" if line.strip() else "" for line in lines]

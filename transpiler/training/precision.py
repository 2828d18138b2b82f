"""Policies of precision: the result computes in float32, and says so where the program asked for less."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.diagnostics import Severity
from transpiler.ir.model import ApiObject
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining

SETTERS = (
    "keras.mixed_precision.set_global_policy",
    "keras.mixed_precision.set_dtype_policy",
    "keras.mixed_precision.experimental.set_policy",
    "keras.config.set_dtype_policy",
)
MIXED = {
    "mixed_float16": "torch.autocast(device, torch.float16), and scale the loss with torch.amp.GradScaler",
    "mixed_bfloat16": "torch.autocast(device, torch.bfloat16)",
}
"""Policies → what to put the forward pass and the loss of a loop under."""


def write_precision(file: FileTraining) -> None:
    """Takes out the statements that set a policy of mixed precision, or the usual one."""
    for statement in file.source.tree.body:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or len(call.args) != 1 or file.path_of(call.func) not in SETTERS:
            continue
        policy, maker = policy_of(file, call.args[0])
        if policy not in (*MIXED, "float32") or statement in file.gone:
            continue
        file.edit.removed.update(s for s in (statement, maker) if s is not None)
        if policy in MIXED:
            message = f"the policy {policy} is left out: the result computes in float32"
            advice = f"Put the forward pass and the loss of the training loop under {MIXED[policy]}."
            file.note(TRAINING, message, statement, Severity.WARNING, advice)


def policy_of(file: FileTraining, node: ast.expr) -> tuple[str, ast.stmt | None]:
    """The name of a policy, and the statement that makes an object of it for nothing else."""
    if isinstance(node, ast.Constant):
        return str(node.value), None
    value: Any = file.names_of_file.get(node.id) if isinstance(node, ast.Name) else None
    if isinstance(value, str):
        return value, None
    if not isinstance(node, ast.Name) or not isinstance(value, ApiObject) or len(value.args) != 1:
        return "", None
    reads = [
        n for n in file.scopes.scope if isinstance(n, ast.Name) and n.id == node.id and isinstance(n.ctx, ast.Load)
    ]
    made = [s for s in file.source.tree.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == node.id]
    return (str(value.args[0]), made[0]) if len(reads) == 1 and len(made) == 1 else ("", None)

"""Gradients in code with tapes: taken, clipped, and given to optimizers."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from transpiler.ir.trees import nodes
from transpiler.rules.training.optimizers import clip_each, clip_together
from transpiler.training.tape_values import Gradients, Known, Several, Tape, Tensor, Variables

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter


class Gradient:
    """The part of a region that takes gradients."""

    writer: TapeWriter
    node: ast.AST
    roles: dict[str, Any]
    under: list[ast.With]
    path: list[ast.stmt]
    called_under: dict[ast.With, set[str]]
    see: Any
    atom: Any
    decline: Any
    value_of: Any
    arguments: Any

    def clips(self, statement: ast.Assign) -> bool:
        """Whether a statement clips gradients, which it then does where they are held."""
        target, value = statement.targets[0], statement.value
        whole = isinstance(value, ast.Call) and isinstance(target, ast.Tuple) and len(target.elts) == 2
        call = value if whole else value.elt if isinstance(value, ast.ListComp) else None
        name = target.elts[0] if isinstance(target, ast.Tuple) and whole else target
        if not isinstance(call, ast.Call) or not isinstance(name, ast.Name) or not call.args:
            return False
        source = call.args[0] if whole else value.generators[0].iter  # type: ignore[attr-defined]
        role = self.roles.get(source.id) if isinstance(source, ast.Name) else None
        if not isinstance(role, Gradients):
            return False
        clipping = clipping_of(getattr(self.value_of(call.func), "path", ""), call.args[1:], whole)
        if clipping is None or call.keywords:
            raise self.decline(statement, "this change of gradients is not translated")
        if isinstance(value, ast.ListComp):
            own = value.generators[0]
            if own.ifs or len(value.generators) > 1 or ast.unparse(own.target) != ast.unparse(call.args[0]):
                raise self.decline(statement, "this change of gradients is not translated")
        parameters = own_parameters(role.models)
        self.writer.changes.texts[statement] = "\n".join(line.format(parameters=parameters) for line in clipping)
        self.roles[name.id] = role
        return True

    def gradient(self, statement: ast.Assign, target: ast.expr, call: ast.Call) -> None:
        """The gradients of a loss, which an optimizer is given later."""
        assert isinstance(call.func, ast.Attribute)
        tape = self.see(call.func.value)
        given = self.arguments(call, ("target", "sources"))
        role = self.see(given["target"]) if "target" in given else None
        variables = self.see(given["sources"]) if "sources" in given else None
        models = variables.models if isinstance(variables, Variables) else ()
        if isinstance(variables, Several) and all(isinstance(v, Variables) for v in variables.items):
            models = tuple(m for v in variables.items for m in v.models)
        if not isinstance(role, Tensor) or not role.learns or not models:
            raise self.decline(call, "gradients of anything but the weights of models are not translated")
        if self.under:
            raise self.decline(call, "gradients that are taken under another tape are not translated")
        if not isinstance(target, ast.Name):
            raise self.decline(call, "gradients have to be one variable")
        loss = self.atom(given["target"]) if role.scalar else f"{self.atom(given['target'])}.sum()"
        optimizer = self.taker_of(target.id, statement)
        rest = self.later_gradients(statement, tape)
        options = []
        called = self.called_under[tape.opened]
        if called - set(models):
            own = own_parameters(models)
            options.append(f"inputs={own if len(models) > 1 else f'list({own})'}")
        if rest:
            options.append("retain_graph=True")
        lines = [f"{optimizer}.zero_grad()", f"{loss}.backward({', '.join(options)})"]
        self.writer.changes.texts[statement] = "\n".join(lines)
        self.roles[target.id] = Gradients(models, optimizer)

    def taker_of(self, name: str, after: ast.stmt) -> str:
        """The optimizer that is given the gradients of this name next."""
        own = [n for n in nodes(self.node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        found = [
            n
            for n in own
            if n.func.attr == "apply_gradients"  # type: ignore[attr-defined]
            and n.lineno > after.lineno
            and any(isinstance(i, ast.Name) and i.id == name for i in ast.walk(n))
        ]
        found.sort(key=lambda n: n.lineno)
        if not found:
            raise self.decline(after, "gradients that no optimizer is given are not translated")
        return ast.unparse(found[0].func.value)  # type: ignore[attr-defined]

    def later_gradients(self, statement: ast.stmt, tape: Tape) -> bool:
        """Whether more gradients are taken from what was recorded together."""
        names = {n for n, r in self.roles.items() if isinstance(r, Tape) and r.opened is tape.opened}
        block = self.path[-2] if len(self.path) > 1 else self.node
        return any(
            isinstance(n, ast.Call)
            and isinstance(n.func, ast.Attribute)
            and n.func.attr == "gradient"
            and ast.unparse(n.func.value) in names
            and n.lineno > statement.lineno
            for n in nodes(block)
        )

    def step(self, statement: ast.Expr, call: ast.Call, optimizer: Known) -> None:
        """`optimizer.apply_gradients(zip(gradients, weights))`"""
        assert isinstance(call.func, ast.Attribute)
        text = ast.unparse(call.func.value)
        pairs = call.args[0] if len(call.args) == 1 and not call.keywords else None
        if not (isinstance(pairs, ast.Call) and ast.unparse(pairs.func) == "zip" and len(pairs.args) == 2):
            raise self.decline(call, "this way to apply gradients is not translated")
        gradients, variables = self.see(pairs.args[0]), self.see(pairs.args[1])
        if isinstance(variables, Several):
            variables = Variables(tuple(m for v in variables.items if isinstance(v, Variables) for m in v.models))
        if not isinstance(gradients, Gradients) or not isinstance(variables, Variables):
            raise self.decline(call, "what is applied here is not the gradients of the weights of models")
        if gradients.models != variables.models or gradients.optimizer != text:
            raise self.decline(call, "gradients are applied to other weights than they were taken of")
        code = self.writer.use_optimizer(text, optimizer.value, variables.models, self, statement)
        lines = [line.format(parameters=own_parameters(variables.models)) for line in code.clipping]
        lines.append(f"{text}.step()")
        if code.schedule is not None:
            lines.append(f"{self.writer.scheduler_of(text)}.step()")
        self.writer.changes.texts[statement] = "\n".join(lines)


def own_parameters(models: tuple[str, ...]) -> str:
    """The parameters of models, to run over."""
    one = f"{models[0]}.parameters()"
    return one if len(models) == 1 else f"[{', '.join(f'*{m}.parameters()' for m in models)}]"


def clipping_of(path: str, limits: list[ast.expr], whole: bool) -> tuple[str, ...] | None:
    """The statements that clip gradients as a function of TensorFlow does; None for another function."""
    texts = [ast.unparse(n).replace("{", "{{").replace("}", "}}") for n in limits]
    if path == "tensorflow.clip_by_global_norm" and whole and len(texts) == 1:
        return clip_together(texts[0])
    if path == "tensorflow.clip_by_norm" and not whole and len(texts) == 1:
        return clip_each(texts[0])
    if path == "tensorflow.clip_by_value" and not whole and len(texts) == 2 and texts[0] == f"-{texts[1]}":
        return (f"nn.utils.clip_grad_value_({{parameters}}, {texts[1]})",)
    return None

"""Gradients in code with tapes: taken, clipped, and given to optimizers."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transpiler.ir.model import KERAS3
from transpiler.ir.trees import nodes
from transpiler.rules.training.optimizers import clip_each, clip_together
from transpiler.training.tape_gradient_lists import APPLYING, GradientLists, own_parameters, variables_in
from transpiler.training.tape_values import Data, GradientList, Gradients, Known, Several, Tape, Tensor, Variables

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter


class Gradient(GradientLists):
    """The part of a region that takes gradients."""

    writer: TapeWriter
    node: ast.AST
    roles: dict[str, Any]
    under: list[ast.With]
    path: list[ast.stmt]
    called_under: dict[ast.With, set[str]]
    stale: set[str]
    helper: bool
    see: Any
    text: Any
    taken: Any
    become: Any
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
        if isinstance(role, GradientList) and whole and len(call.args) == 2 and not call.keywords:
            if getattr(self.value_of(call.func), "path", "") != "tensorflow.clip_by_global_norm":
                return False
            self.clip_list(statement, name.id, target.elts[1], source, call.args[1])  # type: ignore[attr-defined]
            return True
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
        function = getattr(self.value_of(call.func), "leaf", "")
        if function != "clip_by_value":
            self.check_norms(statement, role.models, function == "clip_by_norm")
        self.writer.changes.texts[statement] = "\n".join(line.format(parameters=parameters) for line in clipping)
        self.roles[name.id] = role
        return True

    def of_weights(self, call: ast.Call) -> bool:
        """Whether gradients are taken of weights, and not of tensors."""
        given = self.arguments(call, ("target", "sources"))
        return (
            "sources" not in given
            or isinstance(variables_in(self.see(given["sources"])), Variables)
            and not (
                isinstance(role := self.see(given["sources"]), Several)
                and any(isinstance(r, Tensor) for r in role.items)
            )
        )

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
        optimizer = self.taker_of(target.id, statement)
        rest = self.later_gradients(statement, tape)
        lines = self.backward(given["target"], role, models, tape, optimizer, rest)
        self.writer.changes.texts[statement] = "\n".join(lines)
        self.roles[target.id] = Gradients(models, optimizer)

    def taker_of(self, name: str, after: ast.stmt) -> str:
        """The optimizer that is given the gradients of this name next."""
        own = [n for n in nodes(self.node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        found = [
            n
            for n in own
            if n.func.attr in APPLYING  # type: ignore[attr-defined]
            and n.lineno > after.lineno
            and any(isinstance(i, ast.Name) and i.id == name for i in ast.walk(n))
        ]
        found.sort(key=lambda n: n.lineno)
        if not found:
            raise self.decline(after, "gradients that no optimizer is given are not translated")
        taker = found[0].func.value  # type: ignore[attr-defined]
        self.see(taker)
        return str(self.text(taker))

    def later_gradients(self, statement: ast.stmt, tape: Tape) -> bool:
        """Whether more gradients are taken from what was recorded together."""
        names = {n for n, r in self.roles.items() if isinstance(r, Tape) and r.opened is tape.opened}
        block = self.path[-2] if len(self.path) > 1 else self.node
        again = [
            n.lineno
            for n in nodes(block)
            if isinstance(n, ast.With)
            and n.lineno > statement.lineno
            and any(ast.unparse(i.optional_vars) in names for i in n.items if i.optional_vars)
        ]
        end = min(again, default=statement.lineno + 10**9)
        return any(
            isinstance(n, ast.Call)
            and isinstance(n.func, ast.Attribute)
            and n.func.attr == "gradient"
            and ast.unparse(n.func.value) in names
            and statement.lineno < n.lineno < end
            for n in nodes(block)
        )

    def step(self, statement: ast.Expr, call: ast.Call, optimizer: Known) -> None:
        """`optimizer.apply_gradients(zip(gradients, weights))`, or today's `optimizer.apply(gradients, weights)`"""
        assert isinstance(call.func, ast.Attribute)
        text = self.text(call.func.value)
        pairs = call.args[0] if len(call.args) == 1 and not call.keywords else None
        items = call.args
        if call.func.attr == "apply_gradients":
            zipped = isinstance(pairs, ast.Call) and ast.unparse(pairs.func) == "zip"
            items = pairs.args if zipped else []  # type: ignore[union-attr]
        if len(items) != 2 or call.keywords:
            raise self.decline(call, "this way to apply gradients is not translated")
        if self.takes_gradients(items[0]):
            self.written_together(statement, items[0], items[1], text, optimizer)
            return
        gradients, variables = self.see(items[0]), variables_in(self.see(items[1]))
        if (
            isinstance(gradients, GradientList)
            and isinstance(variables, Variables)
            and gradients.models == variables.models
        ):
            steps = self.step_lines(statement, text, optimizer, variables)
            lines = self.put_at_weights(
                gradients, self.text(items[0]), any(not line.endswith(".step()") for line in steps)
            )
            self.writer.changes.texts[statement] = "\n".join([*lines, *steps])
            return
        if not isinstance(gradients, Gradients) or not isinstance(variables, Variables):
            raise self.decline(call, "what is applied here is not the gradients of the weights of models")
        if gradients.models != variables.models or gradients.optimizer != text:
            raise self.decline(call, "gradients are applied to other weights than they were taken of")
        self.writer.changes.texts[statement] = "\n".join(self.step_lines(statement, text, optimizer, variables))

    def takes_gradients(self, node: ast.expr) -> bool:
        """Whether an expression is a call of `tape.gradient`."""
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "gradient"
        return named and isinstance(self.see(node.func.value), Tape)  # type: ignore[attr-defined]

    def written_together(
        self, statement: ast.Expr, call: ast.Call, weights: ast.expr, text: str, optimizer: Known
    ) -> None:
        """`optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))`"""
        given = self.arguments(call, ("target", "sources"))
        role, variables = self.see(given["target"]), variables_in(self.see(weights))
        if variables_in(self.see(given["sources"])) != variables:
            raise self.decline(call, "gradients are applied to other weights than they were taken of")
        if not isinstance(role, Tensor) or not role.learns or not isinstance(variables, Variables) or self.under:
            raise self.decline(call, "gradients of anything but the weights of models are not translated")
        tape = self.see(call.func.value)  # type: ignore[attr-defined]
        rest = self.later_gradients(statement, tape)
        lines = self.backward(given["target"], role, variables.models, tape, text, rest)
        steps = self.step_lines(statement, text, optimizer, variables)
        self.writer.changes.texts[statement] = "\n".join([*lines, *steps])

    def minimize(self, statement: ast.Expr, call: ast.Call, optimizer: Known) -> None:
        """`optimizer.minimize(loss, weights, tape=tape)`"""
        assert isinstance(call.func, ast.Attribute)
        given = self.arguments(call, ("loss", "var_list", "tape"))
        if len(given) != 3 or self.under or self.writer.generation == KERAS3:  # whose optimizers have no such method
            raise self.decline(call, "this way to minimize a loss is not translated")
        role, variables = self.see(given["loss"]), variables_in(self.see(given["var_list"]))
        tape = self.see(given["tape"])
        if not isinstance(role, Tensor) or not role.learns or not isinstance(variables, Variables):
            raise self.decline(call, "what is minimized here is not a loss over the weights of models")
        text = self.text(call.func.value)
        lines = self.backward(given["loss"], role, variables.models, tape, text, False)
        self.writer.changes.texts[statement] = "\n".join(
            [*lines, *self.step_lines(statement, text, optimizer, variables)]
        )

    def backward(
        self, loss: ast.expr, role: Tensor, models: tuple[str, ...], tape: Tape, optimizer: str, more: bool
    ) -> list[str]:
        """The statements that leave the gradients of a loss at weights; `more` says whether others follow."""
        text = self.atom(loss) if role.scalar else f"{self.atom(loss)}.sum()"
        options = []
        called = self.called_under[tape.opened]
        if any(not any(is_part(c, m) for m in models) for c in called):
            own = self.learning(models)
            options.append(f"inputs={own if own.startswith('[') else f'list({own})'}")
        if more:
            options.append("retain_graph=True")
        return [f"{optimizer}.zero_grad()", f"{text}.backward({', '.join(options)})"]

    def step_lines(self, statement: ast.stmt, text: str, optimizer: Known, variables: Variables) -> list[str]:
        """The statements that take a step."""
        code = self.writer.use_optimizer(text, optimizer.value, variables.models, self, statement)  # type: ignore[arg-type]
        lines = [line.format(parameters=own_parameters(variables.models)) for line in code.clipping]
        lines.append(f"{text}.step()")
        if code.schedule is not None:
            lines.append(f"{self.writer.scheduler_of(text)}.step()")
        return lines

    def of_inputs(self, call: ast.Call) -> Any:
        """Gradients of anything but weights: values, which may be a part of a loss themselves."""
        assert isinstance(call.func, ast.Attribute)
        given = self.arguments(call, ("target", "sources"))
        target = self.see(given["target"]) if "target" in given else None
        listed = given.get("sources")
        items = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else [listed] if listed is not None else []
        roles = [self.see(n) for n in items]
        if (
            not isinstance(target, Tensor)
            or not target.learns
            or not all(isinstance(r, Tensor) and r.learns for r in roles)
        ):
            raise self.decline(call, "gradients of anything but weights and watched tensors are not translated")
        total = self.atom(given["target"]) if target.scalar else f"{self.atom(given['target'])}.sum()"
        recorded = bool(self.under or self.helper)
        graph = ", create_graph=True" if recorded else ""
        found = tuple(Tensor(r.shape, recorded) for r in roles)
        text = f"torch.autograd.grad({total}, {self.text(given['sources'])}{graph})"
        single = not isinstance(listed, (ast.List, ast.Tuple))
        self.become(call, f"{text}[0]" if single else text)
        return found[0] if single else Several(found)

    def watch(self, statement: ast.Expr, call: ast.Call) -> None:
        """`tape.watch(x)`"""
        name = call.args[0] if len(call.args) == 1 and not call.keywords else None
        if isinstance(name, ast.Name):
            self.stale.discard(name.id)
        if name is not None and isinstance(variables_in(self.see(name)), Variables):  # weights are watched anyway
            self.writer.changes.texts[statement] = ""
            return
        if not isinstance(name, ast.Name):
            raise self.decline(call, "watching anything but one variable is not translated")
        role = self.see(name)
        if not isinstance(role, (Tensor, Data)):
            raise self.decline(call, f"{name.id} is no tensor that can be followed")
        data = role if isinstance(role, Data) else role.source
        known = role if isinstance(role, Tensor) else Tensor(role.shape)
        local = name.id in self.roles
        if not local:  # a tensor of the top level, which is watched from now on
            self.writer.top[name.id] = replace(known, learns=True)
        if data is not None:
            self.taken(name, role, "torch.float32")
        self.roles[name.id] = replace(known, learns=True, source=None, dtype="float32")
        given = self.writer.is_given(name.id, self.node)
        own = f"{name.id}.detach()" if given else name.id  # which the caller holds as well
        start = f"{name.id} = " if given else ""
        self.writer.changes.texts[statement] = f"{start}{own}.requires_grad_()"
        if isinstance(role, Tensor) and role.learns:
            self.writer.changes.texts[statement] = ""


def is_part(model: str, whole: str) -> bool:
    """Whether a model is another one or an attribute of it, as texts."""
    return model == whole or model.startswith(f"{whole}.")


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

"""Gradients that code with tapes keeps in lists: returned, added up, scaled, and given to optimizers later."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Model
from transpiler.training.tape_values import GradientList, Several, Tape, Tensor, Variables

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

APPLYING = ("apply_gradients", "apply")
CLIPPING = ("clip_by_global_norm", "clip_by_norm", "clip_by_value")
ELEMENTWISE = (
    *("zeros_like", "ones_like", "square", "abs", "sqrt", "sign", "negative", "identity", "stop_gradient"),
    *("multiply", "scalar_mul", "add", "subtract", "divide", "maximum", "minimum", "clip_by_value"),
)
"""Functions that do the same to a weight in the layout of torch."""


class GradientLists:
    """The part of a region that follows them; `backward()` leaves all others at the weights."""

    writer: TapeWriter
    node: ast.AST
    roles: dict[str, Any]
    under: list[ast.With]
    see: Any
    text: Any
    atom: Any
    become: Any
    decline: Any
    value_of: Any
    arguments: Any
    later_gradients: Any
    of_elements: tuple[str, ...] = ()
    """The models of such a list, while its items are being changed one by one."""

    def stay_at_weights(self, name: str) -> bool:
        """Whether gradients are only clipped and given to an optimizer of the same function."""
        statements = self.writer.training.scopes.statement
        applied = False
        for n in nodes(self.node):
            if not (isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)):
                continue
            statement = statements[n]
            value = getattr(statement, "value", None)
            call = value.elt if isinstance(value, ast.ListComp) else value
            called = getattr(call.func, "attr", "") if isinstance(call, ast.Call) else ""
            pairs = value.generators if isinstance(value, ast.ListComp) else ()
            if called in APPLYING:
                applied = True
            elif (
                called not in CLIPPING
                or any(isinstance(g.target, ast.Tuple) for g in pairs)
                or not (call.args and isinstance(call.args[0], ast.Name))
            ):
                return False
        return applied

    def gradient_list(self, call: ast.Call) -> GradientList:
        """The gradients of weights as a list."""
        assert isinstance(call.func, ast.Attribute)
        tape = self.see(call.func.value)
        given = self.arguments(call, ("target", "sources"))
        role, variables = self.see(given["target"]), variables_in(self.see(given["sources"]))
        if not isinstance(role, Tensor) or not role.learns or not isinstance(variables, Variables):
            raise self.decline(call, "gradients of anything but the weights of models are not translated")
        if self.under:
            raise self.decline(call, "gradients that are taken under another tape are not translated")
        assert isinstance(tape, Tape)
        total = self.text(given["target"]) if role.scalar else f"{self.atom(given['target'])}.sum()"
        more = self.later_gradients(self.writer.training.scopes.statement[call], tape)
        option = ", retain_graph=True" if more else ""
        own = self.learning(variables.models)
        listed = own if own.startswith("[") else f"list({own})"
        self.become(call, f"torch.autograd.grad({total}, {listed}{option})")
        return GradientList(variables.models)

    def see_ListComp(self, node: ast.ListComp) -> Any:
        """A list of what is made of each gradient, or of each weight."""
        own = node.generators[0]
        zipped = isinstance(own.iter, ast.Call) and ast.unparse(own.iter.func) == "zip"
        lists = own.iter.args if zipped else [own.iter]  # type: ignore[attr-defined]
        roles = [self.see(n) for n in lists]
        if not any(isinstance(r, (GradientList, Variables)) for r in roles):
            return self.see_generic(node)
        targets = own.target.elts if zipped and isinstance(own.target, ast.Tuple) else [own.target]
        models = {r.models for r in roles if isinstance(r, (GradientList, Variables))}
        plain = all(isinstance(r, (GradientList, Variables)) for r in roles) and len(models) == 1
        named = len(targets) == len(lists) and all(isinstance(t, ast.Name) for t in targets)
        if not plain or not named or own.ifs or len(node.generators) > 1:
            raise self.decline(node, "this list of gradients is not translated")
        for item, role in zip(lists, roles):
            if isinstance(role, Variables):
                self.become(item, self.learning(role.models))
        before = dict(self.roles)
        self.roles |= {t.id: Tensor() for t in targets}  # type: ignore[attr-defined]
        self.of_elements = next(iter(models))
        made = self.see(node.elt)
        self.of_elements = ()
        self.roles.clear()
        self.roles.update(before)
        if not isinstance(made, Tensor):
            raise self.decline(node, "this list of gradients is not translated")
        return GradientList(models.pop())

    def clip_list(self, statement: ast.Assign, name: str, norm: ast.expr, source: ast.expr, limit: ast.expr) -> None:
        """`gradients, norm = tf.clip_by_global_norm(gradients, limit)` for a list."""
        role = self.see(source)
        self.check_norms(statement, role.models, False)
        own = norm.id if isinstance(norm, ast.Name) and norm.id != "_" else self.writer.training.names.take("norm")
        text, value = self.text(source), self.text(limit)
        self.writer.changes.texts[statement] = "\n".join(
            (
                f"{own} = torch.stack([g.norm() for g in {text}]).norm()",
                f"{name} = [g * ({value} / {own}.clamp(min={value})) for g in {text}]",
            )
        )
        self.roles[name] = role
        self.roles[own] = Tensor(())

    def check_norms(self, node: ast.AST, models: tuple[str, ...], each: bool) -> None:
        """Raises Declined where the norms of gradients are others in torch: of weights that are parts of others there,
        if it is that of `each`, and of embeddings, which TensorFlow takes before it adds up what falls on one row."""
        for text in models:
            model = self.value_of(ast.parse(text, mode="eval").body)
            if not isinstance(model, Model):
                raise self.decline(node, f"gradients of {text} are not clipped by their norms here")
            try:
                self.writer.check_weights(model, "norms" if each else "", True)
            except Declined as declined:
                raise self.decline(node, declined.message) from None

    def learning(self, models: tuple[str, ...]) -> str:
        """The parameters of models that have gradients, to run over."""
        values = [self.value_of(ast.parse(text, mode="eval").body) for text in models]
        if not any(isinstance(v, Model) and self.writer.has_untrained(v) for v in values):
            return own_parameters(models)
        if len(models) == 1:
            return f"[p for p in {models[0]}.parameters() if p.requires_grad]"
        return f"[p for model in ({', '.join(models)}) for p in model.parameters() if p.requires_grad]"

    def put_at_weights(self, gradients: GradientList, text: str, cloned: bool) -> list[str]:
        """The statements that give weights the gradients of a list."""
        one = "gradient.clone()" if cloned else "gradient"
        return [
            f"for parameter, gradient in zip({self.learning(gradients.models)}, {text}):",
            f"    parameter.grad = {one}",
        ]


def variables_in(role: Any) -> Any:
    """The weights that a list of them means."""
    if isinstance(role, Several):
        return Variables(tuple(m for v in role.items if isinstance(v, Variables) for m in v.models))
    return role


def own_parameters(models: tuple[str, ...]) -> str:
    """The parameters of models, to run over."""
    one = f"{models[0]}.parameters()"
    return one if len(models) == 1 else f"[{', '.join(f'*{m}.parameters()' for m in models)}]"

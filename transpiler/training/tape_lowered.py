"""Functions on tensors in code with tapes, as the rules of `rules/ops` have them."""

from __future__ import annotations

import ast
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.shape import Shape, TensorType
from transpiler.read.keras.evaluate.arrays import DataArray, NumpyArray
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.ops.base import SIZE, Operand
from transpiler.training.tape_values import PLAIN, Data, Known, Several, Tensor, enclosed, tidy

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

RANKS: tuple[Shape, ...] = ((None,), (None, 7), (None, 7, 9), (None, 7, 9, 5))
"""Shapes that a function of a tensor of unknown rank is tried with."""
TYPES = ("float32", "int64")
"""Types that a function of data of an unknown type is tried with."""
INDICES = ("one_hot",)
"""Functions of whole numbers alone."""
JOINING = ("concat", "concatenate", "stack")
"""Functions of tensors of one rank."""
FLOATS = ".to(torch.get_default_dtype())"


NO_AXIS = ("does not fit a tensor", "is not an axis of a tensor")


class NoSuchAxis(Exception):
    """A tensor of this rank does not have an axis that is asked for."""


@dataclass
class Place:
    """An argument that is a tensor, or a size that the run knows."""

    node: ast.expr
    text: str
    shape: Shape | None
    dtype: str
    source: Data | None = None


class Lowered:
    """The part of a region that calls functions on tensors."""

    writer: TapeWriter
    see: Any
    taken: Any
    text: Any
    decline: Any
    become: Any
    value_of: Any

    def of_tensors(self, node: ast.Call, rule: Any, path: str, roles: list[Any]) -> Tensor:
        """A call of a function of tensors."""
        arguments = [*node.args, *(k.value for k in node.keywords)]
        places: list[Place] = []
        for argument, role in zip(arguments, roles):
            inner = list(zip(argument.elts, role.items)) if isinstance(role, Several) else [(argument, role)]  # type: ignore[attr-defined]
            for item, own in inner:
                if isinstance(own, (Tensor, Data)):
                    places.append(Place(item, "", own.shape, own.dtype if isinstance(own, Tensor) else "", own))  # type: ignore[arg-type]
                elif isinstance(role, Several) and any(isinstance(r, (Tensor, Data)) for r in role.items):
                    raise self.decline(argument, "this list beside a tape is not translated")
        self.settle_types(node, path, places)
        found: set[tuple[str, Shape, str]] = set()
        if path.rpartition(".")[2] in JOINING:
            ranks = {len(p.shape) for p in places if p.shape is not None}
            for p in places if len(ranks) == 1 else ():
                p.shape = (None,) * next(iter(ranks)) if p.shape is None else p.shape
        shapes = [p.shape for p in places if p.shape is not None]
        for dtype in TYPES if any(not p.dtype for p in places) else ("",):
            for rank in RANKS if len(shapes) < len(places) else ((),):
                if len(shapes) == len(places) or not shapes or len(rank) >= max(map(len, shapes)):
                    tried = [TensorType(tuple(rank if p.shape is None else p.shape), p.dtype or dtype) for p in places]
                    with contextlib.suppress(NoSuchAxis):
                        found.add(self.lowered(node, rule, path, places, tried, dtype))
        if len({text for text, _, _ in found}) != 1:
            raise self.decline(
                node, f"{ast.unparse(node.func)}() of a tensor of unknown shape or type is not translated"
            )
        self.become(node, next(iter(found))[0])
        results, dtypes = {shape for _, shape, _ in found}, {dtype for _, _, dtype in found}
        learns = any(isinstance(p.source, Tensor) and p.source.learns for p in places)
        flat = [i for r in roles for i in (r.items if isinstance(r, Several) else (r,))]
        sources = {id(s): s for r in flat if (s := source_of(r)) is not None}
        follows = len(dtypes) > 1
        if follows and len(sources) != 1:
            raise self.decline(node, f"the type of {ast.unparse(node)[:60]} is not known")
        return Tensor(
            results.pop() if len(results) == 1 else None,
            learns,
            source=next(iter(sources.values())) if follows else None,
            dtype="" if follows else dtypes.pop(),
        )

    def settle_types(self, node: ast.Call, path: str, places: list[Place]) -> None:
        """Gives data the types that a function has to have, where its other arguments or what it does say so."""
        whole = path.rpartition(".")[2] in INDICES
        floats = any(p.dtype == "float32" for p in places)
        for p in places:
            role = p.source
            if isinstance(role, Data) and role.known:
                p.dtype = role.known
            elif not p.dtype and whole:
                p.dtype = "int64"
            elif not p.dtype and floats:
                p.dtype = "float32"
            elif isinstance(role, Data) and role.dtype:
                p.dtype = role.dtype.removeprefix("torch.").replace("long", "int64")
            if not isinstance(role, (Data, Tensor)):
                continue
            if p.dtype and (isinstance(role, Data) or role.source is not None):
                self.taken(p.node, role, f"torch.{p.dtype}".replace("int64", "long"))
            elif isinstance(role, Data):
                role.bare = True
                if role.place is None:
                    self.become(p.node, f"torch.as_tensor({ast.unparse(p.node)}, device={self.writer.device})")
            p.text = self.text(p.node)

    def lowered(
        self, node: ast.Call, rule: Any, path: str, places: list[Place], kinds: list[TensorType], dtype: str
    ) -> tuple[str, Shape, str]:
        """The text of a function of tensors of these kinds, and the shape and the type of its result."""
        texts = [p.text for p in places]
        by_node = {p.node: i for i, p in enumerate(places)}

        def taken(argument: ast.expr) -> Any:
            if argument in by_node:
                i = by_node[argument]
                return Operand(i, kinds[i])
            if isinstance(argument, (ast.List, ast.Tuple)):
                return [taken(item) for item in argument.elts]
            value = argument.value if isinstance(argument, ast.Constant) else self.fixed(argument)
            if value is None and not isinstance(argument, ast.Constant) or isinstance(value, Unknown):
                role = self.see(argument)
                if role is not PLAIN and not isinstance(role, Known):
                    raise self.decline(argument, f"{ast.unparse(argument)} has to be known here")
                texts.append(self.text(argument))
                return Operand(len(texts) - 1, TensorType((), SIZE))
            return value

        positional = [taken(a) for a in node.args]
        named = {str(k.arg): taken(k.value) for k in node.keywords}
        try:
            lowering = rule.lower(path, rule.bind(path, positional, named, self.writer.generation))
        except (Declined, TypeError, AttributeError, KeyError, IndexError) as error:
            if any(kind in str(error) for kind in NO_AXIS) and any(p.shape is None for p in places):
                raise NoSuchAxis from None
            raise self.decline(node, f"{ast.unparse(node.func)}(): {error}") from None
        text = "{0}"
        for i, step in enumerate(lowering.steps):
            if step.fn is None or "{self}" in step.fn or i and step.takes:
                raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
            for helper in step.helpers:
                self.writer.need(helper)
            given = [text] if i else texts
            text = without_all_axes(step.fn.format(*map(enclosed, given)), len(kinds[0].shape) if kinds else 0)
        if not lowering.steps:
            text = texts[0]
        if lowering.outputs or len(lowering.types) != 1:
            raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
        for own in texts:
            text = text.replace(f"{enclosed(own)}.device", self.writer.device)
        text = text.replace(FLOATS, ".float()").replace("torch.get_default_dtype()", "torch.float32")
        return tidy(text), lowering.types[0].shape, lowering.types[0].dtype

    def fixed(self, node: ast.expr) -> Any:
        """The value of an expression whose variables are bound once."""
        bound = self.writer.training.scopes.bound
        names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
        return None if any(bound.get((None, n), 0) > 1 for n in names) else self.value_of(node)

    def known_array(self, node: ast.expr) -> Data | None:
        """The shape and the type of an array of the program, where they are known."""
        value = self.value_of(node)
        if not isinstance(value, (NumpyArray, DataArray)):
            return None
        shape = tuple(d if type(d) is int else None for d in value.shape)
        return Data(shape=shape, known=known_dtype(value.dtype))


def known_dtype(dtype: str) -> str:
    """The type of an array by its name, as tensors have it; "" for others."""
    return {"float32": "float32", "int32": "int64", "int64": "int64", "uint8": "uint8", "bool": "bool"}.get(dtype, "")


def source_of(role: Any) -> Data | None:
    """The data whose type is that of a tensor."""
    if isinstance(role, Data):
        return role
    return role.source if isinstance(role, Tensor) and not role.dtype else None


def without_all_axes(text: str, rank: int) -> str:
    """A reduction over all axes of a tensor, without their list."""
    axes = "0" if rank == 1 else f"({', '.join(map(str, range(rank)))})"
    return text.replace(f"(dim={axes})", "()") if rank else text

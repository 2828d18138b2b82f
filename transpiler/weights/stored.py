"""Arrays as a file of Keras has them: where they stand, how large they are, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

AUTOMATIC = re.compile(r"(.*?)(?:_(\d+))?")


@dataclass(frozen=True, eq=False)
class Stored:
    """One array of a file; `read` fetches it."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Any] = field(repr=False)
    computed: bool = False
    """Whether it is made of what the file has, and cannot be written back."""

    @property
    def name(self) -> str:
        """What the variable is called: the end of the path, without TensorFlow's `:0`."""
        return self.path.rpartition("/")[2].removesuffix(":0")

    @property
    def counts(self) -> bool:
        """Whether it holds integers: seeds and counters, no weights."""
        return not self.dtype.startswith(("float", "bfloat"))

    def __str__(self) -> str:
        return f"{self.path} {self.shape}"


TRAINING = (
    "optimizer",
    "_optimizer",
    "optimizer_weights",
    "metrics",
    "_metrics",
    "compile_metrics",
    "_compile_metrics",
    "loss_tracker",
    "_loss_tracker",
    "_compile_loss",
    "compiled_metrics",
    "compiled_loss",
    "save_counter",
)
"""What files call that which is of training, not of the model."""


@dataclass(frozen=True)
class Group:
    """What a legacy file has of one layer of the model."""

    name: str
    weights: Sequence[Stored]
    """Their paths begin with the name of the group."""


@dataclass(frozen=True)
class LegacyFile:
    """`.h5` as Keras 1, 2 and 3 write it: the layers of the model by name, in its order."""

    groups: Sequence[Group]
    own: Sequence[Stored]
    """The variables of the model itself."""
    keras1: bool = False
    left_out: Sequence[str] = ()
    flat: bool = False
    """Whether the layers of models inside of the model stand beside the others, and all in no order."""


@dataclass(frozen=True)
class LayersFile:
    """`.weights.h5`, also inside of `.keras`: a path of attributes for each object, with its variables by number."""

    variables: dict[str, Sequence[Stored]]
    """Path ("layers/dense_1"; empty for the model itself) → its variables in order."""
    names: dict[str, str]
    """Path → the name of the layer, where the file says it."""
    left_out: Sequence[str] = ()


@dataclass(eq=False)
class ObjectNode:
    """An object in a checkpoint of TensorFlow: what it holds by the names of attributes, or the value of a variable."""

    children: dict[str, ObjectNode] = field(default_factory=dict)
    path: str = ""
    """How it is reached from the first object."""
    variable: Stored | None = None
    full_name: str = ""
    """What the program's graph calls a variable: `dense_2/kernel`."""

    @property
    def trains(self) -> bool:
        """Whether it is an optimizer, which counts its steps, or a metric, which is a mean."""
        held = {n: c.variable for n, c in self.children.items() if c.variable is not None}
        counters = [held[n] for n in ("iter", "_iterations") if n in held]
        scalars = [n for n, a in held.items() if not a.shape]
        return any(a.counts for a in counters) or {"total", "count"} <= set(scalars)


@dataclass(frozen=True)
class ObjectsFile:
    """A checkpoint of TensorFlow, with the objects that the variables belong to."""

    root: ObjectNode
    left_out: Sequence[str] = ()


def placed(root: ObjectNode) -> Iterator[tuple[ObjectNode, str]]:
    """All objects but those of training, each once, with their shortest paths."""
    seen, todo = {id(root)}, [(root, "")]
    for node, path in todo:
        yield node, path
        for name, child in node.children.items():
            if name not in TRAINING and not child.trains and id(child) not in seen:
                seen.add(id(child))
                todo.append((child, f"{path}/{name}" if path else name))


Content = LegacyFile | LayersFile | ObjectsFile


def parts_of(name: str) -> tuple[str, int]:
    """The parts of an automatic name: `dense_2` → ("dense", 2), `dense` → ("dense", 0)."""
    base, number = AUTOMATIC.fullmatch(name).groups()  # type: ignore[union-attr]
    return base, int(number or 0)

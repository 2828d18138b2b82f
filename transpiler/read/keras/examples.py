"""Arguments that nothing in a program supplies: made up from what parameters are called, and tried one after another.

What was made up is reported. The result keeps such parameters open like any others; only what cannot stay open, such as the
rank of an input, depends on the choice.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Class, Function, Module

SHAPES = {3: (64, 64, 3), 2: (64, 3), 1: (16,), 4: (32, 32, 32, 3)}
"""Shapes without batch by rank, the usual first."""

RANKS = (
    (re.compile(r"(Conv|Pool|Pooling|Padding|Sampling|Cropping|Dropout|ConvLSTM)\w*3D|3d$"), 4),
    (re.compile(r"(Conv|Pool|Pooling|Padding|Sampling|Cropping|Dropout|ConvLSTM)\w*2D|2d$"), 3),
    (
        re.compile(
            r"(Conv|Pool|Pooling|Padding|Sampling|Cropping|Dropout)\w*1D|1d$|LSTM|GRU|RNN|[aA]ttention|Embedding|Dot$"
        ),
        2,
    ),
)
"""What names of layers say of the rank of their input."""

DENSE = re.compile("^Dense$")

BY_NAME: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (r"batch_size", (2,)),
    (r"(vocab|dict|max_features|max_words|top_words|num_words|n_words)\w*", (100,)),
    (r"(kernel|filter|window)_size|kernel|kernel_shape|ksize|k", (3, (3, 3))),
    (r"\w*patch\w*", (4, (4, 4), 16)),
    (r"(pool|block|stride|up|scale|upsampl\w*)_?(size|factor)|pool", (2, (2, 2), "mean")),
    (r"(n_|num_)?(frames|slices)|depth_size", (16,)),
    (r"strides?|dilation(_rate)?|dilations?|groups|cardinality|repetition|rate", (1, (1, 1), 2)),
    (r"(img|image|input|in|output|target)_?(h|w|height|width|rows|cols|row|col)|height|width|h|w|rows|cols|img_?size|"
     r"image_?size|crop_size|resolution|side|size", (64, (64, 64), (64, 64, 3))),
    (r"(input|img|image|target|output|in|data)_?(dims?|size)", (16, (64, 64, 3), (64, 3))),
    (r"in_?channels?|n_?channels|num_channels|channels?|img_channels|bands", (3, 16)),
    (r"\w*(classes|labels|outputs|categories|targets|actions|targets?_size)|n_out|out|out_dim|output_dim|nout", (10,)),
    (r"(num_|n_|nb_)?(heads?)", (2,)),
    (r"(num_|n_|nb_|no_)?(layers?|blocks?|depth|stacks?|stages?|levels?|repeats?|reps?|iterations|cells|hidden_layers|n)",
     (2, (2, 2))),
    (r"\w*(max_?len|maxlen|max_length|seq_?len|sequence_length|timesteps|time_?steps|n_steps|steps|seq_length|length|"
     r"window|lookback|look_back)\w*", (20,)),
    (r"\w*(filters?|units?|features?|nodes|neurons|hidden|dim|dims|width|planes|maps|latent\w*|growth_rate|bottleneck|"
     r"embed\w*|size|nf|fc)\w*", (16, (16, 16), 4)),
    (r"\w*(drop|prob)\w*|p", (0.2,)),
    (r"\w*(alpha|beta|gamma|lambda|l1|l2|reg|decay|eps\w*|momentum|slope|ratio|lr|learning_rate|temperature|multiplier)\w*",
     (0.5, 1, 1e-3)),
    (r"(\w*_)?act\w*|activation\w*|nonlinearity", ("relu",)),
    (r"\w*padding|border_mode|pad", ("same",)),
    (r"\w*(name|prefix|suffix|scope|id|stage|block|branch)", ("part", 1, "a")),
    (r"\w*init\w*", ("glorot_uniform",)),
    (r"optimi[sz]er|opt", ("adam",)),
    (r"loss\w*", ("mse",)),
    (r"metrics?", (["accuracy"],)),
    (r"(use|is|with|has|include|apply|do|return|add)_\w+|\w*(batch_?norm|bn|bias|norm|residual|training|train|flag)",
     (True,)),
    (r"\w*(weights|path|file|dir|checkpoint|url|callbacks?|mask)\w*", (None,)),
)  # fmt: skip
"""What parameters of these names usually are, the first pattern that fits the whole name."""

UNKNOWN = (4, 16, None, (4, 8), "relu")
"""Tried for parameters whose names say nothing."""


def attempts(function: Function, given: Collection[str] = (), most: int = 8) -> Iterator[dict[str, Any]]:
    """Arguments for the parameters without defaults that are not `given`, the most likely first."""
    a = function.node.args
    positional = [p for p in (*a.posonlyargs, *a.args)]
    required = positional[: len(positional) - len(function.defaults)]
    required += [p for p, d in zip(a.kwonlyargs, a.kw_defaults) if d is None]
    shapes = likely_shapes(function)
    found = {p.arg: candidates(p, shapes) for p in required if p.arg not in given}
    shaped = [n for n, values in found.items() if values == tuple(shapes)]
    most_shapes = len(shapes) if shaped else 1
    longest = max((len(v) for n, v in found.items() if n not in shaped), default=1)
    tries = [(j, 0) for j in range(most_shapes)] + [
        (j, i) for j in range(min(most_shapes, 2)) for i in range(1, longest)
    ]
    for shape, other in tries[:most]:
        yield {n: v[shape] if n in shaped else v[min(other, len(v) - 1)] for n, v in found.items()}


def needs_arguments(function: Function, receiver: Any = None) -> bool:
    """Whether a function has parameters without defaults, `self` of a method left out."""
    a = function.node.args
    needed = len(a.posonlyargs) + len(a.args) - len(function.defaults) - (receiver is not None)
    return needed > 0 or any(d is None for d in a.kw_defaults)


def candidates(parameter: ast.arg, shapes: list[tuple[int, ...]]) -> tuple[Any, ...]:
    """Values to try for a parameter."""
    name = parameter.arg.lower().strip("_")
    if "shape" in name and "kernel" not in name:
        return tuple(shapes)
    found = next((values for pattern, values in BY_NAME if re.fullmatch(pattern, name)), UNKNOWN)
    annotation = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
    kinds = [k for k in (bool, int, float, str, tuple, list) if re.search(rf"\b{k.__name__}\b", annotation, re.I)]
    fitting = tuple(v for v in found if any(type(v) is k for k in kinds))
    defaults = {bool: True, int: 4, float: 0.5, str: "part", tuple: (4, 8), list: [4, 8]}
    return fitting or (tuple(defaults[k] for k in kinds) if kinds else found)


def likely_value(names: Iterable[str], default: Any = 16) -> Any:
    """A value for what goes by some names: what the first of them says that says something."""
    lowered = [n.lower().strip("_") for n in names]
    return next((values[0] for n in lowered for pattern, values in BY_NAME if n and re.fullmatch(pattern, n)), default)


def likely_shape(layer: str) -> tuple[int, ...] | None:
    """The shape without batch of what a layer of this name takes; None if it takes any."""
    rank = next((r for pattern, r in (*RANKS, (DENSE, 1)) if pattern.search(layer)), None)
    return None if rank is None else SHAPES[rank]


def likely_shapes(function: Function) -> list[tuple[int, ...]]:
    """Shapes of inputs without batch, those first that the layers which a function names take."""
    ranks: Counter[int] = Counter()
    for node in reached(function):
        name = getattr(node, "attr", "") or getattr(node, "id", "") or getattr(node, "name", "") or ""
        rank = next((r for pattern, r in RANKS if name and pattern.search(name)), None)
        if rank is not None:
            ranks[rank] += 1
    first = [rank for rank, _ in ranks.most_common()]
    return [SHAPES[rank] for rank in dict.fromkeys((*first, *SHAPES))]


def reached(function: Function) -> Iterator[ast.AST]:
    """The syntax nodes of a function and of the functions and classes of the program that it names."""
    todo, seen = [function], set[ast.AST]()
    while todo:
        value = todo.pop()
        if value.node in seen:
            continue
        seen.add(value.node)
        for node in nodes(value.node):
            yield node
            named = value.env.names.get(node.id) if isinstance(node, ast.Name) else None
            scope = value.env.scope_of(node.id) if named is None and isinstance(node, ast.Name) else None
            named = scope.names.get(node.id) if scope is not None else named  # type: ignore[union-attr,attr-defined]
            if isinstance(named, (Function, Class)):
                todo.append(named)  # type: ignore[arg-type]


def tensor_parameters(function: Function, depth: int = 3) -> list[str]:
    """The parameters without defaults that have shapes, or are given to layers, to functions of Keras, or to such functions."""
    a = function.node.args
    positional = [p.arg for p in (*a.posonlyargs, *a.args)]
    names = positional[: len(positional) - len(function.defaults)]
    found: set[str] = set()
    for node in nodes(function.node):
        if isinstance(node, ast.Attribute) and node.attr in ("shape", "dtype", "get_shape", "_keras_shape"):
            found |= {node.value.id} & set(names) if isinstance(node.value, ast.Name) else set()
        if not isinstance(node, ast.Call):
            continue
        first = node.args[0] if node.args else None
        taken = first.elts if isinstance(first, (ast.List, ast.Tuple)) else [first]
        whole = all(isinstance(v, ast.Name) for v in taken)
        own = {v.id for v in (*node.args, *(taken if whole else ())) if isinstance(v, ast.Name)} & set(names)
        if not own:
            continue
        firsts = own & {v.id for v in taken if isinstance(v, ast.Name)}
        if isinstance(node.func, ast.Call):
            found |= firsts
            continue
        callee = named(node.func, function)
        if isinstance(callee, ApiValue) and callee.leaf[:1].islower():
            found |= firsts
        elif isinstance(callee, Function) and callee.node is not function.node and depth:
            inner = tensor_parameters(callee, depth - 1)
            theirs = [p.arg for p in (*callee.node.args.posonlyargs, *callee.node.args.args)]
            theirs = theirs[1:] if is_own_method(node.func, function) else theirs
            found |= {v.id for v, p in zip(node.args, theirs) if isinstance(v, ast.Name) and v.id in own and p in inner}
    return [n for n in names if n in found]


def named(node: ast.expr, function: Function) -> Any:
    """The value of a dotted name in the scope of a function, as far as it is known before a call."""
    if isinstance(node, ast.Name):
        scope = function.env.scope_of(node.id)
        return scope.names.get(node.id) if scope is not None else None
    if isinstance(node, ast.Attribute):
        if is_own_method(node, function):
            return function.owner.lookup(node.attr)  # type: ignore[union-attr]
        owner = named(node.value, function)
        if isinstance(owner, Module):
            return owner.names.get(node.attr)
        return ApiValue(f"{owner.path}.{node.attr}") if isinstance(owner, ApiValue) else None
    return None


def is_own_method(node: ast.expr, function: Function) -> bool:
    """Whether an expression is a method of the class that a method belongs to: `self.block`."""
    first = [a.arg for a in function.node.args.args[:1]]
    return (
        function.owner is not None
        and isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and [node.value.id] == first
        and isinstance(function.owner.lookup(node.attr), Function)
    )


FRAMEWORK = "from keras.layers import Input as make_input\nfrom keras.models import Model as make_model\n"
"""What a model around a part of one needs."""


def model_around(
    call: str,
    tensors: Collection[str],
    parameters: Collection[str],
    shape: Sequence[int | str],
    before: Sequence[str] = (),
) -> ast.FunctionDef:
    """A function that builds a model of nothing but `call`, in which the names of `tensors` are its inputs.

    The statements `before` stand before it.

    Sizes in `shape` that are names are parameters of the function, after the others.
    """
    inputs = ", ".join(tensors)
    sizes = [size for size in shape if isinstance(size, str)]
    made = f"make_input(({', '.join(map(str, shape))},))"
    lines = [
        f"def part({', '.join((*parameters, *sizes))}):",
        *(f"    {name} = {made}" for name in tensors),
        *(f"    {statement}" for statement in before),
        f"    return make_model([{inputs}], {call})",
    ]
    return ast.parse("\n".join(lines)).body[0]  # type: ignore[return-value]

"""`get_weights()` and `set_weights()` of single layers: the parameters of their modules, in Keras's order and layout."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym
from transpiler.ir.model import Given, Layer, Weight
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.training_calls import LayerWeights
from transpiler.read.keras.units import layers_of
from transpiler.rules.initializers import given_code
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining
from transpiler.training.places import places_of

ORDER = ("embeddings", "depthwise_kernel", "pointwise_kernel", "kernel", "recurrent_kernel", "gamma", "beta", "bias", "alpha",
         "moving_mean", "moving_variance")  # fmt: skip
"""The variables of layers, in the order in which Keras lists those that a layer has."""

Parameter = tuple[str, Weight]
"""A parameter of the result, as an expression, and what it holds."""


def write_layer_weights(file: FileTraining) -> None:
    """Rewrites all these calls in code that stays; those without a translation are noted."""
    for node, found in file.interpreter.layer_weights.items():
        if node not in file.scopes.scope or node in file.gone:
            continue
        try:
            write_call(file, node, found)
            file.handled.add(node)
            file.trained.add(file.statement_of(node))
        except Declined as declined:
            file.declined[node] = declined


def write_call(file: FileTraining, node: ast.Call, found: Sequence[LayerWeights]) -> None:
    assert isinstance(node.func, ast.Attribute)
    if len({id(f.layer) for f in found}) > 1:
        raise Declined(TRAINING, "the layers of a loop are not translated one by one", "Write out the calls.")
    parameters = parameters_of(file, found[-1])
    if node.func.attr == "set_weights":
        if len(node.args) != 1 or node.keywords:
            raise Declined(TRAINING, "this call of set_weights() is not translated")
        statement = file.statement_of(node)
        if not isinstance(statement, ast.Expr) or statement.value is not node:
            raise Declined(TRAINING, "set_weights() inside of another expression is not translated")
        file.replace(statement, "\n".join(set_lines(node.args[0], parameters)))
        return
    read = [as_array(*single(p)) for p in parameters]
    around = next((n for n in nodes(file.statement_of(node)) if getattr(n, "value", None) is node), None)
    index = around.slice if isinstance(around, ast.Subscript) else None
    if isinstance(index, ast.Constant) and index.value in range(len(read)):
        assert around is not None
        file.replace_expression(around, read[index.value])
    else:
        file.replace_expression(node, f"[{', '.join(read)}]")


def parameters_of(file: FileTraining, found: LayerWeights) -> list[list[Parameter]]:
    """For each variable of a layer, in Keras's order, the parameters that hold it. Raises Declined where they are not known."""
    layer, root = found.layer, file.roots(found.model) if found.model is not None else None
    if root is None:
        raise Declined(TRAINING, "the model that the layer is a part of is not known here")
    built = file.interpreter.built
    places = places_of(root, layers_of(found.model, file.interpreter), built)
    steps = built[layer].steps if isinstance(layer, Layer) and layer in built else []
    variables: dict[str, list[Parameter]] = {}
    for i, step in enumerate(steps):
        for name, weight in step.weights.items():
            if weight.source:
                place = (places or {}).get((id(layer), i))
                if place is None or weight.source not in ORDER:
                    raise Declined(TRAINING, "where the weights of this layer are in the result is not known")
                own = found.owner + place.removeprefix("model")
                variables.setdefault(weight.source, []).append((f"{own}.{name}", weight))
    if not variables:
        raise Declined(TRAINING, "where the weights of this layer are in the result is not known")
    if layer.args.get("use_bias") is False:
        variables.pop("bias", None)
    return [variables[name] for name in ORDER if name in variables]


def single(parameters: Sequence[Parameter]) -> Parameter:
    if len(parameters) != 1:
        raise Declined(TRAINING, "a weight that is several parameters in the result is not translated")
    return parameters[0]


def set_lines(value: ast.expr, parameters: Sequence[Sequence[Parameter]]) -> list[str]:
    """The statements that copy arrays into the parameters. Raises Declined where it is not known which goes where."""
    if isinstance(value, (ast.List, ast.Tuple)) and not any(isinstance(e, ast.Starred) for e in value.elts):
        arrays = value.elts
        if len(arrays) != len(parameters):
            raise Declined(TRAINING, f"{len(arrays)} arrays for {len(parameters)} weights")
    elif isinstance(value, ast.Name):
        arrays = [ast.Subscript(value, ast.Constant(i)) for i in range(len(parameters))]
    else:
        raise Declined(TRAINING, "weights that are no list of arrays are not translated")
    return [
        f"{place}.data.copy_({given_code(Given(Sym.parse(f'torch.as_tensor({ast.unparse(array)})'), None), weight.transform)})"
        for array, held in zip(arrays, parameters)
        for place, weight in held
    ]


def as_array(place: str, weight: Weight) -> str:
    """The array that Keras gives for a parameter."""
    text = f"{place}.detach()"
    for name, *rest in weight.transform:
        if name != "permute":
            raise Declined(TRAINING, "a weight in another form than Keras's is not translated")
        axes = rest[0]
        back = [axes.index(i) for i in range(len(axes))]
        text += ".T" if len(axes) == 2 else f".permute({', '.join(map(str, back))})"
    return f"{text}.cpu().numpy().copy()"

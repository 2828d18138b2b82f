"""The graph of a model: its layers, in the order in which Keras lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.program import Value


@dataclass(eq=False)
class Node:
    """One call in a graph: of a layer, of a model inside the model, of a function (`layer` is None), or an input layer."""

    layer: Any
    inputs: list[Value]
    outputs: list[Value]
    depth: int = 0


@dataclass(eq=False)
class Graph:
    """The nodes from a model's outputs back to its inputs, each after those that it reads."""

    nodes: list[Node] = field(default_factory=list)
    order: dict[int, int] = field(default_factory=dict)
    """Layer (by id) → when the walk first came to it."""

    def layers(self) -> list[Any]:
        """The layers as `model.layers` lists them, by Keras's own algorithm (`map_graph_network`, Keras 2 and 3).

        Layers that are further from the outputs come first; among those that are as far, the one that a walk from the
        outputs meets first. Functions count as steps, but are no layers.
        """
        by_output = {id(y): node for node in self.nodes for y in node.outputs}
        depths: dict[int, int] = {}
        found: dict[int, Any] = {}
        for node in reversed(self.nodes):
            key = id(node if node.layer is None else node.layer)
            found[key] = node
            node.depth = depths[key] = max(node.depth, depths.get(key, 0))
            for x in node.inputs:
                before = by_output[id(x)]
                before.depth = max(node.depth + 1, before.depth)
        ranked = sorted((n for n in found.values() if n.layer is not None), key=lambda n: (-depths[id(n.layer)], self.order[id(n.layer)]))  # fmt: skip
        return [n.layer for n in ranked]

    def calls(self) -> list[Node]:
        """The nodes in the order in which Keras 3 calls them, by its own algorithm (`map_graph`).

        Those further from the outputs come first; among those that are as far, the one that a walk back through the
        graph meets first.
        """
        by_output = {id(y): node for node in self.nodes for y in node.outputs}
        depths: dict[int, int] = {}
        of_layer: dict[int, int] = {}
        found: dict[int, Node] = {}
        for node in reversed(self.nodes):
            key = id(node if node.layer is None else node.layer)
            found.setdefault(id(node), node)
            depths[id(node)] = of_layer[key] = max(depths.get(id(node), 0), of_layer.get(key, 0))
            for x in node.inputs:
                before = by_output[id(x)]
                found.setdefault(id(before), before)
                depths[id(before)] = max(depths[id(node)] + 1, depths.get(id(before), 0))
        return sorted(found.values(), key=lambda n: -depths[id(n)])


def graph_of(outputs: Iterable[Value], node_of: Callable[[Value], Node]) -> Graph:
    """The graph that ends in `outputs`; `node_of` gives the call that made a tensor."""
    graph = Graph()
    known: dict[int, Node] = {}
    done: set[int] = set()

    def visit(x: Value) -> None:
        node = known.get(id(x))
        if node is None:
            node = node_of(x)
            known.update({id(y): node for y in (x, *node.outputs)})
        if id(node) in done:
            return
        done.add(id(node))
        if node.layer is not None:
            graph.order.setdefault(id(node.layer), len(graph.order))
        for i in node.inputs:
            visit(i)
        graph.nodes.append(node)

    for y in outputs:
        visit(y)
    return graph

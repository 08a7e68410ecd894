"""Roundings of a quantised model that need no layer: those of inputs, and those of what is rounded alike before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprm.graph import Graph, MaxPool2d, Node, Relu, Rounded
from hwprm.graph.rules.node import Relabelling

__all__ = ["input_steps", "without_needless"]

#: What images of a byte a sample are cut to when they are quantised.
BYTES = ((-128, 127), (0, 255))

#: Integers of a step, from .. to ..
Grid = tuple[float, int, int]


def input_steps(graph: Graph) -> dict[str, Rounded]:
    """The inputs that are read through roundings alone, all alike, and one of these: the integers that enter."""
    found = {}
    for image in graph.inputs:
        readers = graph.consumers(image.name)
        alike = [node for node in readers if isinstance(node, Rounded) and _same(_grid(node), _grid(readers[0]))]
        if readers and len(alike) == len(readers) and image.name not in graph.outputs:
            found[image.name] = alike[0]
    return found


def without_needless(graph: Graph) -> Graph:
    """`graph` without roundings of what lies on their integers already, as inputs of whole bytes do.

    The integers of other inputs are clamped by a layer: images may go beyond.
    """
    entering = input_steps(graph)
    grids = {name: _grid(node) for name, node in entering.items() if (node.low, node.high) in BYTES}
    instead: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(instead.get(name, name) for name in node.inputs)
        made = node if inputs == node.inputs else replace(node, inputs=inputs)
        before = [grids.get(name) for name in inputs]
        if isinstance(node, Rounded):
            grids[node.name] = _grid(node)
            if before[0] is not None and _holds(node, before[0]) and node.name not in graph.outputs:
                instead[node.name] = inputs[0]
                continue
        elif before and before[0] is not None and isinstance(node, Relabelling | MaxPool2d | Relu):
            step, low, high = before[0]
            if all(other is not None and _same(other, before[0]) for other in before):
                grids[node.name] = (step, 0 if isinstance(node, Relu) else low, high)
        nodes.append(made)
    return Graph(tuple(nodes), graph.outputs) if len(nodes) < len(graph.nodes) else graph


def _grid(node: Node) -> Grid:
    return (node.step, node.low, node.high) if isinstance(node, Rounded) else (0.0, 0, 0)


def _same(one: Grid, other: Grid) -> bool:
    return bool(np.isclose(one[0], other[0], rtol=1e-6, atol=0)) and one[1:] == other[1:]


def _holds(node: Rounded, before: Grid) -> bool:
    """Whether `node` changes no integer of `before`."""
    same = np.isclose(node.step, before[0], rtol=1e-6, atol=0)
    return bool(same) and node.low <= before[1] and before[2] <= node.high

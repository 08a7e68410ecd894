"""Batch norm folded into the layer before it, or exactly into the one behind it. numpy only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprm.graph import BatchNorm, Conv2d, Graph, Linear, Node

__all__ = ["fold_batchnorm"]


def fold_batchnorm(graph: Graph) -> Graph:
    """`graph` without the batch norms that a weighted neighbour can take in, in float64.

    Backwards into the conv or linear whose only reader the norm is; else forwards into an only reader that is a
    linear or a conv without padding (a padded zero is not normalised, so folding forwards would change the border).
    Norms with neither neighbour stay. Folded layers keep their name; readers of the norm read that layer instead.
    """
    for name in [node.name for node in graph.nodes if isinstance(node, BatchNorm)]:
        graph = _fold(graph, name)
    # A norm before a norm that went forwards has a weighted reader only now.
    for name in reversed([node.name for node in graph.nodes if isinstance(node, BatchNorm)]):
        graph = _fold(graph, name)
    return graph


def _fold(graph: Graph, name: str) -> Graph:
    norm = graph.by_name[name]
    assert isinstance(norm, BatchNorm)  # both callers look
    source = graph.by_name[norm.inputs[0]]
    readers = graph.consumers(name)
    alone = len(graph.consumers(source.name)) == 1 and source.name not in graph.outputs
    if isinstance(source, Conv2d | Linear) and alone:
        return _without(graph, norm, _into_before(source, norm), source.name)
    if len(readers) == 1 and name not in graph.outputs and _takes_norm(readers[0]):
        return _without(graph, norm, _into_behind(readers[0], norm), source.name)
    return graph


def _takes_norm(node: Node) -> bool:
    return isinstance(node, Linear) or (isinstance(node, Conv2d) and not any(node.padding))


def _into_before(layer: Conv2d | Linear, norm: BatchNorm) -> Node:
    a, b = norm.scale_and_shift()
    weight = np.asarray(layer.weight, np.float64)
    column = a.reshape(-1, *(1,) * (weight.ndim - 1))
    return replace(layer, weight=weight * column, bias=np.asarray(layer.bias, np.float64) * a + b)


def _into_behind(layer: Node, norm: BatchNorm) -> Node:
    assert isinstance(layer, Conv2d | Linear)  # _takes_norm has looked
    a, b = norm.scale_and_shift()
    weight = np.asarray(layer.weight, np.float64)
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    # Filters of group g read channels g * C/G ... of the norm.
    per_filter = [np.repeat(v.reshape(groups, -1), len(weight) // groups, axis=0) for v in (a, b)]
    a_rows, b_rows = (v.reshape(len(weight), -1, *(1,) * (weight.ndim - 2)) for v in per_filter)
    constant = (weight * b_rows).reshape(len(weight), -1).sum(axis=1)
    return replace(layer, weight=weight * a_rows, bias=np.asarray(layer.bias, np.float64) + constant)


def _without(graph: Graph, norm: BatchNorm, changed: Node, stand_in: str) -> Graph:
    """`graph` with `changed` in the place of its namesake, `norm` gone and `stand_in` read instead of it."""
    nodes = []
    for node in graph.nodes:
        if node.name == norm.name:
            continue
        new = changed if node.name == changed.name else node
        if norm.name in new.inputs:
            new = replace(new, inputs=tuple(stand_in if name == norm.name else name for name in new.inputs))
        nodes.append(new)
    return Graph(tuple(nodes), tuple(stand_in if name == norm.name else name for name in graph.outputs))

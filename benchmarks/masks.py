"""Seeded structured masks: a network pruned at random to a given rate, shaped like one that ADMM and P-RM pruned.

Every layer keeps some filters and some columns of its matrix; a kept column belongs to a channel that is still made,
and every channel that is made is read, as after unused-path removal. Layers that a residual sum joins keep the same
filters, and those that read the image keep all columns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwprm.graph import Add, Conv2d, Graph, Input, Linear, Node
from hwprm.pruning.compaction.compaction import compact_graph

__all__ = ["structured_mask"]

IntArray = NDArray[np.int64]


def structured_mask(
    graph: Graph, rate: float, *, width: float, multiple: int = 1, linear: float | None = None, seed: int = 0
) -> Graph:
    """`graph` compacted to ``1 / rate`` of its convolution weights, counted as kept filters x kept columns.

    Each convolution keeps the part `width` of its filters, rounded to a multiple of `multiple`; each linear layer but
    the outputs likewise, and the part `linear` of its readable columns where that is given. Weights are scaled up by
    the square root of the columns lost, so that activations keep their size.
    Raises ValueError when the rate cannot be reached at this width.
    """
    rng = np.random.default_rng(seed)
    channels = _kept_channels(graph, rng, width, multiple)
    convs = [node for node in graph.weighted if isinstance(node, Conv2d)]
    if any(node.groups != 1 for node in convs):
        raise ValueError("grouped convolutions cannot be masked")
    wanted = sum(node.weight.size for node in convs) / rate
    low, high = 0.0, 1.0
    if _weights(graph, channels, high) < wanted:
        raise ValueError(f"a width of {width} leaves less than 1/{rate} of the weights; raise it")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _weights(graph, channels, middle) > wanted else (middle, high)
    made: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, Conv2d | Linear):
            share = low if isinstance(node, Conv2d) else linear or 1.0
            made.append(_masked(graph, node, channels, share, rng))
        else:
            made.append(node)
    return compact_graph(Graph(tuple(made), graph.outputs))[0]


def _kept_channels(graph: Graph, rng: np.random.Generator, width: float, multiple: int) -> dict[str, IntArray]:
    """Numbers of the kept channels of every tensor that is a map, or a vector that a linear layer made."""
    owner: dict[str, str] = {}

    def find(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        owner[node.name] = node.name
        if not isinstance(node, Conv2d | Linear | Input):
            for source in node.inputs if isinstance(node, Add) else node.inputs[:1]:
                owner[find(source)] = find(node.name)
    fixed = {find(name) for name in graph.outputs} | {n.name for n in graph.nodes if isinstance(n, Input)}
    kept: dict[str, IntArray] = {}
    for node in graph.nodes:
        root = find(node.name)
        if root not in kept:
            count = graph.shapes[node.name][0]
            keep = count if root in fixed else max(multiple, round(count * width / multiple) * multiple)
            kept[root] = np.sort(rng.permutation(count)[: min(keep, count)])
    return {node.name: kept[find(node.name)] for node in graph.nodes}


def _positions(graph: Graph, node: Conv2d | Linear) -> int:
    """Columns of one channel: kernel taps, or the map behind a flatten."""
    if isinstance(node, Conv2d):
        return int(np.prod(node.weight.shape[2:]))
    flat = graph.by_name[node.inputs[0]]
    source = flat.inputs[0] if flat.inputs else flat.name
    return node.weight.shape[1] // graph.shapes[source][0] if len(graph.shapes[source]) == 3 else 1


def _columns(graph: Graph, node: Conv2d | Linear, channels: dict[str, IntArray], share: float) -> int:
    readable = len(channels[node.inputs[0]])
    if isinstance(graph.by_name[node.inputs[0]], Input):  # the first layer holds next to nothing and is left alone
        share = 1.0
    return max(readable, round(share * readable * _positions(graph, node)))


def _weights(graph: Graph, channels: dict[str, IntArray], share: float) -> int:
    return sum(
        len(channels[node.name]) * _columns(graph, node, channels, share)
        for node in graph.weighted
        if isinstance(node, Conv2d)
    )


def _masked(
    graph: Graph, node: Conv2d | Linear, channels: dict[str, IntArray], share: float, rng: np.random.Generator
) -> Conv2d | Linear:
    rows, readable, size = channels[node.name], channels[node.inputs[0]], _positions(graph, node)
    first = readable * size + rng.integers(0, size, len(readable))  # one column of every channel
    rest = np.setdiff1d((readable[:, None] * size + np.arange(size)).ravel(), first)
    count = _columns(graph, node, channels, share) - len(first)
    columns = np.sort(np.concatenate([first, rng.permutation(rest)[:count]]))
    matrix = node.weight.reshape(len(node.weight), -1)
    kept = np.zeros_like(matrix)
    kept[np.ix_(rows, columns)] = matrix[np.ix_(rows, columns)] * (matrix.shape[1] / len(columns)) ** 0.5
    return replace(node, weight=kept.reshape(node.weight.shape))

"""A masked network without its zero channels, to train faster, and its weights put back where they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwprm.graph import BatchNorm, Conv2d, Graph, Linear, Node
from hwprm.graph.liveness import kept_channels
from hwprm.pruning.compaction.compaction import cut_channels

__all__ = ["narrow", "widen"]

BoolArray = NDArray[np.bool_]


def narrow(graph: Graph) -> tuple[Graph, dict[str, BoolArray]]:
    """`graph` without channels that are zero and unused, and what was kept of every tensor ``(C,)``.

    Meant for networks whose pruned filters have no bias (and no batch norm shift): nothing is folded, and every node
    stays. Compaction for good, which folds and proves, is `hwprm.pruning.compaction.compaction.compact`.
    """
    keep = kept_channels(graph)
    return cut_channels(graph, keep), keep


def widen(small: Graph, graph: Graph, keep: Mapping[str, BoolArray]) -> Graph:
    """`graph` with the arrays of `small`, which `narrow` made of it with `keep`, in their place, +0.0 elsewhere.

    Statistics of batch norms stay as they were where a channel is gone.
    """
    return graph.replace(*(_widened(node, graph.by_name[node.name], keep) for node in small.nodes if node.inputs))


def _widened(own: Node, wide: Node, keep: Mapping[str, BoolArray]) -> Node:
    out, ins = keep[wide.name], keep[wide.inputs[0]]
    if isinstance(own, BatchNorm) and isinstance(wide, BatchNorm):
        values = {name: getattr(wide, name).copy() for name in ("weight", "bias", "mean", "var")}
        for name, value in values.items():
            if name in ("weight", "bias"):
                value[:] = 0
            value[out] = getattr(own, name)
        return replace(wide, **values)
    if not (isinstance(own, Conv2d | Linear) and isinstance(wide, Conv2d | Linear)):
        return wide
    weight, bias = np.zeros_like(wide.weight), np.zeros_like(wide.bias)
    bias[out] = own.bias
    groups = wide.groups if isinstance(wide, Conv2d) else 1
    channels, filters = ins.reshape(groups, -1), len(out) // groups
    for row, m in enumerate(np.flatnonzero(out)):
        weight[m, channels[m // filters]] = own.weight[row]
    return replace(wide, weight=weight, bias=bias)

"""`evaluate`: the plain float64 meaning of a `Graph`. Slow and simple; the yardstick of every exact rewrite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ModelError
from hwprm.graph.batches import Batch, by_input
from hwprm.graph.graph import Graph
from hwprm.graph.ops.input import Input

__all__ = ["evaluate"]

Array = NDArray[np.float64]


def evaluate(graph: Graph, x: Batch) -> dict[str, Array]:
    """Every node's tensor ``(n, ...)`` in float64 for a batch `x` ``(n, *input shape)``, of several inputs by name.

    Raises ModelError when a shape does not fit the network, DataError when `x` is for other inputs.
    """
    values: dict[str, Array] = {}
    for name, array in by_input(x, [node.name for node in graph.inputs]).items():
        values[name] = batch = np.asarray(array, dtype=np.float64)
        if batch.shape[1:] != graph.shapes[name]:
            raise ModelError(f"the network reads {graph.shapes[name]}, a batch {batch.shape} does not fit; reshape it")
    for node in graph.nodes:
        if not isinstance(node, Input):
            values[node.name] = node.evaluate(*(values[name] for name in node.inputs), shape=graph.shapes[node.name])
    return values

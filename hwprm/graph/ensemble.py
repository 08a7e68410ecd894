"""Several networks as one whose output is the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.graph import Graph
from hwprm.graph.ops.add import Add
from hwprm.graph.ops.batch_norm import BatchNorm
from hwprm.graph.ops.input import Input
from hwprm.graph.rules.node import Node

__all__ = ["ensemble"]


def ensemble(graphs: Sequence[Graph]) -> Graph:
    """A graph of all nodes of `graphs`, ``member<k>.<name>``, that gives the mean of their outputs.

    Raises ModelError unless there are two or more, which read inputs of the same shapes and give one output of the
    same shape.
    """
    if len(graphs) < 2:
        raise ModelError(f"an ensemble is of two networks or more, not of {len(graphs)}")
    kinds = [
        ([node.shape for node in graph.inputs], [graph.shapes[name] for name in graph.outputs]) for graph in graphs
    ]
    if any(kind != kinds[0] for kind in kinds) or len(graphs[0].outputs) != 1:
        raise ModelError(
            "the networks of an ensemble read images of one shape and give scores of one shape, not "
            + ", ".join(f"{inputs} and {outputs}" for inputs, outputs in kinds)
        )
    nodes: list[Node] = list(graphs[0].inputs)
    made = []
    for k, graph in enumerate(graphs):
        names = {own.name: node.name for own, node in zip(graph.inputs, graphs[0].inputs, strict=True)}
        for node in graph.nodes:
            if isinstance(node, Input):
                continue
            inputs = tuple(names[name] for name in node.inputs)
            names[node.name] = f"member{k}.{node.name}"
            nodes.append(replace(node, name=names[node.name], inputs=inputs))
        made.append(names[graph.outputs[0]])
    nodes.append(Add(name="sum", inputs=tuple(made)))
    ones = np.ones(kinds[0][1][0][0], dtype=np.float32)
    share = BatchNorm(
        name="mean",
        inputs=("sum",),
        weight=ones / len(graphs),
        bias=0 * ones,
        mean=0 * ones,
        var=ones,
        eps=0.0,
        fixed=True,
    )
    return Graph((*nodes, share), ("mean",))

"""Maps that are the same number everywhere, and folding them into the biases of their readers.

A filter without weights makes a constant map, its bias; batch norm, ReLU, clamp, pooling, upsampling and flatten
keep it constant, so does a sum whose summands are all constant; concat and channel selection hand it on. An average
pooling that counts padding does not: its mean is lower at the border.
A linear layer, and a convolution tap that never falls on zero padding, reads the constant at every position, so that
``constant * weight`` moves into the bias exactly. A tap that meets padding at some positions does not: there the
constant has to stay unless it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwprm.graph import Graph, Node
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.node import Weighted

__all__ = ["fold_constants"]


def fold_constants(graph: Graph) -> tuple[Graph, Mapping[str, Constants]]:
    """`graph` with every constant folded that can be folded exactly, and the constants of each tensor.

    One sweep is complete: readers come later, so a filter that loses its last weight counts as constant itself.
    """
    constants: dict[str, Constants] = {}
    changed: list[Node] = []
    for node in graph.nodes:
        sources = [constants[name] for name in node.inputs]
        shapes = [graph.shapes[name] for name in node.inputs]
        folded = node.fold(sources[0], shapes[0]) if isinstance(node, Weighted) else node
        constants[node.name] = folded.constants(sources, shapes)
        changed.append(folded)
    return graph.replace(*changed), constants

"""A float network as stages, the words that layers are made of. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwprm.core.errors import UnsupportedError
from hwprm.graph import Graph, Input, Node, Shape
from hwprm.graph.rules.stages import Stage

__all__ = ["Refused", "Step", "staged"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Refused(Stage):
    """Nothing that the accelerator could do, `text` says why and what else to do."""

    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Step(Node):
    """One stage of the node `origin`, which makes a tensor of `shape`."""

    stage: Stage
    shape: Shape
    origin: str

    def infer_shape(self, *inputs: Shape) -> Shape:
        return self.shape

    def check(self, inputs: Sequence[Shape]) -> None:
        """The operator has been checked."""


def staged(graph: Graph) -> Graph:
    """`graph` with a `Step` for each stage of each node; inputs stay.

    The last stage keeps the node's name, those before it are ``<name>_1``, ``<name>_2``, ... where these are free.
    """
    taken = set(graph.by_name)
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, Input):
            nodes.append(node)
            continue
        shapes = [graph.shapes[name] for name in node.inputs]
        stages = _stages(node, shapes)
        inputs, shape = node.inputs, shapes[0]
        for i, stage in enumerate(stages, start=1):
            last = i == len(stages)
            name = node.name if last else _free(f"{node.name}_{i}", taken)
            shape = graph.shapes[node.name] if last else stage.made(shape)
            nodes.append(Step(name=name, inputs=inputs, stage=stage, shape=shape, origin=node.name))
            inputs = (name,)
    return Graph(tuple(nodes), graph.outputs)


def _stages(node: Node, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
    try:
        return node.quantised(shapes)
    except UnsupportedError as error:  # told together with what else is wrong
        return (Refused(text=str(error)),)


def _free(wish: str, taken: set[str]) -> str:
    while wish in taken:
        wish += "_"
    taken.add(wish)
    return wish

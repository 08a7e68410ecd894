"""`GraphModule`: a `Graph` as a trainable torch module, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.graph import Add, BatchNorm, Conv2d, Graph, Input, Linear, MaxPool2d, Node, Relu
from hwprm.graph.rules.arrays import FloatArray
from hwprm.graph.rules.node import Holder, Weighted

__all__ = ["GraphModule"]


class GraphModule(nn.Module):
    """Runs `graph`; parameters are ``<node>.weight`` and ``<node>.bias``, in the dtype of the graph.

    Dots in node names become underscores there (torch forbids them). ``forward`` takes ``(n, *input shape)`` of each
    input in the graph's order, and gives the output tensor, or a tuple of them where the graph has several. In train
    mode batch norm uses and updates batch statistics; in eval mode the module computes what the graph means.
    Raises UnsupportedError for an operator without a torch computation, ModelError when names collide.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        #: Node name to attribute name of its parameter holder.
        self.holders: dict[str, str] = {}
        #: ReLUs that only a max pooling reads: both orders give the same bits, behind it there is less to do.
        self.late = frozenset(node.name for node in graph.nodes if _only_pooled(graph, node))
        #: ReLUs that may write over what they read: nobody else does, and its making does not need it afterwards.
        self.over = frozenset(node.name for node in graph.nodes if _reads_alone(graph, node)) - self.late
        for node in graph.nodes:
            holder = _holder(node)
            if holder is not None:
                key = node.name.replace(".", "_")
                if hasattr(self, key):
                    raise ModelError(f"layer name {node.name!r} is taken in torch modules; rename the layer")
                self.holders[node.name] = key
                self.add_module(key, holder)

    def forward(self, *images: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = self.run(*images, late=self.late, over=self.over)
        found = tuple(outputs[name] for name in self.graph.outputs)
        return found[0] if len(found) == 1 else found

    def run(
        self, *images: Tensor, late: frozenset[str] = frozenset(), over: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Every node's tensor by name, for `images` ``(n, *input shape)`` of each input.

        The ReLUs named in `late` pass their input on and are done behind the pooling that reads them. Those named in
        `over` write over the tensor that they read, which then is not what its node made.
        """
        values = {node.name: array for node, array in zip(self.graph.inputs, images, strict=True)}
        for node in self.graph.nodes:
            if isinstance(node, Input):
                continue
            inputs = [values[name] for name in node.inputs]
            if node.name in over:
                values[node.name] = functional.relu(inputs[0], inplace=True)
            else:
                values[node.name] = inputs[0] if node.name in late else self._compute(node, *inputs)
            if node.inputs[0] in late:
                values[node.name] = functional.relu(values[node.name])
        return values

    def holder(self, name: str) -> nn.Module:
        """The module that holds the parameters of node `name`. Raises ModelError when it has none."""
        if name not in self.holders:
            raise ModelError(f"{name!r} has no parameters; layers that have are {', '.join(self.holders)}")
        return cast(nn.Module, getattr(self, self.holders[name]))

    def weight(self, name: str) -> nn.Parameter:
        """The weight parameter of node `name`."""
        return cast(nn.Parameter, self.holder(name).weight)

    def bias(self, name: str) -> nn.Parameter:
        """The bias parameter of node `name`."""
        return cast(nn.Parameter, self.holder(name).bias)

    def to_graph(self) -> Graph:
        """The graph with the parameters of now (copies). Raises ModelError when one is not finite."""
        changed: list[Node] = []
        for node in self.graph.nodes:
            if node.name in self.holders:
                changed.append(_with_arrays(node, self.holder(node.name)))
        return self.graph.replace(*changed)

    def _compute(self, node: Node, x: Tensor, *more: Tensor) -> Tensor:
        held = self.holder(node.name) if node.name in self.holders else None
        return cast(Tensor, node.compute(torch, held, x, *more))


def _reads_alone(graph: Graph, node: Node) -> bool:
    if not isinstance(node, Relu):
        return False
    source = graph.by_name[node.inputs[0]]
    # Other operators may hand on the very tensor that they read.
    fresh = isinstance(source, Conv2d | Linear | BatchNorm) or (isinstance(source, Add) and len(source.inputs) > 1)
    return fresh and len(graph.consumers(source.name)) == 1 and source.name not in graph.outputs


def _only_pooled(graph: Graph, node: Node) -> bool:
    readers = graph.consumers(node.name)
    only = len(readers) == 1 and isinstance(readers[0], MaxPool2d)
    return isinstance(node, Relu) and only and node.name not in graph.outputs


def _holder(node: Node) -> nn.Module | None:
    """A module that holds copies of `node`'s arrays under torch's names, None for a node without any."""
    if node.holder is Holder.NONE:
        return None
    if isinstance(node, BatchNorm):
        return _BatchNorm(node)
    if isinstance(node, Weighted):
        return _WeightAndBias(node.weight, node.bias)
    raise UnsupportedError(
        f"{node.name!r}: training keeps the parameters of layers with a matrix and of batch norms, "
        f"{type(node).__name__} is neither; make it one of them"
    )


class _WeightAndBias(nn.Module):
    """The parameters of a convolution or linear layer; the node in the graph says how they are used."""

    def __init__(self, weight: FloatArray, bias: FloatArray) -> None:
        super().__init__()
        self.weight = nn.Parameter(_tensor(weight))
        self.bias = nn.Parameter(_tensor(bias))


class _BatchNorm(nn.BatchNorm2d):
    """Batch norm over maps and vectors alike: a vector after a linear layer has no map, the arithmetic is the same.

    A fixed one stays in evaluation mode, and its parameters as they are.
    """

    def __init__(self, node: BatchNorm) -> None:
        super().__init__(len(node.weight), eps=node.eps)
        self.fixed = node.fixed
        self.weight = nn.Parameter(_tensor(node.weight))
        self.bias = nn.Parameter(_tensor(node.bias))
        self.running_mean = _tensor(node.mean)
        self.running_var = _tensor(node.var)
        self.requires_grad_(not node.fixed)

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.fixed)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any rank of two or more."""


def _tensor(array: FloatArray) -> Tensor:
    return torch.from_numpy(np.array(array))


def _with_arrays(node: Node, holder: nn.Module) -> Node:
    def array(name: str) -> FloatArray:
        return cast(FloatArray, getattr(holder, name).detach().cpu().contiguous().numpy().copy())

    if isinstance(node, BatchNorm):
        return replace(
            node, weight=array("weight"), bias=array("bias"), mean=array("running_mean"), var=array("running_var")
        )
    assert isinstance(node, Weighted)
    return replace(node, weight=array("weight"), bias=array("bias"))

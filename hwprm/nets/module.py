"""`GraphModule`: a `Graph` as a trainable torch module, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.graph import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Channels,
    Clamp,
    Concat,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Unflatten,
    Upsample,
)
from hwprm.graph.nodes import FloatArray

__all__ = ["GraphModule"]

Quad = tuple[int, int, int, int]

_WITHOUT_PARAMETERS = (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    Channels,
    Clamp,
    Concat,
    Flatten,
    Input,
    MaxPool2d,
    Relu,
    Unflatten,
    Upsample,
)


class GraphModule(nn.Module):
    """Runs `graph`; parameters are ``<node>.weight`` and ``<node>.bias``, in the dtype of the graph.

    Dots in node names become underscores there (torch forbids them). ``forward`` takes ``(n, *input shape)`` of each
    input in the graph's order, and gives the output tensor, or a tuple of them where the graph has several. In train
    mode batch norm uses and updates batch statistics; in eval mode the module computes what the graph means.
    Raises UnsupportedError for an operator that it does not know, ModelError when names collide.
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
        if isinstance(node, Conv2d):
            return _conv(node, x, self.weight(node.name), self.bias(node.name))
        if isinstance(node, Linear):
            return functional.linear(x, self.weight(node.name), self.bias(node.name))
        if isinstance(node, MaxPool2d):
            return _max_pool(node, x)
        if isinstance(node, BatchNorm):
            return cast(Tensor, self.holder(node.name)(x))
        return _without_parameters(node, x, *more)


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
    if isinstance(node, Conv2d | Linear):
        return _WeightAndBias(node.weight, node.bias)
    if isinstance(node, BatchNorm):
        return _BatchNorm(node)
    if isinstance(node, _WITHOUT_PARAMETERS):
        return None
    raise UnsupportedError(f"{node.name!r}: {type(node).__name__} cannot be trained here; remove it from the network")


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


def _without_parameters(node: Node, x: Tensor, *more: Tensor) -> Tensor:
    if isinstance(node, Add):
        return sum(more, start=x)
    if isinstance(node, Concat):
        return torch.cat((x, *more), dim=1)
    if isinstance(node, Channels):
        return x[:, list(node.indices)]
    if isinstance(node, Clamp):
        return x if node.low is None and node.high is None else torch.clamp(x, node.low, node.high)
    if isinstance(node, AvgPool2d):
        return _avg_pool(node, x)
    if isinstance(node, AdaptiveAvgPool2d):
        return functional.adaptive_avg_pool2d(x, node.size)
    if isinstance(node, Unflatten):
        return x[:, :, None, None]
    if isinstance(node, Upsample):
        return x.repeat_interleave(node.factors[0], 2).repeat_interleave(node.factors[1], 3)
    return functional.relu(x) if isinstance(node, Relu) else x.flatten(1)


def _conv(node: Conv2d, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    top, bottom, left, right = node.padding
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    stride = node.stride
    if stride != (1, 1) and node.weight.shape[2:] == (1, 1) and padding == (0, 0):
        # A step between pixels that are read alone is a choice of pixels. With fewer than 8 channels, innermost in
        # memory, oneDNN's AVX2 gradient of the strided form writes past its buffers (torch 2.13).
        x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
    return functional.conv2d(x, weight, bias, stride, padding, node.dilation, node.groups)


def _max_pool(node: MaxPool2d, x: Tensor) -> Tensor:
    """Pad with minus infinity by hand, as far as the last window reaches: any padding and ceil_mode then work."""
    pads = _reach(node.kernel, node.stride, node.dilation, node.padding, x, node.infer_shape(tuple(x.shape[1:])))
    if any(pads):
        x = functional.pad(x, pads, value=float("-inf"))
    return functional.max_pool2d(x, node.kernel, node.stride, 0, node.dilation)


def _avg_pool(node: AvgPool2d, x: Tensor) -> Tensor:
    """Sums over the padded map, then the divisors by hand: any padding and ceil_mode then work."""
    shape = tuple(x.shape[1:])
    pads = _reach(node.kernel, node.stride, (1, 1), node.padding, x, node.infer_shape(shape))
    divisors = node.divisors(shape)
    if any(pads):
        x = functional.pad(x, pads)
    sums = functional.avg_pool2d(x, node.kernel, node.stride, divisor_override=1)
    return sums / torch.from_numpy(divisors).to(x)


def _reach(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: Quad,
    x: Tensor,
    shape: tuple[int, ...],
) -> Quad:
    """Padding in torch's order (left, right, top, bottom), as far as the last window reaches."""
    top, bottom, left, right = padding
    need = [(shape[1 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    beyond = [max(0, need[0] - x.shape[2] - top - bottom), max(0, need[1] - x.shape[3] - left - right)]
    return (left, right + beyond[1], top, bottom + beyond[0])


def _with_arrays(node: Node, holder: nn.Module) -> Node:
    def array(name: str) -> FloatArray:
        return cast(FloatArray, getattr(holder, name).detach().cpu().contiguous().numpy().copy())

    if isinstance(node, BatchNorm):
        return replace(
            node, weight=array("weight"), bias=array("bias"), mean=array("running_mean"), var=array("running_var")
        )
    assert isinstance(node, Conv2d | Linear)
    return replace(node, weight=array("weight"), bias=array("bias"))

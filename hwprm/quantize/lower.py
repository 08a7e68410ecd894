"""Float graph to fused layers: the structure of the integer network before any number is rounded. numpy only.

A fused layer is a convolution with optional pooling and ReLU. ReLU and max pooling commute, so both orders fuse.
Nodes that find no convolution to join (pool after pool, pool of the input, a batch norm between two ReLUs) become a
depthwise 1 x 1 convolution of their own; where it only passes values on, it is marked `identity` and quantised exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.errors import ModelError, UnsupportedError
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu
from hwprm.intnet import Pool
from hwprm.prune.paths import remove_unused_paths
from hwprm.quantize.fold import fold_batchnorm, scale_and_shift

__all__ = ["FusedLayer", "FusedNetwork", "lower"]

FloatArray = NDArray[np.float64]
Map = tuple[int, int, int]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedLayer:
    """Convolution, pooling, ReLU. weight ``(M, C // groups, KH, KW)`` and bias ``(M,)`` in float64."""

    name: str
    source: str
    weight: FloatArray
    bias: FloatArray
    stride: tuple[int, int] = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    pool: Pool | None = None
    relu: bool = False
    identity: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedNetwork:
    """Fused layers in order; `shapes` of every tensor as ``(C, H, W)``.

    `tensor_of` names the tensor that holds each node's result once its layer is done (folded batch norms have none).
    """

    input: str
    layers: tuple[FusedLayer, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, Map]
    tensor_of: dict[str, str]


def lower(graph: Graph) -> FusedNetwork:
    """Fuse `graph` into layers that the accelerator's one sentence describes.

    A vector ``(K,)`` becomes the map ``(K, 1, 1)``; a linear layer behind a flatten of ``(C, H, W)`` becomes a
    convolution whose kernel is the whole map. Nodes that no output needs are dropped,
    and unused paths are zeros (`remove_unused_paths`), so that a network gives the same integers before and after these
    are removed.
    Raises ModelError without any layer or with several inputs, UnsupportedError where an output is also read inside.
    """
    graph = _live(fold_batchnorm(remove_unused_paths(graph)[0]))
    source = graph.input
    shapes = {source.name: _as_map(source.shape)}
    tensor_of = {source.name: source.name}
    layers: list[FusedLayer] = []
    for node in graph.nodes:
        if node.name in tensor_of:
            continue
        tensor = tensor_of[node.inputs[0]]
        if isinstance(node, Flatten):
            tensor_of[node.name] = tensor
            continue
        layer, chain = _absorb(graph, _start(graph, node, tensor, shapes[tensor]), node)
        tensor_of |= dict.fromkeys(chain, layer.name)
        last = graph.shapes[chain[-1]]
        shapes[layer.name] = _pooled_map(graph, layer, chain) if len(last) == 1 else _as_map(last)
        layers.append(layer)
    outputs = tuple(dict.fromkeys(tensor_of[name] for name in graph.outputs))
    _check_outputs(layers, outputs, source)
    return FusedNetwork(input=source.name, layers=tuple(layers), outputs=outputs, shapes=shapes, tensor_of=tensor_of)


def _as_map(shape: tuple[int, ...]) -> Map:
    if len(shape) == 1:
        return (shape[0], 1, 1)
    if len(shape) != 3:
        raise ModelError(f"a tensor must be (C, H, W) or (K,), not {shape}; drop the other dimensions from the model")
    return (shape[0], shape[1], shape[2])


def _pooled_map(graph: Graph, layer: FusedLayer, chain: list[str]) -> Map:
    """Shape of a layer whose chain ends in a flatten: that of the last node that still made a map."""
    maps = [graph.shapes[name] for name in chain if len(graph.shapes[name]) == 3]
    return _as_map(maps[-1] if maps else graph.shapes[chain[0]])


def _live(graph: Graph) -> Graph:
    """`graph` without the nodes that no output needs; inputs stay."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed |= set(node.inputs)
    return Graph(tuple(n for n in graph.nodes if n.name in needed or isinstance(n, Input)), graph.outputs)


def _start(graph: Graph, node: Node, source: str, shape: Map) -> FusedLayer:
    """The layer that begins at `node`, reading tensor `source` of `shape`."""
    if isinstance(node, Conv2d):
        return FusedLayer(
            name=node.name,
            source=source,
            weight=np.asarray(node.weight, np.float64),
            bias=np.asarray(node.bias, np.float64),
            stride=node.stride,
            padding=node.padding,
            dilation=node.dilation,
            groups=node.groups,
        )
    if isinstance(node, Linear):
        weight = np.asarray(node.weight, np.float64).reshape(-1, *shape)
        return FusedLayer(name=node.name, source=source, weight=weight, bias=np.asarray(node.bias, np.float64))
    channels = shape[0]
    scale, shift = np.ones(channels), np.zeros(channels)
    if isinstance(node, BatchNorm):
        if len(node.weight) != channels:
            raise UnsupportedError(
                f"batch norm {node.name!r} follows a flatten and has {len(node.weight)} entries for {channels} "
                "channels, so no layer can take it in; put it before the flatten or directly before a linear layer"
            )
        scale, shift = scale_and_shift(node)
    return FusedLayer(
        name=node.name,
        source=source,
        weight=scale.reshape(channels, 1, 1, 1),
        bias=shift,
        groups=channels,
        pool=_as_pool(node) if isinstance(node, MaxPool2d) else None,
        relu=isinstance(node, Relu),
        identity=not isinstance(node, BatchNorm),
    )


def _absorb(graph: Graph, layer: FusedLayer, node: Node) -> tuple[FusedLayer, list[str]]:
    """`layer` with the ReLUs, one pool and flattens that follow `node` and that nobody else reads, and their names."""
    chain = [node.name]
    while chain[-1] not in graph.outputs:
        readers = graph.consumers(chain[-1])
        if len(readers) != 1:
            break
        reader = readers[0]
        if isinstance(reader, Relu):
            layer = replace(layer, relu=True)
        elif isinstance(reader, MaxPool2d) and layer.pool is None:
            layer = replace(layer, pool=_as_pool(reader))
        elif not isinstance(reader, Flatten):
            break
        chain.append(reader.name)
    return layer, chain


def _as_pool(node: MaxPool2d) -> Pool:
    return Pool(
        kernel=node.kernel,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        ceil_mode=node.ceil_mode,
    )


def _check_outputs(layers: list[FusedLayer], outputs: tuple[str, ...], source: Input) -> None:
    if source.name in outputs:
        raise ModelError("the network returns its input; it needs at least one layer before its output")
    for layer in layers:
        if layer.source in outputs:
            raise UnsupportedError(
                f"output {layer.source!r} is also read by {layer.name!r}; outputs leave the accelerator as wide words "
                "and cannot be read back, so return only tensors that no other layer needs"
            )

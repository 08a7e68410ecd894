"""Float graph to fused layers: the structure of the integer network before any number is rounded. numpy only.

A fused layer is a sum of convolutions with optional max pooling and clamp. Clamping (ReLU among it) and max pooling
commute, so both orders fuse. Concatenations and channel choices are views (`hwprm.quantize.views`) and make no layer.
Nodes that find no convolution to join (pool after pool, pool of the input, a batch norm between two ReLUs) become a
1 x 1 convolution of their own, depthwise on a whole tensor; where it only passes one tensor's values on, it is marked
`identity` and quantised exactly.

A sum joins the convolution that makes one of its operands, which then adds the other operand as a residual, where
nobody else wants that convolution's result. Any other sum is a layer of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hwprm.errors import ModelError, UnsupportedError
from hwprm.graph import Add, Channels, Clamp, Concat, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu
from hwprm.prune.paths import remove_unused_paths
from hwprm.quantize.copies import add_copies
from hwprm.quantize.fold import fold_batchnorm
from hwprm.quantize.fused import FusedLayer, FusedNetwork, FusedResidual, Map
from hwprm.quantize.start import as_pool, identity_layer, start_layer
from hwprm.quantize.views import View, whole_view

__all__ = ["FusedLayer", "FusedNetwork", "lower"]


def lower(graph: Graph, *, separate: Collection[str] = ()) -> FusedNetwork:
    """Fuse `graph` into layers that the accelerator's one sentence describes.

    Sums whose name is in `separate` become layers of their own.

    A vector ``(K,)`` becomes the map ``(K, 1, 1)``; a linear layer behind a flatten of ``(C, H, W)`` becomes a
    convolution whose kernel is the whole map. Nodes that no output needs are dropped,
    and unused paths are zeros (`remove_unused_paths`), so that a network gives the same integers before and after these
    are removed.
    Raises ModelError without any layer, UnsupportedError where an output is also read inside,
    for an average whose divisor varies, or where a flattened map is cut, or joined in front of no linear layer.
    """
    graph = _live(fold_batchnorm(remove_unused_paths(graph)[0]))
    return add_copies(_Lowering(graph, separate).network())


class _Lowering:
    """Walks the graph and keeps what was made so far."""

    def __init__(self, graph: Graph, separate: Collection[str]) -> None:
        self.graph = graph
        self.separate = separate
        self.shapes: dict[str, Map] = {source.name: _as_map(source.shape) for source in graph.inputs}
        self.views: dict[str, View] = {name: whole_view(name, shape) for name, shape in self.shapes.items()}
        self.layers: list[FusedLayer] = []
        #: Layer whose result, after all that it took in, is the node's.
        self.maker: dict[str, FusedLayer] = {}

    def network(self) -> FusedNetwork:
        graph = self.graph
        for node in graph.nodes:
            if node.name in self.views:
                continue
            reads = [self.views[name] for name in node.inputs]
            if isinstance(node, Flatten):
                self.views[node.name] = reads[0]
            elif isinstance(node, Concat | Channels):
                self.views[node.name] = self._joined(node, reads)
            else:
                self._layer(node, reads)
        outputs = tuple(dict.fromkeys(self._materialised(name) for name in graph.outputs))
        _check_outputs(self.layers, outputs, graph.inputs)
        tensor_of = {name: view.whole for name, view in self.views.items() if view.whole is not None}
        return FusedNetwork(
            inputs=tuple(source.name for source in graph.inputs),
            layers=tuple(self.layers),
            outputs=outputs,
            shapes=self.shapes,
            tensor_of=tensor_of,
        )

    def _layer(self, node: Node, reads: list[View]) -> None:
        layer = start_layer(node, reads, {name: shape[0] for name, shape in self.shapes.items()})
        layer, chain = _absorb(self.graph, layer, node)
        if isinstance(node, Add) and (joined := self._joined_sum(node, reads, layer)):
            layer = joined
        maps = [self.graph.shapes[name] for name in chain if len(self.graph.shapes[name]) == 3]
        vector = (len(layer.bias), 1, 1) if isinstance(node, Linear) else reads[0].shape
        shape = _as_map(maps[-1]) if maps else vector  # behind a flatten, what was flattened
        self.shapes[layer.name] = shape
        self.views |= dict.fromkeys(chain, whole_view(layer.name, shape))
        self.layers.append(layer)
        self.maker[chain[-1]] = layer

    def _joined_sum(self, node: Add, reads: list[View], alone: FusedLayer) -> FusedLayer | None:
        """The layer of one operand of `node` with the other as its residual, taken out of `layers`; None: none can.

        `alone` is the sum as a layer of its own. The layer made last is the first choice.
        """
        if len(set(node.inputs)) != 2 or len(reads) != 2 or alone.pool or node.name in self.separate:
            return None
        for layer in reversed(self.layers):
            for name, view in zip(node.inputs, reversed(reads), strict=True):
                wanted = self.graph.consumers(name) == (node,) and name not in self.graph.outputs
                if self.maker.get(name) is layer and wanted and _takes_residual(layer) and len(view.sources) == 1:
                    self.layers.remove(layer)
                    channels = tuple(channel for _, channel in view.channels)
                    residual = FusedResidual(sum=node.name, source=view.sources[0], channels=channels)
                    return replace(layer, residual=residual, low=alone.low, high=alone.high)
        return None

    def _joined(self, node: Node, reads: list[View]) -> View:
        parts = tuple(part for view in reads for part in view.flattened or (view,))
        if len(self.graph.shapes[node.name]) == 1 and any(part.size != (1, 1) for part in parts):
            if isinstance(node, Concat):
                return View(channels=(), size=(1, 1), flattened=parts)
            raise UnsupportedError(
                f"{node.name!r} cuts flattened maps, whose channels lie apart; slice channels before the flatten"
            )
        channels = tuple(pair for view in reads for pair in view.channels)
        if isinstance(node, Channels):
            channels = tuple(channels[c] for c in node.indices)
        first = channels[0][0]
        all_of_it = channels == tuple((first, c) for c in range(self.shapes[first][0]))
        return View(channels=channels, size=reads[0].size, whole=first if all_of_it else None)

    def _materialised(self, name: str) -> str:
        """The tensor that output `name` is; a view becomes a layer of its own."""
        view = self.views[name]
        if view.whole is not None:
            return view.whole
        if view.flattened:
            raise UnsupportedError(f"output {name!r} joins flattened maps; return each of them instead")
        layer = identity_layer(name, view, {key: shape[0] for key, shape in self.shapes.items()})
        self.shapes[name] = view.shape
        self.views[name] = whole_view(name, view.shape)
        self.layers.append(layer)
        return name


def _as_map(shape: tuple[int, ...]) -> Map:
    if len(shape) == 1:
        return (shape[0], 1, 1)
    if len(shape) != 3:
        raise ModelError(f"a tensor must be (C, H, W) or (K,), not {shape}; drop the other dimensions from the model")
    return (shape[0], shape[1], shape[2])


def _live(graph: Graph) -> Graph:
    """`graph` without the nodes that no output needs; inputs stay."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed |= set(node.inputs)
    return Graph(tuple(n for n in graph.nodes if n.name in needed or isinstance(n, Input)), graph.outputs)


def _absorb(graph: Graph, layer: FusedLayer, node: Node) -> tuple[FusedLayer, list[str]]:
    """`layer` with the clamps, one max pool and flattens that follow `node` and nobody else reads, and their names."""
    chain = [node.name]
    while chain[-1] not in graph.outputs:
        readers = graph.consumers(chain[-1])
        if len(readers) != 1:
            break
        reader = readers[0]
        if isinstance(reader, Relu):
            layer = layer.clamped(0.0, None)
        elif isinstance(reader, Clamp):
            layer = layer.clamped(reader.low, reader.high)
        elif isinstance(reader, MaxPool2d) and layer.pool is None:
            layer = replace(layer, pool=as_pool(reader))
        elif not isinstance(reader, Flatten):
            break
        chain.append(reader.name)
    return layer, chain


def _takes_residual(layer: FusedLayer) -> bool:
    """Whether a residual may join: the sum comes before clamp and pool, and is read at the layer's own pixels."""
    untouched = layer.pool is None and layer.residual is None and layer.low is None and layer.high is None
    return untouched and layer.step is None and all(term.stride == (1, 1) for term in layer.terms)


def _check_outputs(layers: list[FusedLayer], outputs: tuple[str, ...], inputs: tuple[Input, ...]) -> None:
    if any(source.name in outputs for source in inputs):
        raise ModelError("the network returns its input; it needs at least one layer before its output")
    for layer in layers:
        for name in layer.sources:
            if name in outputs:
                raise UnsupportedError(
                    f"output {name!r} is also read by {layer.name!r}; outputs leave the accelerator as wide "
                    "words and cannot be read back, so return only tensors that no other layer needs"
                )

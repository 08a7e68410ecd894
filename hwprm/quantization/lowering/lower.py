"""Float graph to fused layers: the structure of the integer network before any number is rounded. numpy only.

A fused layer is a sum of convolutions with optional max pooling, clamp, functions from a table and upsampling. Clamping
(ReLU among it) commutes with pooling and upsampling, so all orders of these fuse; a function lets a max pool pass where
it never falls. Concatenations and channel choices are views
(`hwprm.quantization.lowering.views`) and make no layer.
Nodes that find no convolution to join (pool after pool, pool of the input, a batch norm between two
ReLUs) become a 1 x 1 convolution of their own, depthwise on a whole tensor; where it only passes one tensor's values
on, it is marked `identity` and quantised exactly.

A sum joins the convolution that makes one of its operands, which then adds the other operand as a residual, where
nobody else wants that convolution's result. Any other sum is a layer of its own. So is a product of two tensors: a
layer without weights whose residual has a gate; an operand that is a view of several tensors is copied in front of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.graph import Graph, Input
from hwprm.graph.rules.functions import Function
from hwprm.graph.rules.stages import (
    Affine,
    AsMap,
    AsVector,
    Clamped,
    Largest,
    Matrix,
    Mean,
    Picked,
    Product,
    Repeated,
    Sum,
    Tabulated,
)
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.quantization.lowering.averages import too_large
from hwprm.quantization.lowering.copies import add_copies
from hwprm.quantization.lowering.fold import fold_batchnorm
from hwprm.quantization.lowering.fused import FusedLayer, FusedNetwork, FusedResidual, Map
from hwprm.quantization.lowering.given import without_needless
from hwprm.quantization.lowering.stages import Refused, Step, staged
from hwprm.quantization.lowering.start import as_pool, identity_layer, start_layer
from hwprm.quantization.lowering.views import View, whole_view

__all__ = ["FusedLayer", "FusedNetwork", "fuse", "lower", "prepared"]


def lower(graph: Graph, *, separate: Collection[str] = ()) -> FusedNetwork:
    """Fuse `graph` into layers that the accelerator's one sentence describes.

    Sums whose name is in `separate` become layers of their own.

    A vector ``(K,)`` becomes the map ``(K, 1, 1)``; a linear layer behind a flatten of ``(C, H, W)`` becomes a
    convolution whose kernel is the whole map. Nodes that no output needs are dropped,
    and unused paths are zeros (`remove_unused_paths`), so that a network gives the same integers before and after these
    are removed.
    An output that cannot leave as the wide words of its own layer leaves through an identity layer: one that is read
    inside, upsampled, from a table or the input through ``<name>_out``, a view through a layer of its own name.
    Raises UnsupportedError, which names all nodes concerned, where a flattened map is cut or normalised, joined in
    front of no linear layer, or an average reads nothing but padding.
    """
    return fuse(prepared(graph), separate)


def prepared(graph: Graph) -> Graph:
    """`graph` as layers are made of it: batch norms folded, unused paths as zeros, without what no output needs and
    what is rounded already.
    """
    return without_needless(_live(fold_batchnorm(remove_unused_paths(graph)[0])))


def fuse(graph: Graph, separate: Collection[str] = ()) -> FusedNetwork:
    """The fused layers of a `prepared` graph: weights are moved, repeated and added up, no number is rounded."""
    return add_copies(_Lowering(staged(graph), separate).network())


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
        #: Layers that copy a view to make it wide, and those that do to make it one tensor.
        self.copies: dict[View, str] = {}
        self.joined: dict[View, View] = {}

    def network(self) -> FusedNetwork:
        graph = self.graph
        refused: list[tuple[str, str]] = []
        for node in graph.nodes:
            if node.name in self.views or not isinstance(node, Step):  # taken in by an earlier layer, or an input
                continue
            try:
                self._step(node, [self.views[name] for name in node.inputs])
            except UnsupportedError as error:
                refused.append((node.origin, str(error)))
                self.shapes[node.name] = _as_map(graph.shapes[node.name])  # go on, to find what else there is
                self.views[node.name] = whole_view(node.name, self.shapes[node.name])
        if refused:
            raise UnsupportedError("\n".join(text for _, text in refused), tuple(refused))
        returned = tuple(self._wide(name) for name in graph.outputs)
        tensor_of = {name: view.whole for name, view in self.views.items() if view.whole is not None}
        return FusedNetwork(
            inputs=tuple(source.name for source in graph.inputs),
            layers=tuple(self.layers),
            outputs=tuple(dict.fromkeys(returned)),
            returned=returned,
            shapes=self.shapes,
            tensor_of=tensor_of,
        )

    def _step(self, step: Step, reads: list[View]) -> None:
        stage = step.stage
        if isinstance(stage, Refused):
            raise UnsupportedError(stage.text)
        if isinstance(stage, AsMap) and (reads[0].size != (1, 1) or reads[0].flattened):
            raise UnsupportedError(
                f"{step.origin!r} makes channels of the pixels of a flattened map; keep (batch, C, H, W) instead"
            )
        if isinstance(stage, AsVector | AsMap):
            self.views[step.name] = reads[0]
        elif isinstance(stage, Picked):
            self.views[step.name] = self._picked(step, stage, reads)
        elif isinstance(stage, Product):
            self._layer(step, [self._tensor(step, read) for read in reads])
        else:
            self._layer(step, reads)

    def _layer(self, step: Step, reads: list[View]) -> None:
        counts = {name: shape[0] for name, shape in self.shapes.items()}
        if isinstance(step.stage, Mean) and too_large(step.stage, reads[0], counts) and self._averages(step, reads[0]):
            return
        layer = start_layer(step.name, step.stage, reads, counts)
        layer, chain = _absorb(self.graph, layer, step)
        if isinstance(step.stage, Sum) and (joined := self._joined_sum(step, reads, layer)):
            layer = joined
        maps = [self.graph.shapes[name] for name in chain if len(self.graph.shapes[name]) == 3]
        vector = (len(layer.bias), 1, 1) if isinstance(step.stage, Matrix) else max(reads, key=_pixels).shape
        shape = _as_map(maps[-1]) if maps else vector  # behind a flatten, what was flattened
        self.shapes[layer.name] = shape
        self.views |= dict.fromkeys(chain, whole_view(layer.name, shape))
        self.layers.append(layer)
        self.maker[chain[-1]] = layer

    def _averages(self, step: Step, view: View) -> bool:
        """Whether `step`, an average of `view`, became a layer for each tensor, and a view of these: not where it
        leaves the network, as one tensor.
        """
        layers: dict[str, FusedLayer] = {}
        chain: list[str] = []
        parts = view.by_source()
        for source, channels in parts.items():
            whole = whole_view(source, self.shapes[source])
            read = whole if channels == whole.channels else replace(view, channels=channels)
            name = self._free(f"{step.name}_{len(layers) + 1}")
            layer = start_layer(name, step.stage, [read], {source: len(whole.channels)})
            layers[source], chain = _absorb(self.graph, layer, step)
        if chain[-1] in self.graph.outputs:
            return False
        size = [self.graph.shapes[name][1:] for name in chain if len(self.graph.shapes[name]) == 3][-1]
        self.shapes |= {layer.name: _as_map((len(parts[source]), *size)) for source, layer in layers.items()}
        self.layers += layers.values()
        places = {source: iter(range(len(channels))) for source, channels in parts.items()}
        made = tuple((layers[source].name, next(places[source])) for source, _ in view.channels)
        self.views |= dict.fromkeys(chain, View(channels=made, size=(size[0], size[1])))
        return True

    def _joined_sum(self, step: Step, reads: list[View], alone: FusedLayer) -> FusedLayer | None:
        """The layer of one operand of `step` with the other as its residual, taken out of `layers`; None: none can.

        `alone` is the sum as a layer of its own. The layer made last is the first choice.
        """
        if len(set(step.inputs)) != 2 or len(reads) != 2 or alone.pool or step.name in self.separate:
            return None
        for layer in reversed(self.layers):
            for name, view in zip(step.inputs, reversed(reads), strict=True):
                wanted = self.graph.consumers(name) == (step,) and name not in self.graph.outputs
                if self.maker.get(name) is layer and wanted and _takes_residual(layer) and len(view.sources) == 1:
                    self.layers.remove(layer)
                    channels = tuple(channel for _, channel in view.channels)
                    residual = FusedResidual(sum=step.name, source=view.sources[0], channels=channels)
                    behind = {key: getattr(alone, key) for key in ("low", "high", "functions", "upsample")}
                    return replace(layer, residual=residual, **behind)
        return None

    def _tensor(self, step: Step, view: View) -> View:
        """`view` as channels of one tensor, a copy where it is of several."""
        if view.flattened or len(view.sources) == 1:
            return view
        if view not in self.joined:
            name = self._free(f"{step.name}_joined")
            self.layers.append(identity_layer(name, view, {key: shape[0] for key, shape in self.shapes.items()}))
            self.shapes[name] = view.shape
            self.joined[view] = whole_view(name, view.shape)
        return self.joined[view]

    def _picked(self, step: Step, stage: Picked, reads: list[View]) -> View:
        parts = tuple(part for view in reads for part in view.flattened or (view,))
        shapes = [self.graph.shapes[name] for name in step.inputs]
        joined = stage.channels == tuple((i, c) for i, shape in enumerate(shapes) for c in range(shape[0]))
        if len(self.graph.shapes[step.name]) == 1 and any(part.size != (1, 1) for part in parts):
            if joined:
                return View(channels=(), size=(1, 1), flattened=parts)
            raise UnsupportedError(
                f"{step.origin!r} cuts flattened maps, whose channels lie apart; slice channels before the flatten"
            )
        channels = tuple(reads[number].channels[channel] for number, channel in stage.channels)
        first = channels[0][0]
        all_of_it = channels == tuple((first, c) for c in range(self.shapes[first][0]))
        return View(channels=channels, size=reads[0].size, whole=first if all_of_it else None)

    def _wide(self, name: str) -> str:
        """The tensor that leaves as output `name`: that of its layer, or a copy where that one cannot be wide."""
        view = self.views[name]
        maker = next((layer for layer in self.layers if layer.name == view.whole), None)
        words = maker is not None and maker.upsample == (1, 1) and not maker.functions
        if maker is not None and words and not self._read(maker.name):
            return maker.name
        if view.flattened:
            text = f"output {name!r} joins flattened maps; return each of them instead"
            raise UnsupportedError(text, ((name, text),))
        if view not in self.copies:
            copy = name if view.whole is None else self._free(f"{name}_out")
            self.layers.append(identity_layer(copy, view, {key: shape[0] for key, shape in self.shapes.items()}))
            self.shapes[copy] = view.shape
            self.copies[view] = copy
        self.views[name] = whole_view(self.copies[view], view.shape)
        return self.copies[view]

    def _read(self, name: str) -> bool:
        """Whether a layer reads the tensor `name`, or an output that is a view of it, or of more than it, will."""
        views = [self.views[output] for output in self.graph.outputs]
        copied = any(name in view.sources and view.whole != name for view in views)
        return copied or any(name in layer.sources for layer in self.layers)

    def _free(self, wish: str) -> str:
        name, i = wish, 1
        while name in self.graph.by_name or name in self.shapes:
            i += 1
            name = f"{wish}_{i}"
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


def _absorb(graph: Graph, layer: FusedLayer, step: Step) -> tuple[FusedLayer, list[str]]:
    """`layer` with the clamps, functions, max pool, upsamplings and flattens behind `step` that it can take in, and
    their names.

    What something else reads, or what leaves the network, ends the chain.
    """
    chain = [step.name]
    while chain[-1] not in graph.outputs:
        readers = graph.consumers(chain[-1])
        if len(readers) != 1 or not isinstance(readers[0], Step):
            break
        stage = readers[0].stage
        if isinstance(stage, Clamped):
            layer = layer.clamped(stage.low, stage.high)
        elif isinstance(stage, Tabulated):
            layer = layer.tabulated(stage.function)
        elif isinstance(stage, Affine) and layer.functions and (line := _line(stage)):
            layer = layer.tabulated(line)
        elif isinstance(stage, Largest) and _takes_pool(layer):
            layer = replace(layer, pool=as_pool(stage))
        elif isinstance(stage, Repeated):
            factors = layer.upsample[0] * stage.factors[0], layer.upsample[1] * stage.factors[1]
            layer = replace(layer, upsample=factors)
        elif not isinstance(stage, AsVector) and not (isinstance(stage, AsMap) and _one_pixel(graph, chain)):
            break
        chain.append(readers[0].name)
    return layer, chain


def _line(stage: Affine) -> Function | None:
    """A batch norm that does the same in all channels, as a function."""
    scale, shift = stage.scale, stage.shift
    alike = (scale == scale[0]).all() and (shift == shift[0]).all()
    return Function("affine", (float(scale[0]), float(shift[0]))) if alike else None


def _takes_pool(layer: FusedLayer) -> bool:
    """Whether a max pool may join, which comes before clamp and functions: the maximum commutes with what rises. A
    layer that pools has no residual.
    """
    plain = layer.pool is None and layer.residual is None and layer.upsample == (1, 1)
    return plain and all(function.rising for function in layer.functions)


def _takes_residual(layer: FusedLayer) -> bool:
    """Whether a residual may join: the sum comes before clamp, pool and upsampling, at the layer's own pixels."""
    untouched = layer.pool is None and layer.residual is None and layer.low is None and layer.high is None
    plain = untouched and layer.upsample == (1, 1) and not layer.divisors and not layer.functions
    return plain and all(term.stride == (1, 1) and term.region is None for term in layer.terms)


def _pixels(view: View) -> int:
    return view.size[0] * view.size[1]


def _one_pixel(graph: Graph, chain: list[str]) -> bool:
    """Whether the tensors of `chain` are vectors or maps of one pixel."""
    return all(graph.shapes[name][1:] in ((), (1, 1)) for name in chain)

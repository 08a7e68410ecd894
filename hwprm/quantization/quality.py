"""What quantisation does to each layer: noise, clipping, the integers that are used, and what it alone costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.core.formats import QUALITY
from hwprm.core.numerics import quantize
from hwprm.graph import Graph, Images, Scale
from hwprm.intnet import GemmLayer, IntegerNetwork, quantize_images, real_images
from hwprm.quantization.accuracy import stored_classes
from hwprm.quantization.calibrate import float_layer, float_tensors
from hwprm.quantization.compare import noise_ratio
from hwprm.quantization.emulate import integer_layer, run_torch
from hwprm.quantization.lowering.fused import FusedNetwork
from hwprm.quantization.lowering.lower import lower

__all__ = ["BINS", "LayerQuality", "Quality", "measure_quality"]

#: Bars of a layer's histogram.
BINS = 32
#: Most images that layers are measured on, and fewest; between them as many as these multiplications in float64 allow.
MOST, FEWEST, WORK = 200, 2, 4e10
#: Fewest images on which a difference in accuracy says something.
TELLING = 100
#: Most classes of which every pair is counted.
CLASSES = 100

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LayerQuality:
    """One layer. Ratios are of power, in dB; None where the integers are exact or the layer is silent."""

    name: str
    #: Signal to noise of its result, all layers before it being integers too.
    sqnr_db: float | None
    #: The same with this layer alone in integers, the others in floats.
    alone_db: float | None
    #: Points of accuracy lost with this layer alone in integers; None where there are too few labelled images.
    alone_lost: float | None
    #: Per cent of its results at the end of the range, where a float lies more than half a step beyond.
    clipped: float
    #: Smallest and largest integer, and how many of its results fall into each of `BINS` parts from `low` to `high`.
    low: int
    high: int
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What quantisation did to a network, on `images` test images; `confusion` counts all of them."""

    images: int
    layers: tuple[LayerQuality, ...]
    #: ``confusion[label][answer]``: how many test images; None without labels, or with too many classes.
    confusion: tuple[tuple[int, ...], ...] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the keys of docs/report.md."""
        return {"format": QUALITY, **asdict(self)}


def measure_quality(
    graph: Graph, net: IntegerNetwork, x: Images, input_scale: Scale, labels: NDArray[np.integer] | None = None
) -> Quality:
    """Measure `net`, which was made of `graph`, on the stored test images `x` and their `labels`.

    Layers are measured on the first images, at most `MOST`, fewer of large networks.
    """
    fused = lower(graph, separate=net.tensor)
    count = _how_many(net, len(x))
    first = x[:count]
    real = real_images(first, input_scale, {name: fused.shapes[name] for name in fused.inputs})
    floats = float_tensors(fused, real)
    integers = run_torch(net, quantize_images(first, input_scale, net))
    told = labels[:count] if labels is not None and count >= TELLING and len(net.outputs) == 1 else None
    layers = [_layer(fused, net, layer, floats, integers[layer.name], told) for layer in net.layers]
    return Quality(images=count, layers=tuple(layers), confusion=_confusion(net, x, input_scale, labels))


def _how_many(net: IntegerNetwork, available: int) -> int:
    """Each layer alone takes half a pass through the floats behind it, on the mean."""
    macs = sum(
        term.weight.size * math.prod(net.tensor[layer.name].shape[1:]) for layer in net.layers for term in layer.terms
    )
    affordable = int(WORK / (macs * (2 + len(net.layers) / 2)))
    return min(available, max(FEWEST, min(MOST, affordable)))


def _layer(
    fused: FusedNetwork,
    net: IntegerNetwork,
    layer: GemmLayer,
    floats: Mapping[str, FloatArray],
    got: NDArray[np.int64],
    labels: NDArray[np.integer] | None,
) -> LayerQuality:
    tensor, wanted = net.tensor[layer.name], floats[layer.name]
    alone = _alone(net, layer, floats)
    lost = None
    if labels is not None:
        before = _right(floats[net.outputs[0]], labels)
        lost = (
            100.0 * (before - _right(_behind(fused, layer.name, alone, floats)[net.outputs[0]], labels)) / len(labels)
        )
    low, high = layer.limits
    beyond = (wanted < (low - 0.5) * tensor.scale) & (low < 0) | (wanted > (high + 0.5) * tensor.scale)
    ends = int(got.min()), int(got.max())
    counts, _ = np.histogram(got, bins=BINS, range=(ends[0], max(ends[1], ends[0] + 1)))
    return LayerQuality(
        name=layer.name,
        sqnr_db=_finite(noise_ratio(wanted, got * tensor.scale)),
        alone_db=_finite(noise_ratio(wanted, alone)),
        alone_lost=lost,
        clipped=100.0 * float(np.mean(beyond & ((got == low) | (got == high)))),
        low=ends[0],
        high=ends[1],
        histogram=tuple(int(count) for count in counts),
    )


def _alone(net: IntegerNetwork, layer: GemmLayer, floats: Mapping[str, FloatArray]) -> FloatArray:
    """What `layer` makes of rounded floats, in real values."""
    inputs = {name: quantize(floats[name], net.tensor[name].scale, *net.tensor[name].limits) for name in layer.sources}
    with torch.no_grad():
        made = integer_layer(layer, {name: torch.from_numpy(values) for name, values in inputs.items()})
    real: FloatArray = made.numpy() * net.tensor[layer.name].scale
    return real


def _behind(
    fused: FusedNetwork, name: str, values: FloatArray, floats: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """`floats` where the tensor `name` holds `values` instead: what hangs on it is computed again."""
    changed = {name: torch.from_numpy(np.ascontiguousarray(values))}
    with torch.no_grad():
        for layer in fused.layers:
            if layer.name != name and set(layer.sources) & set(changed):
                sources = {s: changed[s] if s in changed else torch.from_numpy(floats[s]) for s in layer.sources}
                changed[layer.name] = float_layer(layer, sources)
    return {**floats, **{key: tensor.numpy() for key, tensor in changed.items()}}


def _right(outputs: FloatArray, labels: NDArray[np.integer]) -> int:
    return int(np.count_nonzero(outputs.reshape(len(outputs), -1).argmax(axis=1) == labels))


def _confusion(
    net: IntegerNetwork, x: Images, input_scale: Scale, labels: NDArray[np.integer] | None
) -> tuple[tuple[int, ...], ...] | None:
    if labels is None or len(net.outputs) != 1:
        return None
    classes = math.prod(net.tensor[net.outputs[0]].shape)
    if classes > CLASSES or int(labels.max()) >= classes:
        return None
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, stored_classes(net, x, input_scale)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None

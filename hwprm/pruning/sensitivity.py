"""How much accuracy each layer costs for every cycle that it saves, before anything is trained again.

After the layer-wise sensitivity of Li et al. (Pruning filters for efficient ConvNets, arXiv 1608.08710, section 3.2),
with exact cycles of an array for the gain: the least columns or filters of one layer alone, by the norms of their
weights, are made zero, and what is left is measured as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.core.progress import Progress, silent
from hwprm.graph import Conv2d, Graph, Images, Linear, Scale
from hwprm.pruning.channels.blocks import Meter
from hwprm.pruning.statistics import makes_output
from hwprm.training.evaluate import accuracy

__all__ = ["SHARES", "Cut", "sensitivity"]

#: Shares of a layer's columns that are tried.
SHARES = (0.125, 0.25, 0.5)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One layer with fewer columns or filters, everything else as it was."""

    layer: str
    #: ``columns`` or ``filters``.
    kind: str
    #: How many of those that are not zero stay, of how many.
    kept: int
    of: int
    #: Percentage points of accuracy that are lost, and cycles (of the whole network) that are saved.
    lost: float
    saved: int

    @property
    def rate(self) -> float | None:
        """Points lost for a thousand cycles saved; None where none are."""
        return 1000 * self.lost / self.saved if self.saved > 0 else None


def sensitivity(
    graph: Graph,
    images: Images,
    labels: NDArray[np.int64],
    input_scale: Scale,
    meter: Meter,
    *,
    progress: Progress | None = None,
) -> list[Cut]:
    """Every layer of `graph` cut a little, and more, with the accuracy on `images` and the cost that `meter` counts.

    Columns go by `SHARES`; filters, of layers that make no output of the network, until a tile of ``meter.grain`` is
    saved, and until half of the tiles are. Raises DataError without images or labels.
    """
    if not len(images) or len(images) != len(labels):
        raise DataError(f"sensitivity needs labelled images, and there are {len(images)} with {len(labels)} labels")
    tell = progress or silent
    base, cycles = accuracy(graph, images, labels, input_scale), meter.total(graph)
    tried = [cut for layer in graph.weighted for cut in _cuts(graph, layer, meter.grain)]
    found = []
    for number, (layer, kind, gone, of) in enumerate(tried):
        made = _without(graph, layer, kind, gone)
        lost = base - accuracy(made, images, labels, input_scale)
        saved = cycles - meter.total(made)
        kept = of - len(gone)
        found.append(Cut(layer=layer.name, kind=kind, kept=kept, of=of, lost=round(lost, 4), saved=saved))
        tell("sensitivity", number + 1, len(tried), {})
    return found


Weighted = Conv2d | Linear


def _cuts(graph: Graph, layer: Weighted, grain: int) -> Iterator[tuple[Weighted, str, NDArray[np.int64], int]]:
    """Which rows or columns go: the least ones of those that are not zero."""
    matrix = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    for kind, axis in (("columns", 0), ("filters", 1)):
        norms = (matrix**2).sum(axis=axis)
        alive = np.flatnonzero(norms)
        order = alive[np.argsort(norms[alive], kind="stable")]
        if kind == "columns":
            counts = sorted({int(len(alive) * share) for share in SHARES})
        elif makes_output(graph, layer.name):
            continue
        else:
            counts = sorted({len(alive) - left for left in _tiles(len(alive), grain)})
        for count in counts:
            if 0 < count < len(alive):
                yield layer, kind, order[:count], len(alive)


def _tiles(filters: int, grain: int) -> set[int]:
    """Filters that may stay: all full tiles but one, and half of the tiles; less than a tile is halved."""
    full = -(-filters // grain) - 1
    return {full * grain, -(-full // 2) * grain} if full else {filters // 2}


def _without(graph: Graph, layer: Weighted, kind: str, gone: NDArray[np.int64]) -> Graph:
    """`graph` with zeros in the columns, or in the filters and their biases, `gone` of `layer`."""
    matrix = np.array(layer.weight.reshape(len(layer.weight), -1))
    bias = np.array(layer.bias)
    if kind == "columns":
        matrix[:, gone] = 0
    else:
        matrix[gone], bias[gone] = 0, 0
    made = replace(layer, weight=matrix.reshape(layer.weight.shape), bias=bias)
    return graph.replace(made)

"""Max pooling as a layer of its own where that takes fewer cycles; the same integers come out.

A pooled layer runs its column list once per window position and keeps the maximum in the processing elements. That
wastes nothing where windows tile the map and the pooled map fills the lanes. Overlapping windows compute every pixel
several times, though, and a pooled map of few pixels leaves lanes idle. Then the layer stores its whole map and an
identity layer pools it: requantisation is monotone, so ``max(requantize(acc)) = requantize(max(acc))``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from hwprm.compiler.layout.geometry import LayerGeometry, layer_geometry
from hwprm.compiler.layout.lists import tile_columns
from hwprm.compiler.passes.rewritten import Rewritten, all_channels, as_it_is
from hwprm.config import ArrayConfig
from hwprm.core.memo import kept
from hwprm.core.numerics import choose_multiplier
from hwprm.intnet import GemmLayer, IntegerNetwork, Term

__all__ = ["split_pools"]

#: About what a layer costs beside its list entries, for the choice alone: pipeline, drain and hand-over.
LAYER_OVERHEAD = 32


def split_pools(net: IntegerNetwork, array: ArrayConfig) -> Rewritten:
    """A pass: `net` with every max pool that is better off alone as an identity layer behind ``<layer>_map``.

    Outputs of the network keep their pools: their words are wider than the memory. So do layers with a table that
    falls somewhere: the largest sum is not the largest result.
    """
    layers: list[GemmLayer] = []
    tensors = dict(net.tensor)
    for i, layer in enumerate(net.layers):
        if layer.wide or not _rises(layer) or not _pays(layer_geometry(net, i, array.batch), array):
            layers.append(layer)
            continue
        whole = f"{layer.name}_map"
        while whole in tensors:
            whole += "_"
        layers += [replace(layer, name=whole, pool=None, upsample=(1, 1)), _pooling(layer, whole)]
        tensors[whole] = replace(net.tensor[layer.name], name=whole, shape=(len(layer.bias), *net.conv_size(layer)))
    if len(layers) == len(net.layers):
        return as_it_is(net)
    order = [*net.inputs, *(layer.name for layer in layers)]
    split = replace(net, layers=tuple(layers), tensors=tuple(tensors[name] for name in order))
    return Rewritten(network=split, kept=all_channels(net))


def _pooling(layer: GemmLayer, source: str) -> GemmLayer:
    """The identity on every integer of `source`, with the pool of `layer`."""
    count = len(layer.bias)
    mult, shift = choose_multiplier(1.0)
    return GemmLayer(
        name=layer.name,
        terms=(Term(source=source, weight=np.ones((count, 1, 1, 1), np.int64), groups=count),),
        bias=np.zeros(count, np.int64),
        mult=np.full(count, mult),
        shift=np.full(count, shift),
        clamp=layer.limits,
        pool=layer.pool,
        upsample=layer.upsample,
    )


def _rises(layer: GemmLayer) -> bool:
    """Whether larger sums never make smaller results: then the maximum may come behind the table."""
    if layer.table is None:
        return True
    return bool((np.diff(layer.finished(np.arange(layer.clamp[0], layer.clamp[1] + 1))) >= 0).all())


def _pays(geo: LayerGeometry, array: ArrayConfig) -> bool:
    """Whether pooling apart takes fewer cycles, by list entries and drained filters."""
    window = len(geo.windows)
    if window == 1:
        return False
    maps = (geo.images * geo.conv_height * geo.conv_width, geo.all_pixels)
    conv_tiles, tiles = (-(-pixels // array.rows) for pixels in maps)
    fused, apart = 0, LAYER_OVERHEAD + array.rows + array.cols
    for first in range(0, geo.filters, array.cols):
        filters = min(array.cols, geo.filters - first)
        columns = kept(geo.layer, ("columns", first, filters), partial(_count, geo, first, filters))
        fused += tiles * max(window * columns, filters)
        apart += conv_tiles * max(columns, filters) + tiles * window * filters
    return apart < fused


def _count(geo: LayerGeometry, first: int, filters: int) -> int:
    return len(tile_columns(geo, first, first + filters))

"""The order of filters: those that read the same columns go into one tile, whose list is then short.

A layer's filters are the channels of its tensor, so the network itself is rewritten: rows of the weights, and columns
of every reader's. Inputs and outputs keep their order. Grouped convolutions allow less:

- depthwise (one channel, one filter a group): channel and filter move together, so the tensors share one order;
- other groups: a channel stays within its group, and a filter within its own;
- residuals and their gates name a channel for every filter and bind nothing, nor do 1 x 1 terms without weights;
- summands and the images and outputs of 1 x 1 depthwise layers bind nothing: where the orders on the two sides
  differ the term is written out as one group, a permuted diagonal, whose tiles list as many columns as before.

An order is kept only where the exact count of cycles falls, so no network ever runs slower for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.layout.layout import Layout
from hwprm.compiler.passes.cluster import tile_order
from hwprm.compiler.passes.rewritten import Rewritten, all_channels, as_it_is
from hwprm.compiler.timing.cycles import count_cycles
from hwprm.compiler.timing.phases import best_layout
from hwprm.config import ArrayConfig
from hwprm.core.memo import kept, latest
from hwprm.intnet import GemmLayer, IntegerNetwork, Term

__all__ = ["Bond", "Orders", "better_orders", "channel_bonds", "order_filters", "reorder"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
#: For each tensor that changes: new channel number -> old one.
Orders = dict[str, IntArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bond:
    """Tensors, all of C channels, that take one order. `block` ``(C,)``: channels of one number may change places."""

    names: tuple[str, ...]
    block: IntArray


def order_filters(net: IntegerNetwork, array: ArrayConfig) -> Rewritten:
    """A pass: `net` with its filters in an order of fewer cycles, where `array` asks for it and there is one."""
    orders = better_orders(net, array) if array.order_filters else {}
    if not orders:
        return as_it_is(net)
    moved = all_channels(net) | {name: tuple(map(int, order)) for name, order in orders.items()}
    return Rewritten(network=_reordered(net, orders), kept=moved)


def better_orders(net: IntegerNetwork, array: ArrayConfig) -> Orders:
    """The orders of the filters of `net` that save cycles on `array`; none where nothing does."""
    layout = best_layout(net, array)
    found: list[Orders] = []
    for bond in kept(net, "bonds", lambda: channel_bonds(net)):
        order = _order_of(bond, layout, array)
        if not np.array_equal(order, np.arange(len(order))):
            found.append(dict.fromkeys(bond.names, order))
    if not found:
        return {}
    # A layer's cycles depend on its own order, so bonds are judged one by one; and on the number of banks, which
    # phases of other layers may have a part in, so all are judged together once more.
    tried = _cycles_of(best_layout(_reordered(net, _union(found)), array))
    before = _cycles_of(layout)
    better = [one for one in found if sum(before[name] - tried[name] for name in one) > 0]
    if better and better != found:
        tried = _cycles_of(best_layout(_reordered(net, _union(better)), array))
    return _union(better) if sum(tried.values()) < sum(before.values()) else {}


def channel_bonds(net: IntegerNetwork) -> tuple[Bond, ...]:
    """The bonds of `net` in which channels may change places at all."""
    bond = {tensor.name: tensor.name for tensor in net.tensors}
    grouped = [(layer, term) for layer in net.layers for term in layer.terms if term.groups > 1]
    for layer, term in grouped:
        if _binds(net, layer, term):
            old, new = bond[term.source], bond[layer.name]
            bond = {name: new if root == old else root for name, root in bond.items()}
    fences: dict[str, set[int]] = {root: set() for root in bond.values()}
    for layer, term in grouped:
        if not _depthwise(term):
            filters, width = len(term.weight), term.weight.shape[1]
            fences[bond[layer.name]].update(range(0, filters, filters // term.groups))
            fences[bond[term.source]].update(range(0, width * term.groups, width))
    fixed = {bond[name] for name in (*net.inputs, *net.outputs)}
    return tuple(
        Bond(names=tuple(name for name in bond if bond[name] == root), block=_blocks(net.tensor[root].shape[0], cuts))
        for root, cuts in fences.items()
        if root not in fixed
    )


def reorder(net: IntegerNetwork, orders: Mapping[str, IntArray]) -> IntegerNetwork:
    """`net` with the channels of each tensor in `orders` in that order; what it computes stays the same.

    The orders must respect the bonds (`channel_bonds`).
    """
    full = {tensor.name: np.arange(tensor.shape[0]) for tensor in net.tensors} | dict(orders)
    return replace(net, layers=tuple(_reorder_layer(layer, full) for layer in net.layers))


def _reordered(net: IntegerNetwork, orders: Orders) -> IntegerNetwork:
    """`reorder`, the last result of which stays beside the network: arrays of other rows mostly want the same."""
    key = tuple((name, order.tobytes()) for name, order in orders.items())
    return latest(net, "reordered", key, lambda: reorder(net, orders))


def _blocks(channels: int, fences: set[int]) -> IntArray:
    starts = np.zeros(channels, dtype=np.int64)
    starts[list(fences)] = 1
    return np.cumsum(starts)


def _union(orders: list[Orders]) -> Orders:
    return {name: order for one in orders for name, order in one.items()}


def _cycles_of(layout: Layout) -> dict[str, int]:
    return {layer.name: layer.cycles for layer in count_cycles(layout).layers}


def _order_of(bond: Bond, layout: Layout, array: ArrayConfig) -> IntArray:
    """The order that makes the lists of the bond's layers short, each entry weighed with the cycles it takes."""
    same = np.arange(len(bond.block))
    makers = [geo for geo in layout.geometry if geo.layer.name in bond.names]
    if len(same) <= array.cols or len(np.unique(bond.block)) == len(same):
        return same
    costs = [len(geo.windows) * geo.pixel_tiles(array.rows) for geo in makers]
    scale = reduce(gcd, costs)
    shares = tuple(cost // scale for cost in costs)

    def search() -> IntArray:
        parts = [_columns_used(layout.network.layers[geo.index]) for geo in makers]
        weight = np.repeat(shares, [part.shape[1] for part in parts])
        return tile_order(np.concatenate(parts, axis=1), weight, bond.block, array.cols)

    return kept(bond, ("order", shares, array.cols), search)


def _columns_used(layer: GemmLayer) -> BoolArray:
    """``(M, K)``: the columns each filter uses, of all channels; without those of depthwise terms, never shared."""
    filters = len(layer.bias)
    parts = [np.zeros((filters, 0), dtype=bool)]
    for term in layer.terms:
        used = term.weight.reshape(filters, -1) != 0
        if term.groups == 1:
            parts.append(used)
        elif not _depthwise(term):
            wide = np.zeros((filters, term.groups, used.shape[1]), dtype=bool)
            wide[np.arange(filters), np.arange(filters) * term.groups // filters] = used
            parts.append(wide.reshape(filters, -1))
    return np.concatenate(parts, axis=1)


def _reorder_layer(layer: GemmLayer, full: Mapping[str, IntArray]) -> GemmLayer:
    filters = full[layer.name]
    terms = tuple(_reorder_term(term, filters, full[term.source]) for term in layer.terms)
    residual = layer.residual
    if residual:  # names its channel for every filter, so that it takes any order
        place = np.argsort(full[residual.source])
        gate = residual.gate
        if gate:
            gate = replace(gate, channel=np.argsort(full[gate.source])[gate.channel[filters]])
        residual = replace(residual, channel=place[residual.channel[filters]], mult=residual.mult[filters], gate=gate)
    per_filter = {key: getattr(layer, key)[filters] for key in ("bias", "mult", "shift")}
    return replace(layer, terms=terms, residual=residual, **per_filter)


def _reorder_term(term: Term, filters: IntArray, channels: IntArray) -> Term:
    if _depthwise(term) and not np.array_equal(filters, channels):
        spread = np.zeros((len(filters), len(channels), 1, 1), dtype=np.int64)
        spread[np.arange(len(filters)), np.arange(len(channels)), 0, 0] = term.weight[:, 0, 0, 0]
        term = replace(term, weight=spread, groups=1)
    weight = term.weight[filters]
    if not _depthwise(term):
        width, height = weight.shape[1], len(filters) // term.groups
        local = channels.reshape(term.groups, width) % width  # channels keep to their groups
        weight = np.concatenate([weight[g * height : (g + 1) * height][:, local[g]] for g in range(term.groups)])
    return replace(term, weight=weight)


def _depthwise(term: Term) -> bool:
    """One channel and one filter a group."""
    return term.groups > 1 and term.groups == len(term.weight) and term.weight.shape[1] == 1


def _binds(net: IntegerNetwork, layer: GemmLayer, term: Term) -> bool:
    """Whether a depthwise term ties its channels to its filters: it does, unless it is as cheap as a matrix."""
    free = len(layer.terms) > 1 or layer.wide or term.source in net.inputs or not term.weight.any()
    return _depthwise(term) and not (free and term.weight.shape[2:] == (1, 1))

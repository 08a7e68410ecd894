"""Where each weight of the float network stands in the fused layers: lowering moves weights, and says where through
labels that stand in their place. numpy only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import UnsupportedError
from hwprm.graph import Graph
from hwprm.quantization.lowering.fused import FusedLayer, FusedNetwork
from hwprm.quantization.lowering.lower import fuse

__all__ = ["LayerPlaces", "Places", "find_places"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: First label: 0 and 1 stand in layers that have no weights of the network.
FIRST = 2


@dataclass(frozen=True, kw_only=True)
class Places:
    """Of an array of a fused layer: number of the weight in each place, and what stands where there is none."""

    #: 0 where there is no weight of the network; else its place in the vector of all, which begins with a zero.
    index: IntArray
    fixed: FloatArray

    @property
    def trained(self) -> bool:
        """Whether any weight of the network is among it."""
        return bool(self.index.any())

    def values(self, vector: FloatArray) -> FloatArray:
        """The array for the `vector` of all weights."""
        return np.asarray(vector[self.index] + self.fixed, np.float64)

    def fill(self, vector: NDArray[Any], values: FloatArray) -> None:
        """Put `values`, of the array, where they stand in the `vector` of all weights."""
        there = self.index > 0
        vector[self.index[there]] = values[there]


@dataclass(frozen=True, kw_only=True)
class LayerPlaces:
    """Those of a layer's terms and of its bias."""

    terms: tuple[Places, ...]
    bias: Places

    def filled(self, layer: FusedLayer, vector: FloatArray) -> FusedLayer:
        """`layer` with the weights of `vector`."""
        terms = tuple(
            replace(term, weight=places.values(vector)) for term, places in zip(layer.terms, self.terms, strict=True)
        )
        return replace(layer, terms=terms, bias=self.bias.values(vector))


def find_places(
    graph: Graph, names: Sequence[str], separate: Collection[str] = ()
) -> tuple[FusedNetwork, tuple[LayerPlaces, ...]]:
    """The fused layers of the prepared `graph`, and where the weights of its layers `names` stand in each of them.

    The vector of all weights is a zero, then weight and bias of each layer of `names` in turn. Raises UnsupportedError,
    naming the layer, where a place holds no single weight but a sum or a multiple.
    """
    plain = fuse(graph, separate)
    labelled = fuse(_labelled(graph, names, 1), separate)
    squared = fuse(_labelled(graph, names, 2), separate)
    found = []
    for layer, first, second in zip(plain.layers, labelled.layers, squared.layers, strict=True):
        pairs = zip(layer.terms, first.terms, second.terms, strict=True)
        terms = tuple(_places(layer.name, c.weight, a.weight, b.weight) for c, a, b in pairs)
        found.append(LayerPlaces(terms=terms, bias=_places(layer.name, layer.bias, first.bias, second.bias)))
    return plain, tuple(found)


def _labelled(graph: Graph, names: Sequence[str], power: int) -> Graph:
    """`graph` with labels in the place of weights and biases: 2, 3, ..., each to the `power`."""
    changed, last = [], FIRST
    for name in names:
        node = graph.by_name[name]
        arrays = {}
        for key in ("weight", "bias"):
            shape = getattr(node, key).shape
            count = int(np.prod(shape))
            arrays[key] = (np.arange(last, last + count, dtype=np.float64) ** power).reshape(shape)
            last += count
        changed.append(replace(node, **arrays))  # type: ignore[arg-type]  # both are fields of layers with a matrix
    return graph.replace(*changed)


def _places(name: str, now: FloatArray, first: FloatArray, second: FloatArray) -> Places:
    moved = first != second
    if (moved & (second != first**2)).any():
        raise UnsupportedError(
            f"layer {name!r} adds up or scales weights of the float network, which cannot be trained in integers; read "
            "each channel once, or quantise the network without training it so (qat.epochs = 0)"
        )
    return Places(
        index=np.where(moved, first - (FIRST - 1), 0).astype(np.int64), fixed=np.where(moved, 0.0, np.asarray(now))
    )

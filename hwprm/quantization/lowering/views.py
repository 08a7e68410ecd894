"""Views: which channels of which tensors a node's result consists of. Concatenations and channel choices move no data.

A `View` is a list of (tensor, channel) pairs; a weight on a view becomes one term per tensor, its columns scattered to
that tensor's channels. Zero columns cost nothing: the accelerator lists only columns with weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwprm.graph.rules.stages import Kernel

__all__ = ["FusedTerm", "View", "linear_terms", "merge_terms", "terms_of", "whole_view"]

FloatArray = NDArray[np.float64]
Map = tuple[int, int, int]
Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedTerm:
    """One convolution: float64 weight ``(M, C // groups, KH, KW)`` over tensor `source`."""

    source: str
    weight: FloatArray
    stride: Pair = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    region: Quad | None = None


@dataclass(frozen=True, kw_only=True)
class View:
    """Channel c of the view is channel ``channels[c][1]`` of tensor ``channels[c][0]``; all maps are `size`."""

    channels: tuple[tuple[str, int], ...]
    size: Pair
    #: The one tensor that the view is, all channels in order; None for any other view.
    whole: str | None = None
    #: Maps that, flattened, make a vector one after the other; then there are no channels, and only a linear layer can
    #: read the view.
    flattened: tuple[View, ...] = ()

    @property
    def shape(self) -> Map:
        """``(C, H, W)``."""
        return (len(self.channels), *self.size)

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors it reads, each once, in order of appearance."""
        return tuple(dict.fromkeys(source for source, _ in self.channels))

    def by_source(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """Of each of the `sources`, its channels in the order of the view."""
        return {name: tuple(one for one in self.channels if one[0] == name) for name in self.sources}


def whole_view(name: str, shape: Map) -> View:
    """The view that is tensor `name` of `shape`."""
    return View(channels=tuple((name, c) for c in range(shape[0])), size=shape[1:], whole=name)


def linear_terms(view: View, channels: dict[str, int], weight: FloatArray) -> tuple[FusedTerm, ...]:
    """Terms that multiply the flattened `view` with `weight` ``(M, K)``: kernels of the size of the maps."""
    parts = view.flattened or (view,)
    blocks = np.split(weight, np.cumsum([prod(part.shape) for part in parts])[:-1], axis=1)
    split = zip(parts, blocks, strict=True)
    kernels = [(part, Kernel(weight=block.reshape(-1, *part.shape))) for part, block in split]
    return tuple(term for part, kernel in kernels for term in terms_of(part, channels, kernel))


def terms_of(view: View, channels: dict[str, int], kernel: Kernel) -> tuple[FusedTerm, ...]:
    """Terms that compute the convolution of `view` with `kernel`.

    `channels` tells how many channels each tensor has. A whole tensor keeps its groups; any other view is expanded to
    one group, a channel that appears twice gets the sum of its weights.
    """
    groups = kernel.groups
    if view.whole is not None:
        sources = {view.whole: kernel.weight}
    else:
        sources, groups = _scatter(view, channels, _dense(kernel.weight, groups)), 1
    return tuple(
        FusedTerm(
            source=name,
            weight=array,
            stride=kernel.stride,
            padding=kernel.padding,
            dilation=kernel.dilation,
            groups=groups,
            region=kernel.region,
        )
        for name, array in sources.items()
    )


def merge_terms(terms: tuple[FusedTerm, ...]) -> tuple[FusedTerm, ...]:
    """`terms`, all 1 x 1 of stride 1, with those of one source and grouping added up."""
    merged: dict[tuple[str, int], FusedTerm] = {}
    for term in terms:
        key = (term.source, term.groups)
        weight = term.weight + merged[key].weight if key in merged else term.weight
        merged[key] = FusedTerm(source=term.source, weight=weight, groups=term.groups)
    return tuple(merged.values())


def _dense(weight: FloatArray, groups: int) -> FloatArray:
    """The weight of one group ``(M, C, KH, KW)`` that means the same."""
    if groups == 1:
        return weight
    filters, width, *kernel = weight.shape
    dense = np.zeros((filters, width * groups, *kernel))
    share = filters // groups
    for g in range(groups):
        dense[g * share : (g + 1) * share, g * width : (g + 1) * width] = weight[g * share : (g + 1) * share]
    return dense


def _scatter(view: View, channels: dict[str, int], dense: FloatArray) -> dict[str, FloatArray]:
    parts = {name: np.zeros((len(dense), channels[name], *dense.shape[2:])) for name in view.sources}
    for column, (name, channel) in enumerate(view.channels):
        parts[name][:, channel] += dense[:, column]
    return parts

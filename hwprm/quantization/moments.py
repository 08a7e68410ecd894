"""How the columns of each layer's matrix vary together on calibration images: what compensated rounding minimises by.

A layer's error is ``sum over pixels of |(W - Q) x|**2``, x a column of the im2col matrix; its mean part goes into the
bias, so what is left hangs on the covariance of x alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hwprm.core.geometry import conv_output_size
from hwprm.graph import fitting_batch
from hwprm.quantization.calibrate import float_tensors, inside
from hwprm.quantization.lowering.fused import FusedLayer, FusedNetwork
from hwprm.quantization.lowering.views import FusedTerm

__all__ = ["Moments", "input_moments"]

FloatArray = NDArray[np.float64]
Pair = tuple[int, int]

#: Calibration images that are looked at, and columns of a layer's im2col matrix that are taken of all of them together:
#: several times as many as the matrix has rows in every network of the zoo, and seconds of arithmetic for the largest.
IMAGES, COLUMNS = 256, 2**15
#: Images at a time.
BATCH = 32
#: Rows of a matrix (columns of weights) at most: the covariance of so many takes 300 MB.
ROWS = 6144


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Of the real inputs of one term, each of its G groups for itself: mean ``(G, K)``, covariance ``(G, K, K)``."""

    mean: FloatArray
    covariance: FloatArray


def input_moments(net: FusedNetwork, real: Mapping[str, FloatArray]) -> dict[str, tuple[Moments, ...]]:
    """{layer: the moments of each of its terms} on real images ``(n, C, H, W)`` of each input, float64.

    Layers whose weights are exact have none, nor have those of more than `ROWS` columns a group. Same images, same
    numbers on the same machine: pixels are drawn with a fixed seed.
    """
    count = min(IMAGES, len(real[net.inputs[0]]))
    layers = [layer for layer in net.layers if _rounds(layer)]
    places = {layer.name: [_places(net, term, count) for term in layer.terms] for layer in layers}
    sums: dict[str, list[_Sums]] = {layer.name: [_Sums() for _ in layer.terms] for layer in layers}
    largest = max((_values(net, term) for layer in layers for term in layer.terms), default=0)
    step = fitting_batch(BATCH, largest + sum(math.prod(shape) for shape in net.shapes.values()))
    for first in range(0, count, step):
        made = float_tensors(net, {name: array[first : min(first + step, count)] for name, array in real.items()})
        tensors = {name: torch.from_numpy(array) for name, array in made.items()}
        for layer in layers:
            for term, at, mine in zip(layer.terms, places[layer.name], sums[layer.name], strict=True):
                mine.add(_columns(term, tensors[term.source], at))
    return {name: tuple(one.moments() for one in each) for name, each in sums.items()}


def _rounds(layer: FusedLayer) -> bool:
    """Whether weights of `layer` are to be rounded, and few enough."""
    exact = layer.divisors or layer.identity or (layer.residual and layer.residual.gate)
    return not exact and all(math.prod(term.weight.shape[1:]) <= ROWS for term in layer.terms)


def _values(net: FusedNetwork, term: FusedTerm) -> int:
    """Numbers in the im2col matrix of an image."""
    pixels = math.prod(_size(term, net.shapes[term.source][1:]))
    return pixels * math.prod(term.weight.shape[1:]) * term.groups


def _places(net: FusedNetwork, term: FusedTerm, images: int) -> torch.Tensor:
    """Pixels of the convolution's map, of every image the same ones, so that all images have about `COLUMNS`."""
    height, width = _size(term, net.shapes[term.source][1:])
    wanted = max(1, -(-COLUMNS // images))
    pixels = np.arange(height * width)
    if len(pixels) > wanted:
        pixels = np.sort(np.random.default_rng(0).permutation(pixels)[:wanted])
    return torch.from_numpy(pixels)


def _size(term: FusedTerm, size: Pair) -> Pair:
    """Height and width of the convolution's map over a `size` map."""
    top, bottom, left, right = term.padding
    kernel = term.weight.shape[2:]
    return (
        conv_output_size(size[0] + top + bottom, kernel[0], term.stride[0], term.dilation[0]),
        conv_output_size(size[1] + left + right, kernel[1], term.stride[1], term.dilation[1]),
    )


def _columns(term: FusedTerm, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Im2col columns ``(G, K, n * pixels)`` of `term` over its source's maps ``(n, C, H, W)`` at these pixels."""
    top, bottom, left, right = term.padding
    kernel = term.weight.shape[2:]
    padded = functional.pad(x, (left, right, top, bottom))
    size = _size(term, (x.shape[2], x.shape[3]))
    columns = functional.unfold(padded, kernel, dilation=term.dilation, stride=term.stride)
    if term.region:
        within = inside(term.region, torch.ones((1, 1, *size), dtype=x.dtype)).reshape(1, 1, -1)
        columns = columns * within
    columns = columns[:, :, places]
    count, rows, pixels = columns.shape
    return columns.permute(1, 0, 2).reshape(term.groups, rows // term.groups, count * pixels)


class _Sums:
    """Sums over columns, and over their products two by two."""

    def __init__(self) -> None:
        self._count = 0
        self._first: torch.Tensor | float = 0.0
        self._second: torch.Tensor | float = 0.0

    def add(self, columns: torch.Tensor) -> None:
        """Take in columns ``(G, K, n)``."""
        self._count += columns.shape[2]
        self._first = self._first + columns.sum(dim=2)
        self._second = self._second + columns @ columns.transpose(1, 2)

    def moments(self) -> Moments:
        """Of all that were taken in."""
        mean = np.asarray(self._first) / self._count
        second = np.asarray(self._second) / self._count
        return Moments(mean=mean, covariance=second - mean[:, :, None] * mean[:, None, :])

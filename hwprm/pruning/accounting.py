"""Counting compression in three ways, always all three.

- *conv_only*: weights of the convolutions. What the P-RM paper counts; LeNet-5 starts from 25,500.
- *all_weights*: convolutions and linear layers; LeNet-5 starts from 430,500.
- *stored_bits*: what a memory holds, see `account`.

A layer's weights left are those of the rectangle *rows with a weight x columns with a weight* of its GEMM matrix, zeros
inside it included, as in the papers: that is the matrix that is stored and multiplied. Biases and batch norm count in
neither of the first two.

Beside the rectangles stand the weights that are not zero: unstructured pruning leaves few of them in a rectangle that
is nearly whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ConfigError, ModelError
from hwprm.graph import Conv2d, Graph, Linear
from hwprm.graph.liveness import filled_lines

__all__ = ["Accounting", "Count", "LayerCount", "account", "against"]

#: Keys of a row of the waterfall that are counts.
COUNTS = ("conv_only", "all_weights", "stored_bits", "nonzero")
#: Bits of a weight and of a bias of the dense network: 32-bit floats.
DENSE_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Count:
    """`base` before and `left` after."""

    base: int
    left: int

    @property
    def ratio(self) -> float:
        """base / left; 1 where there is nothing to count, infinity where nothing is left."""
        if self.left == 0:
            return math.inf if self.base else 1.0
        return self.base / self.left

    def to_json(self) -> dict[str, float]:
        """``{"base": ..., "left": ..., "ratio": ...}``."""
        return {"base": self.base, "left": self.left, "ratio": self.ratio}


@dataclass(frozen=True, kw_only=True)
class LayerCount:
    """One layer's matrix: `rows` x `cols` left of `base_rows` x `base_cols`; bits stored for it."""

    name: str
    conv: bool
    base_rows: int
    base_cols: int
    rows: int
    cols: int
    base_bits: int
    weight_bits: int
    list_bits: int
    bias_bits: int
    #: Weights that are not zero, at most those of the rectangle.
    nonzero: int

    @property
    def base(self) -> int:
        """Weights of the dense matrix."""
        return self.base_rows * self.base_cols

    @property
    def left(self) -> int:
        """Weights of the rectangle that is left."""
        return self.rows * self.cols

    @property
    def bits(self) -> int:
        """Everything stored for the layer."""
        return self.weight_bits + self.list_bits + self.bias_bits


@dataclass(frozen=True, kw_only=True)
class Accounting:
    """The three counts, and the layers they are sums of."""

    conv_only: Count
    all_weights: Count
    stored_bits: Count
    layers: tuple[LayerCount, ...]

    @property
    def nonzero(self) -> Count:
        """Weights of all layers that are not zero, against all of the dense network."""
        return _total(self.layers, "base", "nonzero")

    def dense(self) -> Accounting:
        """The same network before anything was removed."""
        counts = {
            key: Count(base=getattr(self, key).base, left=getattr(self, key).base)
            for key in ("conv_only", "all_weights", "stored_bits")
        }
        layers = tuple(
            replace(
                layer,
                rows=layer.base_rows,
                cols=layer.base_cols,
                weight_bits=layer.base * DENSE_BITS,
                list_bits=0,
                bias_bits=layer.base_rows * DENSE_BITS,
                nonzero=layer.base,
            )
            for layer in self.layers
        )
        return Accounting(**counts, layers=layers)

    def row(self, stage: str) -> dict[str, Any]:
        """A row of the waterfall, plain JSON.

        ``stage``, the three counts, ``layers`` {name: [rows, cols]} and ``nonzero``, a count like the others with its
        own ``layers`` {name: weights that are not zero}.
        """
        counts = {key: getattr(self, key).to_json() for key in ("conv_only", "all_weights", "stored_bits")}
        nonzero = self.nonzero.to_json() | {"layers": {layer.name: layer.nonzero for layer in self.layers}}
        rectangles = {layer.name: [layer.rows, layer.cols] for layer in self.layers}
        return {"stage": stage, **counts, "nonzero": nonzero, "layers": rectangles}

    def to_json(self) -> dict[str, Any]:
        """The three counts and every layer's, plain JSON."""
        counts = {key: getattr(self, key).to_json() for key in ("conv_only", "all_weights", "stored_bits")}
        return {**counts, "layers": [asdict(layer) for layer in self.layers]}


def account(
    graph: Graph,
    original: Graph,
    *,
    weight_bits: int = 32,
    bias_bits: int = 32,
    layer_bits: Mapping[str, int] | None = None,
) -> Accounting:
    """Count what is left in `graph`, masked or compact, of the network `original`; layers go by name.

    Stored bits of a layer are the sum of

    - its rectangle (rows with a weight x columns with a weight), `weight_bits` each or those that `layer_bits` has
      for it, zeros inside included;
    - its column list, one index of ``ceil(log2(columns of the original matrix))`` bits per column; none where all
      columns are left, since their order says it;
    - `bias_bits` for each filter with a weight or a bias.

    The base is the dense network in 32-bit floats, biases included, without lists. Batch norm is on neither side:
    it is folded into weights and biases before they are stored.
    Raises ModelError when `graph` has a layer that `original` has not, ConfigError for bits outside 1..64.
    """
    own = layer_bits or {}
    for key, bits in (("weight_bits", weight_bits), ("bias_bits", bias_bits), *own.items()):
        if not 1 <= bits <= 64:
            raise ConfigError(f"account: {key} must be in 1..64, not {bits!r}")
    left = {layer.name: layer for layer in graph.weighted}
    known = {layer.name for layer in original.weighted}
    if unknown := sorted(left.keys() - known):
        raise ModelError(f"layer {unknown[0]!r} is not in the original network; compare a network with its own origin")
    layers = tuple(
        _count(layer, left.get(layer.name), own.get(layer.name, weight_bits), bias_bits) for layer in original.weighted
    )
    return Accounting(
        conv_only=_total([layer for layer in layers if layer.conv], "base", "left"),
        all_weights=_total(layers, "base", "left"),
        stored_bits=_total(layers, "base_bits", "bits"),
        layers=layers,
    )


def against(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`row` with the bases of the first of `rows`, those of the waterfall so far; as it is where there are none.

    A network that `hwprm widths` cut has smaller shapes than the one that its waterfall begins with.
    """
    changed = dict(row)
    for key in COUNTS:
        if rows and key in rows[0]:
            changed[key] = row[key] | Count(base=rows[0][key]["base"], left=row[key]["left"]).to_json()
    return changed


def _count(original: Conv2d | Linear, left: Conv2d | Linear | None, weight_bits: int, bias_bits: int) -> LayerCount:
    base_rows = len(original.bias)
    base_cols = original.weight.size // base_rows
    rows = cols = biases = nonzero = 0
    if left is not None:
        with_weight, columns = filled_lines(left.weight)
        rows, cols = int(with_weight.sum()), int(columns.sum())
        biases = int((with_weight | (left.bias != 0)).sum())
        nonzero = int(np.count_nonzero(left.weight))
    index_bits = (base_cols - 1).bit_length() if cols < base_cols else 0
    return LayerCount(
        name=original.name,
        conv=isinstance(original, Conv2d),
        base_rows=base_rows,
        base_cols=base_cols,
        rows=rows,
        cols=cols,
        base_bits=(base_rows * base_cols + base_rows) * DENSE_BITS,
        weight_bits=rows * cols * weight_bits,
        list_bits=cols * index_bits,
        bias_bits=biases * bias_bits,
        nonzero=nonzero,
    )


def _total(layers: tuple[LayerCount, ...] | list[LayerCount], base: str, left: str) -> Count:
    return Count(base=sum(getattr(x, base) for x in layers), left=sum(getattr(x, left) for x in layers))

"""The fused layer that begins at a node of the float graph, before it takes in what follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import UnsupportedError
from hwprm.graph import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Conv2d,
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Upsample,
)
from hwprm.intnet import Pool
from hwprm.quantization.lowering.averages import average_layer
from hwprm.quantization.lowering.fold import scale_and_shift
from hwprm.quantization.lowering.fused import FusedLayer
from hwprm.quantization.lowering.views import View, linear_terms, merge_terms, terms_of

__all__ = ["as_pool", "identity_layer", "start_layer"]

FloatArray = NDArray[np.float64]
#: Channels of every tensor.
Counts = dict[str, int]


def start_layer(node: Node, reads: list[View], counts: Counts) -> FusedLayer:
    """The layer of `node`, which reads views of tensors with `counts` channels.

    Raises UnsupportedError for a sum of differently flattened maps, an average of nothing but padding, a batch norm
    behind a flatten, or joined flattened maps in front of anything but a linear layer.
    """
    view = reads[0]
    if any(read.flattened for read in reads) and not isinstance(node, Linear):
        raise UnsupportedError(
            f"{node.name!r} reads flattened maps that are joined, which only a linear layer can; "
            "let it read them before they are flattened"
        )
    if isinstance(node, Conv2d):
        terms = terms_of(
            view,
            counts,
            np.asarray(node.weight, np.float64),
            stride=node.stride,
            padding=node.padding,
            dilation=node.dilation,
            groups=node.groups,
        )
        return FusedLayer(name=node.name, terms=terms, bias=np.asarray(node.bias, np.float64))
    if isinstance(node, Linear):
        terms = linear_terms(view, counts, np.asarray(node.weight, np.float64))
        return FusedLayer(name=node.name, terms=terms, bias=np.asarray(node.bias, np.float64))
    if isinstance(node, BatchNorm):
        return _norm(node, view, counts)
    if isinstance(node, Add):
        return _sum(node, reads, counts)
    if isinstance(node, AvgPool2d | AdaptiveAvgPool2d):
        return average_layer(node, view, counts)
    pool = as_pool(node) if isinstance(node, MaxPool2d) else None
    layer = identity_layer(node.name, view, counts, pool)
    if isinstance(node, Upsample):
        return replace(layer, upsample=node.factors)
    if isinstance(node, Relu):
        return layer.clamped(0.0, None)
    return layer.clamped(node.low, node.high) if isinstance(node, Clamp) else layer


def identity_layer(name: str, view: View, counts: Counts, pool: Pool | None = None) -> FusedLayer:
    """A layer that copies `view`; exact, at the same scale, when the view is of one tensor."""
    channels = len(view.channels)
    terms = terms_of(view, counts, np.ones((channels, 1, 1, 1)), groups=channels)
    single = len(terms) == 1
    divisors = (1,) if single else ()
    return FusedLayer(name=name, terms=terms, bias=np.zeros(channels), pool=pool, divisors=divisors, identity=single)


def as_pool(node: MaxPool2d) -> Pool:
    """The pooling of a fused layer that `node` means."""
    return Pool(
        kernel=node.kernel,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        ceil_mode=node.ceil_mode,
    )


def _norm(node: BatchNorm, view: View, counts: Counts) -> FusedLayer:
    channels = len(view.channels)
    if len(node.weight) != channels:
        raise UnsupportedError(
            f"batch norm {node.name!r} follows a flatten and has {len(node.weight)} entries for {channels} "
            "channels, so no layer can take it in; put it before the flatten or directly before a linear layer"
        )
    scale, shift = scale_and_shift(node)
    terms = terms_of(view, counts, scale.reshape(channels, 1, 1, 1), groups=channels)
    return FusedLayer(name=node.name, terms=terms, bias=shift)


def _sum(node: Add, reads: list[View], counts: Counts) -> FusedLayer:
    if len({view.shape for view in reads}) != 1:
        shapes = ", ".join(str(view.shape) for view in reads)
        raise UnsupportedError(f"{node.name!r} adds maps {shapes} after flattening; add maps of one shape")
    channels = len(reads[0].channels)
    ones = np.ones((channels, 1, 1, 1))
    parts = tuple(term for view in reads for term in terms_of(view, counts, ones, groups=channels))
    return FusedLayer(name=node.name, terms=merge_terms(parts), bias=np.zeros(channels))

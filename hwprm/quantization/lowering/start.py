"""The fused layer that begins at a node of the float graph, before it takes in what follows."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import UnsupportedError
from hwprm.graph.rules.stages import (
    Affine,
    Blended,
    Clamped,
    Convolution,
    Copied,
    Kernel,
    Largest,
    Matrix,
    Mean,
    Product,
    Repeated,
    Stage,
    Sum,
    Tabulated,
)
from hwprm.intnet import Pool
from hwprm.quantization.lowering.averages import average_layer
from hwprm.quantization.lowering.fused import FusedGate, FusedLayer, FusedResidual
from hwprm.quantization.lowering.views import FusedTerm, View, linear_terms, merge_terms, terms_of

__all__ = ["as_pool", "identity_layer", "start_layer"]

FloatArray = NDArray[np.float64]
#: Channels of every tensor.
Counts = dict[str, int]


def start_layer(name: str, stage: Stage, reads: list[View], counts: Counts) -> FusedLayer:
    """The layer `name` of `stage`, which reads views of tensors with `counts` channels.

    Raises UnsupportedError for a sum of differently flattened maps, an average of nothing but padding, a batch norm
    behind a flatten, or joined flattened maps in front of anything but a linear layer.
    """
    if any(read.flattened for read in reads) and not isinstance(stage, Matrix):
        raise UnsupportedError(
            f"{name!r} reads flattened maps that are joined, which only a linear layer can; "
            "let it read them before they are flattened"
        )
    return _start(stage, name, reads, counts)


def identity_layer(name: str, view: View, counts: Counts, pool: Pool | None = None) -> FusedLayer:
    """A layer that copies `view`; exact, at the same scale, when the view is of one tensor."""
    channels = len(view.channels)
    layer = _copying(name, (Kernel(weight=np.ones((channels, 1, 1, 1)), groups=channels),), view, counts)
    return replace(layer, pool=pool)


def _copying(name: str, kernels: tuple[Kernel, ...], view: View, counts: Counts) -> FusedLayer:
    """A layer each of whose results is one sample of `view`."""
    terms = tuple(term for kernel in kernels for term in terms_of(view, counts, kernel))
    single = len(view.sources) == 1
    bias = np.zeros(len(kernels[0].weight))
    return FusedLayer(name=name, terms=terms, bias=bias, divisors=(1,) if single else (), identity=single)


def as_pool(stage: Largest) -> Pool:
    """The pooling of a fused layer that `stage` means."""
    return Pool(
        kernel=stage.kernel,
        stride=stage.stride,
        padding=stage.padding,
        dilation=stage.dilation,
        ceil_mode=stage.ceil_mode,
    )


@singledispatch
def _start(stage: Stage, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    raise UnsupportedError(f"{name!r}: no layer begins with {type(stage).__name__}; use another operator")


@_start.register
def _(stage: Convolution, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return FusedLayer(name=name, terms=terms_of(reads[0], counts, stage.kernel), bias=stage.bias)


@_start.register
def _(stage: Matrix, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return FusedLayer(name=name, terms=linear_terms(reads[0], counts, stage.weight), bias=stage.bias)


@_start.register
def _(stage: Copied, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return _copying(name, stage.kernels, reads[0], counts)


@_start.register
def _(stage: Blended, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    terms = tuple(term for kernel in stage.kernels for term in terms_of(reads[0], counts, kernel))
    held = np.unique(np.concatenate([kernel.weight[kernel.weight != 0] for kernel in stage.kernels]))
    divisors = np.rint(1 / held)
    exact = len(reads[0].sources) == 1 and np.allclose(1 / divisors, held, rtol=1e-12, atol=0)
    return FusedLayer(
        name=name,
        terms=terms,
        bias=np.zeros(len(stage.kernels[0].weight)),
        divisors=tuple(sorted(int(divisor) for divisor in divisors)) if exact else (),
    )


@_start.register
def _(stage: Affine, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    channels = len(reads[0].channels)
    if len(stage.scale) != channels:
        raise UnsupportedError(
            f"batch norm {name!r} follows a flatten and has {len(stage.scale)} entries for {channels} "
            "channels, so no layer can take it in; put it before the flatten or directly before a linear layer"
        )
    kernel = Kernel(weight=stage.scale.reshape(channels, 1, 1, 1), groups=channels)
    return FusedLayer(name=name, terms=terms_of(reads[0], counts, kernel), bias=stage.shift)


@_start.register
def _(stage: Sum, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    if len({view.shape for view in reads}) != 1:
        shapes = ", ".join(str(view.shape) for view in reads)
        raise UnsupportedError(f"{name!r} adds maps {shapes} after flattening; add maps of one shape")
    channels = len(reads[0].channels)
    kernel = Kernel(weight=np.ones((channels, 1, 1, 1)), groups=channels)
    parts = tuple(term for view in reads for term in terms_of(view, counts, kernel))
    return FusedLayer(name=name, terms=merge_terms(parts), bias=np.zeros(channels))


@_start.register
def _(stage: Product, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    full, gate = sorted(reads, key=lambda read: read.size, reverse=True)
    if len(full.channels) != len(gate.channels) or gate.size not in (full.size, (1, 1)):
        raise UnsupportedError(
            f"{name!r} multiplies maps {full.shape} and {gate.shape} after flattening; multiply maps of one shape"
        )
    (source,), (by,) = full.sources, gate.sources
    residual = FusedResidual(
        sum=name,
        source=source,
        channels=tuple(channel for _, channel in full.channels),
        gate=FusedGate(
            source=by, channels=tuple(channel for _, channel in gate.channels), spread=gate.size != full.size
        ),
    )
    # A square is never negative, which its factors do not tell.
    low = 0.0 if full.size == gate.size and full.channels == gate.channels else None
    return FusedLayer(
        name=name, terms=(_silent(full, counts),), bias=np.zeros(len(full.channels)), residual=residual, low=low
    )


def _silent(view: View, counts: Counts) -> FusedTerm:
    """A term without weights, for a layer has one: of the tensor that `view` is a choice of."""
    (source,) = view.sources
    groups = counts[source] if view.whole else 1
    return FusedTerm(
        source=source, weight=np.zeros((len(view.channels), counts[source] // groups, 1, 1)), groups=groups
    )


@_start.register
def _(stage: Mean, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return average_layer(name, stage, reads[0], counts)


@_start.register
def _(stage: Largest, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return identity_layer(name, reads[0], counts, as_pool(stage))


@_start.register
def _(stage: Repeated, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return replace(identity_layer(name, reads[0], counts), upsample=stage.factors)


@_start.register
def _(stage: Clamped, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return identity_layer(name, reads[0], counts).clamped(stage.low, stage.high)


@_start.register
def _(stage: Tabulated, name: str, reads: list[View], counts: Counts) -> FusedLayer:
    return identity_layer(name, reads[0], counts).tabulated(stage.function)

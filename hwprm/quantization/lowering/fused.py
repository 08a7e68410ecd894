"""What lowering makes: fused layers in float64, one per layer of the integer network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.graph.rules.functions import Function
from hwprm.intnet import Pool
from hwprm.quantization.lowering.views import FusedTerm

__all__ = ["FusedGate", "FusedLayer", "FusedNetwork", "FusedResidual", "Map"]

FloatArray = NDArray[np.float64]
Map = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class FusedGate:
    """What a residual is multiplied with: channel ``channels[m]`` of tensor `source`; with `spread` its one pixel."""

    source: str
    channels: tuple[int, ...]
    spread: bool


@dataclass(frozen=True, kw_only=True)
class FusedResidual:
    """What node `sum`, or a product with a `gate`, adds to a layer: channel ``channels[m]`` of tensor `source` to
    filter m.
    """

    sum: str
    source: str
    channels: tuple[int, ...]
    gate: FusedGate | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedLayer:
    """A sum of convolutions, max pooling or a residual, which may have a gate, clamp, functions from a table one after
    the other, upsampling. bias ``(M,)``; None: no end of the clamp.
    """

    name: str
    terms: tuple[FusedTerm, ...]
    bias: FloatArray
    pool: Pool | None = None
    residual: FusedResidual | None = None
    low: float | None = None
    high: float | None = None
    functions: tuple[Function, ...] = ()
    upsample: tuple[int, int] = (1, 1)
    #: Where every weight is 0 or one over one of these integers (an average's divisors): these, largest last. Empty
    #: where the weights' step is found from their values.
    divisors: tuple[int, ...] = ()
    #: Whether the layer only passes values of one tensor on, so that its scale stays.
    identity: bool = False

    @property
    def relu(self) -> bool:
        """Whether the clamp is a ReLU."""
        return self.low == 0 and self.high is None

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors it reads, each once."""
        gate = (self.residual.gate.source,) if self.residual and self.residual.gate else ()
        return tuple(dict.fromkeys((*self._maps(), *gate)))

    @property
    def rasters(self) -> tuple[str, ...]:
        """Those that it reads pixel by pixel, each once."""
        gate = self.residual.gate if self.residual else None
        return tuple(dict.fromkeys((*self._maps(), *((gate.source,) if gate and not gate.spread else ()))))

    def _maps(self) -> tuple[str, ...]:
        return (*(term.source for term in self.terms), *((self.residual.source,) if self.residual else ()))

    def clamped(self, low: float | None, high: float | None) -> FusedLayer:
        """This layer with a further clamp to `low` .. `high` behind its own, and behind its functions."""
        if self.functions:
            ends = -math.inf if low is None else low, math.inf if high is None else high
            return self.tabulated(Function("clamp", ends))

        def inner(value: float | None, open_end: float | None) -> float | None:
            if value is None:
                return open_end
            value = value if low is None else max(value, low)
            return value if high is None else min(value, high)

        return replace(self, low=inner(self.low, low), high=inner(self.high, high))

    def tabulated(self, function: Function) -> FusedLayer:
        """This layer with `function` behind it, which it takes into its table."""
        return replace(self, functions=(*self.functions, function))


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedNetwork:
    """Fused layers in order; `shapes` of every tensor as ``(C, H, W)``; `outputs` leave the network, each once.

    `returned` names the tensor of each output of the float network, in its order; two may share one.

    `tensor_of` names the tensor that holds each node's result once its layer is done (folded batch norms have none,
    nor have concatenations and channel choices, which stay views).
    """

    inputs: tuple[str, ...]
    layers: tuple[FusedLayer, ...]
    outputs: tuple[str, ...]
    returned: tuple[str, ...]
    shapes: dict[str, Map]
    tensor_of: dict[str, str]

"""The layer of an integer network for training: its integers forwards, the gradient of the real numbers backwards.

Everything that flows is integers in floating point. What a layer computes forwards is `hwprm.intnet`'s sentence:

- sums of products: float32 where no sum can leave +-2**24, whatever the order, so that every partial sum is an integer
  that float32 holds; else float64, which holds those of the widest accumulator. That takes kernels which only multiply
  and add: on a GPU, whose kernels may transform their operands first, sums are float64 always;
- requantisation: in 64-bit integers, as the accelerator does it.

Backwards rounding is passed straight (Bengio et al., arXiv 1308.3432): a result's gradient is that of ``sum * factor``,
none where the clamp cut it off; a weight's that of ``weight / step``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwprm.core.numerics import MULT_BITS
from hwprm.intnet import GemmLayer
from hwprm.quantization.calibrate import enlarge, inside, pool
from hwprm.quantization.lowering.fused import FusedLayer

__all__ = ["EXACT", "Facts", "instead", "run_layer"]

#: Integers up to here have all their neighbours in float32.
EXACT = 1 << 24
assert MULT_BITS <= 16, "a product of a sum and a multiplier must fit 63 bits"


class _Instead(torch.autograd.Function):
    """`exact` forwards; the gradient goes to `real`, as if that had been the result."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, exact: Tensor) -> Tensor:
        ctx.dtype = real.dtype
        return exact.view_as(exact)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].to(ctx.dtype), None


def instead(real: Tensor, exact: Tensor) -> Tensor:
    """`exact`, whose gradient is taken for that of `real`, of the same shape."""
    found: Tensor = _Instead.apply(real, exact)  # type: ignore[no-untyped-call]  # torch's own
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What a layer is trained with beside its integers."""

    #: Integer weights of each term, and integer biases, in floating point.
    weights: Sequence[Tensor]
    bias: Tensor
    #: Step of its integers, of its codes where it has a table, and of what the table gives.
    step: float
    result: float
    #: Real value of an accumulator step by that of a code, of each filter.
    factor: Tensor
    #: Type in which sums are exact: those of products, and with the residual.
    sums: torch.dtype
    total: torch.dtype
    #: 1, with the gradient of the logarithm of its range, where that is learned.
    swing: Tensor | None = None


def run_layer(layer: GemmLayer, fused: FusedLayer, facts: Facts, tensors: Mapping[str, Tensor]) -> Tensor:
    """The integers that `layer`, which was made of `fused`, makes of the integer `tensors` that it reads.

    Float32, a network's outputs float64.
    """
    total = facts.bias.to(facts.sums)[None, :, None, None]
    for term, weight in zip(layer.terms, facts.weights, strict=True):
        top, bottom, left, right = term.padding
        sums = functional.conv2d(
            functional.pad(tensors[term.source].to(facts.sums), (left, right, top, bottom)),
            weight.to(facts.sums),
            stride=term.stride,
            dilation=term.dilation,
            groups=term.groups,
        )
        total = total + inside(term.region, sums)
    if layer.pool:
        total = pool(layer.pool, total)
    if layer.residual:
        total = total.to(facts.total) + _added(layer, tensors).to(facts.total)
    return _finished(layer, fused, facts, enlarge(layer.upsample, total))


def _added(layer: GemmLayer, tensors: Mapping[str, Tensor]) -> Tensor:
    residual = layer.residual
    assert residual is not None
    device = tensors[residual.source].device
    chosen = tensors[residual.source][:, torch.from_numpy(residual.channel).to(device)].double()
    if residual.gate:
        gate = tensors[residual.gate.source][:, torch.from_numpy(residual.gate.channel).to(device)]
        chosen = chosen * gate.double()
    return chosen * torch.from_numpy(residual.mult).to(device, torch.float64)[:, None, None]


def _finished(layer: GemmLayer, fused: FusedLayer, facts: Facts, total: Tensor) -> Tensor:
    """Requantisation, clamp and table."""
    low, high = layer.clamp
    mult, shift = (torch.from_numpy(v).to(total.device)[:, None, None] for v in (layer.mult, layer.shift))
    with torch.no_grad():
        half = torch.ones_like(shift) << (shift - 1)
        codes = ((total.to(torch.int64) * mult + half) >> shift).clamp(low, high)
    real = total * facts.factor.to(total.dtype)[:, None, None]
    kept, top = torch.float64 if layer.wide else torch.float32, high + 0.5  # what is only rounded to it is not cut off
    if layer.table is None:
        if facts.swing is None:
            return instead(real.clamp(low, top), codes.to(kept))
        return instead((real / facts.swing).clamp(low, top) * facts.swing, codes.to(kept))
    y = real.clamp(low, top) * facts.step
    for function in fused.functions:
        y = function.compute(torch, y)
    table = torch.from_numpy(layer.table).to(total.device)
    return instead(y / facts.result, table[codes.remainder(len(table))].to(kept))

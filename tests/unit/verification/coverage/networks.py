"""Networks of one or two layers whose goals can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term

__all__ = ["layer", "one_layer"]

#: Multiplier and shift of a factor of one half.
HALF = (1 << 15, 16)


def layer(
    weight: Sequence[Sequence[Sequence[Sequence[int]]]] | np.ndarray,
    *,
    name: str = "squash",
    factor: tuple[int, int] = HALF,
    clamp: tuple[int, int] = (0, 127),
    pool: Pool | None = None,
    residual: Residual | None = None,
    table: np.ndarray | None = None,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> GemmLayer:
    """A layer over the tensor ``image``, without biases."""
    array = np.array(weight, np.int64)
    filters = len(array)
    return GemmLayer(
        name=name,
        terms=(Term(source="image", weight=array, padding=padding),),
        bias=np.zeros(filters, np.int64),
        mult=np.full(filters, factor[0]),
        shift=np.full(filters, factor[1]),
        clamp=clamp,
        pool=pool,
        residual=residual,
        table=table,
    )


def one_layer(first: GemmLayer, shape: tuple[int, int, int] = (1, 2, 2), *, signed: bool = True) -> IntegerNetwork:
    """`first` over an input of `shape`, and an output that sums its first filter's first pixel up."""
    bits = 8
    image = Tensor(name="image", shape=shape, bits=bits, scale=1.0, signed=signed)
    size = first.terms[0].output_size(shape[1:])
    size = first.pool.output_size(size) if first.pool else size
    made = Tensor(name=first.name, shape=(len(first.bias), *size), bits=bits, scale=1.0)
    weight = np.ones((1, len(first.bias), *size), np.int64)
    out = GemmLayer(
        name="out",
        terms=(Term(source=first.name, weight=weight),),
        bias=np.zeros(1, np.int64),
        mult=np.array([1 << 15]),
        shift=np.array([15]),
        clamp=(-(1 << 31), (1 << 31) - 1),
        wide=True,
    )
    return IntegerNetwork(
        name="tiny",
        tensors=(image, made, Tensor(name="out", shape=(1, 1, 1), bits=32, scale=1.0)),
        layers=(first, out),
        inputs=("image",),
        outputs=("out",),
        weight_bits=8,
        act_bits=bits,
    )

"""A small network with tables: two different ones, one of them of two layers, and layers without."""

from __future__ import annotations

import numpy as np

from hwprm.core.numerics import choose_multiplier, signed_range
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Tensor, Term

__all__ = ["tabled_network"]

IntArray = np.ndarray


def tabled_network(*, act_bits: int = 5, seed: int = 0) -> IntegerNetwork:
    """Convolution with a table, one with another and a pool, one without any, one with the first; linear output."""
    rng = np.random.default_rng(seed)
    falling = np.roll(np.arange(1 << act_bits)[::-1], 3)  # 0 .. 2**act_bits - 1, unsigned
    bent = rng.integers(*signed_range(act_bits), 1 << act_bits)
    shapes = {"x": (2, 5, 5), "a": (3, 5, 5), "b": (2, 2, 2), "c": (4, 2, 2), "d": (3, 2, 2)}
    tables = {"a": falling, "b": bent, "c": None, "d": falling}
    tensors = [
        Tensor(name=name, shape=shape, bits=act_bits, scale=1.0, signed=name not in ("a", "d"))
        for name, shape in shapes.items()
    ]
    layers = []
    for source, tensor in zip(tensors, tensors[1:], strict=False):
        weight = rng.integers(-7, 8, (tensor.shape[0], source.shape[0], 3, 3))
        pool = Pool(kernel=(2, 2), stride=(2, 2)) if tensor.name == "b" else None
        term = Term(source=source.name, weight=weight, padding=(1, 1, 1, 1))
        layers.append(_layer(tensor.name, term, signed_range(act_bits), pool, tables[tensor.name]))
    head = Term(source="d", weight=rng.integers(-7, 8, (3, 3, 2, 2)))
    layers.append(_layer("last", head, signed_range(32), None, None))
    tensors.append(Tensor(name="last", shape=(3, 1, 1), bits=32, scale=1.0))
    return IntegerNetwork(
        name="tabled",
        tensors=tuple(tensors),
        layers=tuple(layers),
        inputs=("x",),
        outputs=("last",),
        weight_bits=4,
        act_bits=act_bits,
    )


def _layer(name: str, term: Term, clamp: tuple[int, int], pool: Pool | None, table: IntArray | None) -> GemmLayer:
    filters = len(term.weight)
    mult, shift = choose_multiplier(0.05 if name != "last" else 1.0)
    return GemmLayer(
        name=name,
        terms=(term,),
        bias=np.arange(filters) * 9 - 5,
        mult=np.full(filters, mult),
        shift=np.full(filters, shift),
        clamp=clamp,
        pool=pool,
        wide=name == "last",
        table=table,
    )

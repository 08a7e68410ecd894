"""Integer networks made to order: layers by name, tensors and plausible requantisation worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwprm.compiler import Program, compile_network
from hwprm.config import ArrayConfig
from hwprm.core.numerics import accumulator_bounds, choose_multiplier, signed_range
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term

__all__ = [
    "SEVERAL_INPUTS",
    "Spec",
    "compiled",
    "lenet",
    "network",
    "seeded_weights",
    "small_lenet",
    "weights",
]

Map = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A layer before its requantisation is known; `factor` scales the accumulator's bound to the clamp's end."""

    name: str
    terms: tuple[Term, ...]
    pool: Pool | None = None
    residual: Residual | None = None
    wide: bool = False
    relu: bool = True
    #: Whether its tensor is unsigned; None for behind a ReLU.
    unsigned: bool | None = None

    @property
    def signed(self) -> bool:
        """Whether its tensor is signed."""
        return self.wide or not (self.relu if self.unsigned is None else self.unsigned)


def weights(rng: np.random.Generator, shape: Sequence[int], *, bits: int = 8, pruned: float = 0.0) -> np.ndarray:
    """Weights ``(M, C, KH, KW)`` of which the share `pruned` of the columns is zero in every filter."""
    low, high = signed_range(bits)
    weight = rng.integers(low + 1, high + 1, tuple(shape))
    columns = int(np.prod(shape[1:]))
    gone = rng.permutation(columns)[: int(columns * pruned)]
    weight.reshape(shape[0], columns)[:, gone] = 0
    return weight


def seeded_weights(*shape: int, bits: int = 8) -> np.ndarray:
    """Weights that depend on their shape alone."""
    return weights(np.random.default_rng(sum(shape)), shape, bits=bits)


def compiled(net: IntegerNetwork, rows: int, cols: int, **options: int) -> Program:
    """`net` for a `rows` x `cols` array."""
    return compile_network(net, ArrayConfig(rows=rows, cols=cols, **options))


def network(
    shape: Map | Mapping[str, Map],
    layers: Sequence[Spec],
    *,
    seed: int = 0,
    weight_bits: int = 8,
    act_bits: int = 8,
    unsigned: Sequence[str] = (),
) -> IntegerNetwork:
    """A network over the input ``image`` of `shape`, or over inputs by name; bias and requantisation from `seed`.

    Inputs are signed but for those named in `unsigned`.
    """
    rng = np.random.default_rng(seed)
    shapes = shape if isinstance(shape, Mapping) else {"image": shape}
    tensors = {
        name: Tensor(name=name, shape=size, bits=act_bits, scale=1.0, signed=name not in unsigned)
        for name, size in shapes.items()
    }
    made = []
    for spec in layers:
        first = spec.terms[0]
        size = first.output_size(tensors[first.source].shape[1:])
        size = spec.pool.output_size(size) if spec.pool else size
        filters = first.weight.shape[0]
        tensors[spec.name] = Tensor(
            name=spec.name, shape=(filters, *size), bits=32 if spec.wide else act_bits, scale=1.0, signed=spec.signed
        )
        made.append(_layer(rng, spec, filters, act_bits))
    return IntegerNetwork(
        name="made",
        tensors=tuple(tensors.values()),
        layers=tuple(made),
        inputs=tuple(shapes),
        outputs=tuple(spec.name for spec in layers if spec.wide),
        weight_bits=weight_bits,
        act_bits=act_bits,
    )


def _layer(rng: np.random.Generator, spec: Spec, filters: int, act_bits: int) -> GemmLayer:
    low, high = signed_range(act_bits + (not spec.signed))
    bias = rng.integers(-200, 201, filters)
    matrix = np.concatenate([term.weight.reshape(filters, -1) for term in spec.terms], axis=1)
    bound = max(1, *(abs(b) for b in accumulator_bounds(matrix, bias, low, high)))
    if spec.residual:
        bound += int(spec.residual.mult.max()) * (low * low if spec.residual.gate else -low)
    target = min(2.0**30, bound) if spec.wide else 4 * high
    pairs = [choose_multiplier(target / bound * rng.uniform(0.5, 1)) for _ in range(filters)]
    return GemmLayer(
        name=spec.name,
        terms=spec.terms,
        bias=bias,
        mult=np.array([mult for mult, _ in pairs]),
        shift=np.array([shift for _, shift in pairs]),
        clamp=signed_range(32) if spec.wide else (low if spec.signed and not spec.relu else 0, high),
        pool=spec.pool,
        residual=spec.residual,
        wide=spec.wide,
    )


def lenet(
    sizes: tuple[int, int, int, int] = (20, 50, 500, 10), *, image: int = 28, kernel: int = 5, pruned: float = 0.0
) -> IntegerNetwork:
    """LeNet-5's geometry with `sizes` filters per layer; the share `pruned` of each layer's columns is zero."""
    rng = np.random.default_rng(7)
    pool = Pool(kernel=(2, 2), stride=(2, 2))
    second = (image - kernel + 1) // 2
    last = (second - kernel + 1) // 2

    def term(source: str, *shape: int) -> tuple[Term, ...]:
        return (Term(source=source, weight=weights(rng, shape, pruned=pruned)),)

    return network(
        (1, image, image),
        (
            Spec(name="conv1", terms=term("image", sizes[0], 1, kernel, kernel), pool=pool),
            Spec(name="conv2", terms=term("conv1", sizes[1], sizes[0], kernel, kernel), pool=pool),
            Spec(name="fc1", terms=term("conv2", sizes[2], sizes[1], last, last)),
            Spec(name="fc2", terms=term("fc1", sizes[3], sizes[2], 1, 1), wide=True),
        ),
    )


def small_lenet() -> IntegerNetwork:
    """Every layer kind of LeNet-5, small enough to simulate in a second."""
    return lenet((3, 5, 7, 4), image=14, kernel=3, pruned=0.4)


def _sum_of_two() -> IntegerNetwork:
    """Convolutions of two maps into one accumulator; the map of both, and a linear layer."""
    layers = (
        Spec(
            name="sum",
            terms=(
                Term(source="a", weight=seeded_weights(3, 2, 3, 3), padding=(1, 1, 1, 1)),
                Term(source="b", weight=seeded_weights(3, 1, 3, 3), padding=(1, 1, 1, 1)),
            ),
            pool=Pool(kernel=(2, 2), stride=(2, 2)),
        ),
        Spec(name="out", terms=(Term(source="sum", weight=seeded_weights(4, 3, 2, 3)),), wide=True),
    )
    return network({"a": (2, 5, 6), "b": (1, 5, 6)}, layers)


def _map_and_vector() -> IntegerNetwork:
    """A map through a convolution and a vector through a linear layer meet in the last one."""
    layers = (
        Spec(name="conv", terms=(Term(source="image", weight=seeded_weights(3, 1, 2, 2)),)),
        Spec(name="fc", terms=(Term(source="facts", weight=seeded_weights(5, 7, 1, 1)),)),
        Spec(
            name="out",
            terms=(
                Term(source="conv", weight=seeded_weights(2, 3, 4, 5)),
                Term(source="fc", weight=seeded_weights(2, 5, 1, 1)),
            ),
            wide=True,
        ),
    )
    return network({"image": (1, 5, 6), "facts": (7, 1, 1)}, layers)


def _two_sizes() -> IntegerNetwork:
    """Maps of different sizes, one read with stride 2, both at a row length of its own; the last layer sums."""
    layers = (
        Spec(name="half", terms=(Term(source="big", weight=seeded_weights(2, 1, 3, 3), stride=(2, 2)),)),
        Spec(name="same", terms=(Term(source="small", weight=seeded_weights(2, 2, 3, 3), padding=(1, 1, 1, 1)),)),
        Spec(
            name="out",
            terms=(
                Term(source="half", weight=seeded_weights(2, 2, 1, 1)),
                Term(source="same", weight=seeded_weights(2, 2, 1, 1)),
            ),
            wide=True,
        ),
    )
    return network({"big": (1, 9, 11), "small": (2, 4, 5)}, layers)


def _one_unread() -> IntegerNetwork:
    """Three inputs, of which nobody reads the middle one."""
    layers = (
        Spec(name="fc", terms=(Term(source="first", weight=seeded_weights(2, 3, 1, 1)),)),
        Spec(
            name="out",
            terms=(
                Term(source="fc", weight=seeded_weights(3, 2, 1, 1)),
                Term(source="last", weight=seeded_weights(3, 2, 3, 2)),
            ),
            wide=True,
        ),
    )
    return network({"first": (3, 1, 1), "unread": (2, 3, 3), "last": (2, 3, 2)}, layers)


#: Networks with two and three inputs.
SEVERAL_INPUTS = {
    "sum": _sum_of_two,
    "map-and-vector": _map_and_vector,
    "two-sizes": _two_sizes,
    "one-unread": _one_unread,
}

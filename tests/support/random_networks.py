"""Random integer networks: every operator the accelerator runs, odd sizes, random pruning, random bit widths.

`random_network` draws chains, `random_residuals` networks whose layers add residuals, `random_products` networks in
which these have gates.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprm.core.numerics import accumulator_bounds, choose_multiplier, integer_range, signed_range
from hwprm.intnet import Gate, GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term

__all__ = ["random_inputs", "random_network", "random_products", "random_residuals"]


class _Builder:
    def __init__(self, rng: np.random.Generator, weight_bits: int, act_bits: int) -> None:
        self.rng, self.weight_bits, self.act_bits = rng, weight_bits, act_bits
        self.signs, self.posts = rng.spawn(2)
        self.tensors: list[Tensor] = []
        self.layers: list[GemmLayer] = []

    def tensor(self, name: str, shape: tuple[int, ...], bits: int, *, signed: bool | None = None) -> Tensor:
        """Another tensor; None draws whether it is signed."""
        channels, height, width = shape
        signed = bool(self.signs.random() < 0.5) if signed is None else signed
        self.tensors.append(Tensor(name=name, shape=(channels, height, width), bits=bits, scale=1.0, signed=signed))
        return self.tensors[-1]

    def weight(self, filters: int, channels: int, kernel: tuple[int, int]) -> np.ndarray:
        low, high = signed_range(self.weight_bits)
        weight = self.rng.integers(low + 1, high + 1, (filters, channels, *kernel))
        style = self.rng.random()
        if style < 0.6:  # structured: whole columns and whole filters
            weight[:, self.rng.random((channels, *kernel)) < self.rng.uniform(0, 0.8)] = 0
            weight[self.rng.random(filters) < 0.15] = 0
        elif style < 0.8:  # unstructured
            weight[self.rng.random(weight.shape) < self.rng.uniform(0, 0.95)] = 0
        return weight

    def layer(
        self,
        terms: tuple[Term, ...],
        pool: Pool | None = None,
        added: Tensor | None = None,
        gate: Tensor | None = None,
        *,
        wide: bool,
    ) -> Tensor:
        rng, name = self.rng, f"layer{len(self.layers)}"
        filters = terms[0].weight.shape[0]
        source = next(t for t in self.tensors if t.name == terms[0].source)
        size = terms[0].output_size(source.shape[1:])
        size = pool.output_size(size) if pool else size
        bias = rng.integers(-300, 300, filters) * (rng.random(filters) < 0.8)
        low, high = signed_range(self.act_bits + 1)  # what an unsigned operand may hold, and more
        matrix = np.concatenate([t.weight.reshape(filters, -1) for t in terms], axis=1)
        bound = max(1, *(abs(b) for b in accumulator_bounds(matrix, bias, low, high)))
        residual = None
        if added is not None:
            residual = self.residual(added, filters, 1 if gate else max(1, bound // high))
            if gate:
                residual = self.gated(residual, gate)
            bound += int(residual.mult.max()) * (low * low if gate else -low)
        factors = [high * rng.uniform(0.2, 6) / bound for _ in range(filters)]
        if wide:
            factors = [min(1.0, 2.0**30 / bound) * rng.uniform(0.1, 1) for _ in range(filters)]
        pairs = [choose_multiplier(factor) for factor in factors]
        kind = 0 if wide else int(rng.integers(3))
        signed = wide or kind == 0 or bool(self.signs.random() < 0.3)
        low, high = integer_range(self.act_bits, signed)
        clamp = signed_range(32) if wide else [(low, high), (0, high), (0, max(1, high // 2))][kind]
        table, signed = (None, signed) if wide else self.table(signed)
        self.layers.append(
            GemmLayer(
                name=name,
                terms=terms,
                bias=bias,
                mult=np.array([mult for mult, _ in pairs]),
                shift=np.array([shift for _, shift in pairs]),
                clamp=clamp,
                pool=pool,
                residual=residual,
                wide=wide,
                table=table,
            )
        )
        return self.tensor(name, (filters, *size), 32 if wide else self.act_bits, signed=signed)

    def table(self, signed: bool) -> tuple[np.ndarray | None, bool]:
        """A table for one layer in five, of integers in any order or rising, or that of a layer before, and whether it
        holds signed integers; without one the layer's results are `signed` or not.
        """
        rng = self.posts
        if rng.random() >= 0.2:
            return None, signed
        signed = bool(rng.random() < 0.5)
        low, high = integer_range(self.act_bits, signed)
        table = rng.integers(low, high + 1, 1 << self.act_bits)
        if rng.random() < 0.5:  # as codes rise, signed ones
            table = np.roll(np.sort(table), len(table) // 2)
        before = [t for layer in self.layers if (t := layer.table) is not None and low <= t.min() and t.max() <= high]
        return (before[0] if before and rng.random() < 0.3 else table), signed

    def residual(self, source: Tensor, filters: int, most: int) -> Residual:
        """Channels of `source` in random order, multipliers of up to `most` or the largest there is, some of them 0."""
        rng = self.rng
        mult = rng.integers(1, min(most if rng.random() < 0.9 else 1 << 20, (1 << 24) - 1) + 1, filters)
        mult[rng.random(filters) < rng.choice([0, 0.3, 0.9])] = 0
        return Residual(source=source.name, channel=rng.integers(0, source.shape[0], filters), mult=mult)

    def gated(self, residual: Residual, gate: Tensor) -> Residual:
        """`residual` times channels of `gate` in random order."""
        channel = self.rng.integers(0, gate.shape[0], len(residual.channel))
        mult = np.minimum(residual.mult, 1)
        return replace(residual, mult=mult, gate=Gate(source=gate.name, channel=channel))

    def product(self, size: tuple[int, int], *, wide: bool = False) -> Tensor:
        """Products of maps of `size` and of such a map or one pixel, at times with a convolution besides."""
        rng, filters = self.rng, int(self.rng.integers(1, 20))
        fits = [t for t in self.tensors if t.shape[1:] == size]
        gates = [t for t in self.tensors if t.shape[1:] in (size, (1, 1))]
        source = fits[rng.integers(len(fits))]
        weight = self.weight(filters, source.shape[0], (1, 1)) * int(rng.random() < 0.3)
        added, gate = fits[rng.integers(len(fits))], gates[-1 if rng.random() < 0.5 else rng.integers(len(gates))]
        return self.layer((Term(source=source.name, weight=weight),), None, added, gate, wide=wide)

    def joined(self, *, wide: bool = False) -> Tensor:
        """A convolution that keeps a map's size, of one tensor or two, with a residual where there is one that fits."""
        rng, last = self.rng, self.tensors[-1]
        fits = [t for t in self.tensors if t.shape[1:] == last.shape[1:]]
        filters, terms = int(rng.integers(1, 20)), []
        for source in (fits[i] for i in set(rng.integers(0, len(fits), 2).tolist())):
            size, dilation = int(rng.choice([1, 1, 3])), int(rng.integers(1, 3))
            pad = (size // 2 * dilation,) * 4
            weight = self.weight(filters, source.shape[0], (size, size))
            terms.append(Term(source=source.name, weight=weight, padding=pad, dilation=(dilation, dilation)))
        added = fits[rng.integers(len(fits))] if rng.random() < 0.8 else None
        return self.layer(tuple(terms), None, added, wide=wide)

    def conv(self, source: Tensor, *, wide: bool = False) -> Tensor:
        rng = self.rng
        channels, height, width = source.shape
        for _ in range(100):
            groups = (
                int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0])) if rng.random() < 0.3 else 1
            )
            kernel = (int(rng.integers(1, min(5, height + 2) + 1)), int(rng.integers(1, min(5, width + 2) + 1)))
            term = Term(
                source=source.name,
                weight=self.weight(groups * int(rng.integers(1, 14 if groups == 1 else 4)), channels // groups, kernel),
                stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.random() < 0.3 else (1, 1),
                padding=tuple(int(p) for p in rng.integers(0, 3, 4)) if rng.random() < 0.5 else (0, 0, 0, 0),
                dilation=(int(rng.integers(1, 3)), int(rng.integers(1, 3))) if rng.random() < 0.2 else (1, 1),
                groups=groups,
            )
            size = term.output_size((height, width))
            pool = self.pool(size) if rng.random() < 0.4 else None
            if min(size) >= 1 and (pool is None or min(pool.output_size(size)) >= 1):
                return self.layer((term,), pool, wide=wide)
        raise AssertionError("no convolution fits")

    def pool(self, size: tuple[int, int]) -> Pool | None:
        rng = self.rng
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        if kernel[0] > size[0] or kernel[1] > size[1]:
            return None
        padding = (
            tuple(int(rng.integers(0, kernel[i // 2] // 2 + 1)) for i in range(4)) if rng.random() < 0.4 else (0,) * 4
        )
        if padding != (0,) * 4:  # torch pads both sides alike
            padding = (padding[0], padding[0], padding[2], padding[2])
        return Pool(
            kernel=kernel,
            stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
            padding=padding,
            ceil_mode=bool(rng.random() < 0.3),
        )

    def network(self, name: str, inputs: tuple[str, ...] = ("image",)) -> IntegerNetwork:
        """What was built; the last layer is the output."""
        return IntegerNetwork(
            name=name,
            tensors=tuple(self.tensors),
            layers=tuple(self.layers),
            inputs=inputs,
            outputs=(self.layers[-1].name,),
            weight_bits=self.weight_bits,
            act_bits=self.act_bits,
        )

    def linear(self, source: Tensor, filters: int, *, wide: bool) -> Tensor:
        weight = self.weight(filters, source.shape[0], source.shape[1:])
        return self.layer((Term(source=source.name, weight=weight),), None, wide=wide)


def random_network(seed: int, *, largest: int = 12) -> IntegerNetwork:
    """A network of 1 to 5 layers drawn from `seed`; same seed, same network."""
    rng = np.random.default_rng(seed)
    build = _Builder(rng, int(rng.integers(2, 13)), int(rng.integers(2, 13)))
    shape = (int(rng.integers(1, 5)), int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1)))
    current = build.tensor("image", shape, build.act_bits)
    for _ in range(int(rng.integers(0, 4))):
        current = build.conv(current)
    if rng.random() < 0.7:
        if rng.random() < 0.5:
            current = build.linear(current, int(rng.integers(1, 20)), wide=False)
        build.linear(current, int(rng.integers(1, 12)), wide=True)
    else:
        build.conv(current, wide=True)
    return build.network(f"random{seed}")


def random_inputs(seed: int, *, largest: int = 8) -> IntegerNetwork:
    """A network of 2 to 4 inputs, maps and vectors, each behind 0 to 2 layers of its own, that meet in the last layer.

    At times nobody reads one of them, or the last layer reads one as it came.
    """
    rng = np.random.default_rng(seed)
    build = _Builder(rng, int(rng.integers(2, 13)), int(rng.integers(2, 13)))
    inputs = []
    for i in range(int(rng.integers(2, 5))):
        size = rng.integers(1, largest + 1, 2) if rng.random() < 0.7 else (1, 1)
        inputs.append(build.tensor(f"in{i}", (int(rng.integers(1, 6)), *map(int, size)), build.act_bits))
    ends = []
    for source in inputs[: len(inputs) - int(rng.random() < 0.2)]:
        current = source
        for _ in range(int(rng.integers(0, 3))):
            current = build.conv(current)
        ends.append(current)
    filters = int(rng.integers(1, 8))
    order = rng.permutation(len(ends))
    terms = [Term(source=ends[i].name, weight=build.weight(filters, *_split(ends[i].shape))) for i in order]
    build.layer(tuple(terms), None, wide=True)
    return build.network(f"inputs{seed}", inputs=tuple(inputs[i].name for i in rng.permutation(len(inputs))))


def _split(shape: tuple[int, int, int]) -> tuple[int, tuple[int, int]]:
    return shape[0], (shape[1], shape[2])


def random_residuals(seed: int, *, largest: int = 7) -> IntegerNetwork:
    """A network of 3 to 7 layers that add residuals where they can, drawn from `seed`; same seed, same network."""
    rng = np.random.default_rng(seed)
    build = _Builder(rng, int(rng.integers(2, 13)), int(rng.integers(2, 13)))
    shape = (int(rng.integers(1, 5)), int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1)))
    current = build.tensor("image", shape, build.act_bits)
    for _ in range(int(rng.integers(1, 5))):
        current = build.joined()
    if rng.random() < 0.6:
        build.linear(current, int(rng.integers(1, 20)), wide=False)
        build.joined()
    build.joined(wide=True)
    return build.network(f"residuals{seed}")


def random_products(seed: int, *, largest: int = 7) -> IntegerNetwork:
    """A network of 4 to 7 layers, some of them products of maps, or of a map and a pixel; same seed, same network."""
    rng = np.random.default_rng(seed)
    build = _Builder(rng, int(rng.integers(2, 13)), int(rng.integers(2, 13)))
    size = (int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1)))
    build.tensor("image", (int(rng.integers(1, 5)), *size), build.act_bits)
    first = build.joined()
    build.linear(first, int(rng.integers(1, 9)), wide=False)
    for _ in range(int(rng.integers(1, 4))):
        build.product(size)
    if rng.random() < 0.3:
        build.product(size, wide=True)
    else:
        build.joined(wide=True)
    return build.network(f"products{seed}")

"""ROM contents: packing of fields and weights into words, and their `$readmemh` text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.isa import WordFormat

__all__ = ["RomImage", "pack_records", "pack_vectors"]


@dataclass(frozen=True, eq=False)
class RomImage:
    """`depth` words of `width` bits. data ``(depth, ceil(width / 8))`` bytes, most significant first."""

    name: str
    width: int
    data: NDArray[np.uint8]

    @property
    def depth(self) -> int:
        """Number of words."""
        return len(self.data)

    @property
    def bits(self) -> int:
        """Stored bits."""
        return self.depth * self.width

    def varied(self) -> RomImage:
        """A ROM of this shape in which, as soon as it has a few words, no bit is constant: drawn, always the same."""
        rng = np.random.default_rng(0)
        return replace(self, data=rng.integers(0, 256, self.data.shape, dtype=np.uint8))

    def words(self) -> list[int]:
        """The contents as integers."""
        return [int.from_bytes(row.tobytes(), "big") for row in self.data]

    @property
    def alike(self) -> tuple[int, ...]:
        """Of each bit of a word, lowest first, the number of the first that is as it is in every word; -1 of those that
        are 0 in all, -2 of those that are 1.
        """
        bits = np.unpackbits(self.data[:, ::-1], axis=1, bitorder="little")[:, : self.width]
        found = {bytes(self.depth): -1, b"\1" * self.depth: -2}
        return tuple(found.setdefault(column.tobytes(), i) for i, column in enumerate(np.ascontiguousarray(bits.T)))

    def hex_text(self) -> str:
        """Contents as `$readmemh` reads them: one word a line."""
        digits = 2 * self.data.shape[1]
        keep = -(-self.width // 4)
        text = self.data.tobytes().hex()
        lines = [text[i + digits - keep : i + digits] for i in range(0, len(text), digits)]
        return "\n".join(lines) + "\n"


def pack_records(name: str, form: WordFormat, columns: Mapping[str, NDArray[np.int64]]) -> RomImage:
    """One word per row of the equally long `columns`, one column per field of `form`.

    Raises ValueError when a value does not fit its field.
    """
    if columns.keys() != {f.name for f in form.fields}:
        raise ValueError(f"{form.name} needs the fields {[f.name for f in form.fields]}, not {list(columns)}")
    depth = len(next(iter(columns.values())))
    bits = np.zeros((depth, form.width), dtype=np.uint8)
    place = 0
    for f in form.fields:
        values = np.asarray(columns[f.name], dtype=np.int64)
        low, high = f.limits
        if depth and not (low <= values.min() and values.max() <= high):
            raise ValueError(f"{form.name}.{f.name}: {values.min()}..{values.max()} does not fit {f.width} bits")
        bits[:, place : place + f.width] = (values[:, None] >> np.arange(f.width)) & 1
        place += f.width
    return RomImage(name, form.width, _pack_bits(bits))


def pack_vectors(name: str, vectors: NDArray[np.int64], element_bits: int) -> RomImage:
    """One word per row of `vectors` ``(depth, n)``, element 0 in the least significant bits."""
    depth, n = vectors.shape
    if element_bits in (8, 16):  # whole bytes, which casting cuts off as they are
        whole = vectors[:, ::-1].astype(f">i{element_bits // 8}")
        return RomImage(name, n * element_bits, whole.view(np.uint8).reshape(depth, n * element_bits // 8))
    data = np.empty((depth, -(-n * element_bits // 8)), dtype=np.uint8)
    place = np.arange(element_bits)
    for start in range(0, depth, 1 << 16):  # bounds the memory of the bit matrix
        part = vectors[start : start + (1 << 16)].astype(np.int32)
        bits = ((part[:, :, None] >> place) & 1).astype(np.uint8).reshape(len(part), n * element_bits)
        data[start : start + len(part)] = _pack_bits(bits)
    return RomImage(name, n * element_bits, data)


def _pack_bits(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bit matrix ``(depth, width)``, least significant first, to bytes, most significant first."""
    return np.packbits(bits, axis=1, bitorder="little")[:, ::-1]

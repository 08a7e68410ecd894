"""`WordFormat`: named bit fields of a ROM word; the encoder and the gateware's layout come from the same table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Field", "WordFormat"]


@dataclass(frozen=True)
class Field:
    """`width` bits (0 or more) called `name`; `doc` is one sentence for the bundle's README."""

    name: str
    width: int
    doc: str
    signed: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value that fits; a field without bits holds 0."""
        half = 1 << self.width >> 1
        return (-half, max(half - 1, 0)) if self.signed else (0, (1 << self.width) - 1)


@dataclass(frozen=True)
class WordFormat:
    """Fields from the least significant bit upwards."""

    name: str
    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        """The field called `name`. Raises KeyError when there is none."""
        return {f.name: f for f in self.fields}[name]

    @property
    def width(self) -> int:
        """Bits of the whole word; at least 1."""
        return max(1, sum(f.width for f in self.fields))

    def encode(self, values: Mapping[str, int]) -> int:
        """The word that holds `values`, one per field.

        Raises ValueError when a field is missing, unknown, or its value does not fit.
        """
        if values.keys() != {f.name for f in self.fields}:
            raise ValueError(f"{self.name} needs the fields {[f.name for f in self.fields]}, not {list(values)}")
        word = shift = 0
        for f in self.fields:
            value = values[f.name]
            low, high = f.limits
            if not low <= value <= high:
                raise ValueError(f"{self.name}.{f.name} = {value} does not fit {f.width} bits ({low}..{high})")
            word |= (value & ((1 << f.width) - 1)) << shift
            shift += f.width
        return word

    def decode(self, word: int) -> dict[str, int]:
        """The fields of `word`; the inverse of `encode`."""
        values = {}
        for f in self.fields:
            value = word & ((1 << f.width) - 1)
            word >>= f.width
            values[f.name] = value - (1 << f.width) if f.signed and f.width and value >> (f.width - 1) else value
        return values

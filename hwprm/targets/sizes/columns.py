"""Bits of a table's words that are constant, and those that are always the same: synthesis leaves both out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from hwprm.compiler.encoding.rom import RomImage
from hwprm.isa import WordFormat

__all__ = ["Columns"]


@dataclass(frozen=True, eq=False)
class Columns:
    """`first` is `RomImage.alike`: of each bit of a table's words, lowest first, the first that always is as it is."""

    depth: int
    first: tuple[int, ...]

    @classmethod
    def of(cls, image: RomImage) -> Columns:
        """Those of a ROM."""
        return cls(image.depth, image.alike)

    @classmethod
    def free(cls, depth: int, width: int) -> Columns:
        """Those of a table that may hold anything."""
        return cls(depth, tuple(range(width)))

    @property
    def width(self) -> int:
        """Bits of a word."""
        return len(self.first)

    @cached_property
    def changing(self) -> int:
        """Bits that are not constant."""
        return sum(i >= 0 for i in self.first)

    @cached_property
    def different(self) -> int:
        """Bits that are not constant, of the same ones one."""
        return len(set(self.first) - {-1, -2})

    def fields(self, form: WordFormat, names: Collection[str]) -> list[int]:
        """What `first` says of the bits of the fields of `form` called so."""
        places: list[int] = []
        at = 0
        for field in form.fields:
            if field.name in names:
                places += range(at, at + field.width)
            at += field.width
        return [self.first[place] for place in places]

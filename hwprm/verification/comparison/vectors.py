"""Vectors of activations as the probes show them, many at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hwprm.core.numerics import integer_range
from hwprm.verification.comparison.events import Store

__all__ = ["Vectors", "by_layer", "hex_values"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Text = NDArray[np.uint8]

#: Value of an ASCII character as a hexadecimal digit; UNKNOWN for all others, such as x.
UNKNOWN = 255
DIGIT = np.full(256, UNKNOWN, np.uint8)
for _value, _digit in enumerate("0123456789abcdef"):
    DIGIT[ord(_digit)] = DIGIT[ord(_digit.upper())] = _value


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """Stored vectors of one layer of one image, in the order in which they were stored.

    All ``(n,)`` but text ``(n, digits)``, ASCII hexadecimal, as many digits for each lane as an activation has, lane 0
    in the last ones; unknown bits make an x.
    """

    cycle: IntArray
    filter: IntArray
    pixel: IntArray
    lanes: IntArray
    text: Text

    @classmethod
    def of(cls, stores: Sequence[Store]) -> Self:
        """The same from single events."""
        fields = np.array([(s.cycle, s.filter, s.pixel, s.lanes) for s in stores], np.int64).reshape(-1, 4)
        digits = max((len(store.data) for store in stores), default=1)
        text = np.frombuffer("".join(store.data.rjust(digits, "0") for store in stores).encode(), np.uint8)
        cycle, filters, pixel, lanes = fields.T
        return cls(cycle=cycle, filter=filters, pixel=pixel, lanes=lanes, text=text.reshape(-1, digits))

    def values(self, bits: int, *, signed: bool) -> tuple[IntArray, BoolArray]:
        """Activations of `bits` bits ``(n, lanes)``, and which of them are known."""
        n, digits = len(self.text), -(-bits // 4)
        lanes = self.text.shape[1] // digits
        values = hex_values(self.text.reshape(n * lanes, digits)).reshape(n, lanes)[:, ::-1]
        return np.where(values > integer_range(bits, signed)[1], values - (1 << bits), values), values >= 0

    def bits_of(self, vector: int, lane: int, bits: int) -> str:
        """The bits of one activation, ``0000xxxx``."""
        count = -(-bits // 4)
        digits = self.text[vector].reshape(-1, count)[::-1][lane].tobytes().decode()
        text = "".join("xxxx" if DIGIT[ord(d)] == UNKNOWN else f"{int(d, 16):04b}" for d in digits)
        return text[-bits:]


def hex_values(text: Text) -> IntArray:
    """Numbers in hexadecimal ``(n, digits)`` to ``(n,)``; -1 where a digit is unknown."""
    digits = DIGIT[text]
    total = np.zeros(len(text), np.int64)
    for i in range(text.shape[1]):
        total = total << 4 | digits[:, i]
    return np.where((digits == UNKNOWN).any(axis=1), -1, total)


def by_layer(stores: Sequence[Store]) -> Mapping[int, Vectors]:
    """Events filed by layer number."""
    filed: dict[int, list[Store]] = {}
    for store in stores:
        filed.setdefault(store.layer, []).append(store)
    return {layer: Vectors.of(mine) for layer, mine in filed.items()}

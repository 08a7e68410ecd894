"""The accelerator's activation memory as the testbench reads and writes it: tensors in banks of words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.layout.memory import MemoryMap, Placement
from hwprm.core.numerics import integer_range
from hwprm.verification.comparison.vectors import hex_values

__all__ = ["ActivationMemory", "Contents"]

IntArray = NDArray[np.int64]
#: Unsigned words ``(banks, words)``; -1 is a word with unknown bits.
Contents = IntArray


@dataclass(frozen=True, kw_only=True)
class ActivationMemory:
    """Words of `bits` bits, laid out by `memory_map`."""

    memory_map: MemoryMap
    bits: int

    def random(self, seed: int) -> Contents:
        """Every word random, so that nothing can rely on what lies where no tensor is alive."""
        return np.random.default_rng(seed).integers(0, 1 << self.bits, (self.memory_map.banks, self.memory_map.words))

    def put(self, contents: Contents, name: str, tensor: IntArray) -> None:
        """Write `tensor` ``(C, H, W)``, or those of a batch ``(B, C, H, W)``, to its place, in `contents`."""
        contents[self._at(name, tensor.shape)] = tensor & (1 << self.bits) - 1

    def take(self, contents: Contents, name: str, shape: tuple[int, ...], *, signed: bool) -> IntArray:
        """The tensor of `shape`, that of `put`, at its place; smaller than every activation where bits are unknown."""
        words = contents[self._at(name, shape)]
        low, high = integer_range(self.bits, signed)
        return np.where(words < 0, low - 1, np.where(words > high, words - (1 << self.bits), words))

    def _at(self, name: str, shape: tuple[int, ...]) -> tuple[IntArray, IntArray]:
        """Bank and word of every activation of the tensor called `name`."""
        place: Placement = self.memory_map[name]
        *image, channel, row, column = np.indices(shape, sparse=True)
        linear = place.base * self.memory_map.banks + channel * place.channel + row * place.pitch + column
        linear = linear + sum(image) * place.image
        return linear % self.memory_map.banks, linear // self.memory_map.banks

    def write(self, contents: Contents, folder: Path) -> None:
        """Write ``bank<b>.mem``, a word a line, as `$readmemh` reads them."""
        digits = -(-self.bits // 4)
        table = np.frombuffer(b"0123456789abcdef", np.uint8)
        for b, words in enumerate(contents):
            lines = np.full((len(words), digits + 1), ord("\n"), np.uint8)
            for i in range(digits):
                lines[:, i] = table[words >> 4 * (digits - 1 - i) & 15]
            (folder / f"bank{b}.mem").write_bytes(lines.tobytes())

    def read(self, folder: Path) -> Contents | None:
        """What the testbench left in ``after<b>.mem``; None when it left nothing, or not all of it."""
        digits = -(-self.bits // 4)
        banks = []
        for b in range(self.memory_map.banks):
            path = folder / f"after{b}.mem"
            data = path.read_bytes() if path.is_file() else b""
            if b"/" in data or b"@" in data:  # Icarus begins with a comment
                data = b"".join(line for line in data.splitlines(keepends=True) if not line.startswith((b"//", b"@")))
            if len(data) != self.memory_map.words * (digits + 1):
                return None
            banks.append(hex_values(np.frombuffer(data, np.uint8).reshape(-1, digits + 1)[:, :-1]))
        return np.stack(banks)

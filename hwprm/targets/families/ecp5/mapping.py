"""How yosys maps a memory to cells of the ECP5: the cheapest of block RAMs, LUT RAMs and flip-flops, by its prices.

The prices and geometries are those of its pass ``memory_libmap`` and of its libraries ``lattice/brams_16kd.txt`` and
``lattice/lutrams_trellis.txt``, for memories with one port to read and at most one to write whole words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Mapped", "mapped"]

#: Block RAMs: bits of an address of single bits, widths that a port may have; PDPW16KD reads the widest, and writes it.
BLOCK_BITS, NARROW, WIDEST, BYTE = 14, (1, 2, 4, 9, 18), 36, 9
#: LUT RAMs: words and bits of a cell.
LUT_WORDS, LUT_WIDTH = 16, 4
#: Prices: of a block RAM, a LUT RAM, a multiplexer of one bit or a decoded enable, a port that only reads, a flip-flop.
BLOCK, LUT_RAM, CHOICE, READS = 128, 4, 0.5, 2


@dataclass(frozen=True)
class Mapped:
    """Cells of a memory: `blocks` and `luts` (DPR16X4) RAMs, `bits` in flip-flops; and what chooses between cells:
    `parts` one behind the other.
    """

    blocks: int = 0
    luts: int = 0
    bits: int = 0
    parts: int = 1
    #: Bits of a word in one cell.
    unit: int = 1

    def without(self, read: Sequence[bool]) -> Mapped:
        """The same without the cells that hold only bits, lowest first, which are not `read`."""
        live = sum(any(read[at : at + self.unit]) for at in range(0, len(read), self.unit))
        whole = self.parts * -(-len(read) // self.unit)
        spared = whole - self.parts * live
        return replace(
            self,
            blocks=self.blocks - spared * (self.blocks == whole),
            luts=self.luts - spared * (self.luts == whole),
            bits=self.bits * sum(read) // max(1, len(read)),
        )


def mapped(depth: int, width: int, *, reads_only: bool = False, block: bool = False, later: bool = True) -> Mapped:
    """The cells of `depth` words of `width` bits; `block`: it asks for block RAM; not `later`: the word comes in the
    same cycle, which block RAM cannot.
    """
    choices: list[tuple[float, Mapped]] = []
    if not block:
        choices.append((int(width * depth * (1 / 16 if reads_only else 1)), Mapped(bits=width * depth)))
    if not block and not reads_only:
        choices.append(_lut_ram(depth, width))
    if later:
        choices.append(_block_ram(depth, width, reads_only))
    return min(choices, key=lambda choice: choice[0])[1]  # the first of equal ones


def _lut_ram(depth: int, width: int) -> tuple[float, Mapped]:
    parts, side = -(-depth // LUT_WORDS), -(-width // LUT_WIDTH)
    return LUT_RAM * parts * side + _choosing(parts, width, False), Mapped(
        luts=parts * side, parts=parts, unit=LUT_WIDTH
    )


def _block_ram(depth: int, width: int, reads_only: bool) -> tuple[float, Mapped]:
    found: list[tuple[float, Mapped]] = []
    for i, unit in enumerate((*NARROW, WIDEST)):
        parts, byte = -(-depth // (1 << (BLOCK_BITS - i))), 1 if reads_only else min(BYTE, unit)
        blocks = -(-parts * -(-width // byte) * byte // unit)
        found.append(
            (BLOCK * blocks + _choosing(parts, width, reads_only), Mapped(blocks=blocks, parts=parts, unit=unit))
        )
    return min(found, key=lambda choice: int(choice[0]))


def _choosing(parts: int, width: int, reads_only: bool) -> float:
    return CHOICE * ((parts - 1) * width + parts * (parts > 1 and not reads_only)) + READS

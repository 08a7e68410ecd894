"""External memory: how words lie in beats and rows, and the stream that carries them. Shared by compiler and gateware.

The image begins with descriptors and parameters, which are read once, padded to a whole number of bursts; the rest is
read in order, again and again, once per image. Both parts are chunks: a header beat, `count` beats for its target,
then `weights` beats for the weight ring. A header of zeros is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.isa.word import Field, WordFormat

__all__ = ["HEADER", "TARGETS", "ExternalMemory", "RowShape"]

#: Where the beats behind a header go. Number 0 is a ring and says that everything before it has been loaded.
TARGETS = ("entries", "tiles", "layers", "stores", "params")

HEADER = WordFormat(
    "header",
    (
        Field("count", 16, "Beats for the target."),
        Field("weights", 16, "Beats for the weight ring, behind those."),
        Field("target", 4, "Number of the target: " + ", ".join(TARGETS) + "."),
    ),
)

#: Most words that share a beat, which bounds the multiplexer behind a row, and the least part of a beat for one.
WORDS_MAX, SLOT_BITS = 16, 8


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """A row of memory: `words` words of `width` bits that come in one beat, or one word that comes in `beats` beats.

    Of several words each has an equal part of the beat, itself in the low bits.
    """

    width: int
    words: int
    beats: int

    @classmethod
    def of(cls, width: int, beat_bits: int) -> RowShape:
        """The shape for words of `width` bits: as many a beat as fit, a power of two."""
        if width > beat_bits:
            return cls(width=width, words=1, beats=-(-width // beat_bits))
        words = 1
        while words < WORDS_MAX and beat_bits // (2 * words) >= max(width, SLOT_BITS):
            words *= 2
        return cls(width=width, words=words, beats=1)

    def rows(self, words: int) -> int:
        """Rows that hold `words` words."""
        return -(-words // self.words)

    @property
    def bits(self) -> int:
        """Bits of a row on the chip; what pads a beat is not kept."""
        return self.words * self.width


@dataclass(frozen=True, kw_only=True)
class ExternalMemory:
    """The read master, the two rings, and the image."""

    #: Width of a beat.
    beat_bits: int
    #: Beats of a burst, a power of two; bursts are aligned to their size.
    burst_beats: int
    #: Bursts that may be on their way; the beat FIFO has room for as many.
    outstanding: int
    #: Rows of the rings, powers of two.
    entry_rows: int
    weight_rows: int
    #: Columns in one chunk of the stream.
    chunk: int
    #: Bursts of the image: those read once, and all.
    boot_bursts: int
    bursts: int

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return self.beat_bits // 8

    @property
    def burst_bytes(self) -> int:
        """Bytes of a burst."""
        return self.burst_beats * self.beat_bytes

    @property
    def fifo_beats(self) -> int:
        """Depth of the beat FIFO."""
        return self.burst_beats * self.outstanding

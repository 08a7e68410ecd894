"""How the outside talks to an accelerator, and what that takes: everything but the streams of the core itself.

The core is the same, and so are its cycles: a host only says when images come and results leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.isa.frames import OVERHEAD

__all__ = ["AXI", "BYTE_BITS", "HOSTS", "WORD_BYTES", "Host"]

#: ``axi``: AXI4-Stream of activations and words, with AXI4-Lite registers; ``stream8``: both streams are of bytes, and
#: pins say what registers would; ``uart``: these bytes in frames (`hwprm.isa.frames`) on a serial line.
HOSTS = ("axi", "stream8", "uart")
#: Bytes of an output word on a stream of bytes, least significant first; so are those of an activation.
WORD_BYTES = 4
#: Bits of a byte on a serial line, its start and its stop bit with it.
BYTE_BITS = 10


@dataclass(frozen=True, kw_only=True)
class Host:
    """The way in and out of a design: one of `HOSTS`."""

    kind: str = "axi"
    #: Clock cycles of a bit on the serial line; 0 where there is none.
    divider: int = 0
    #: Clock cycles for which the line has to be high for a transfer to be over, whatever it was.
    silence: int = 0
    #: MHz of the clock, and bits a second, that both stand for; None where nobody said.
    clock: float | None = None
    baud: int | None = None

    @property
    def registers(self) -> bool:
        """Whether there is a bus of registers; designs without it keep their weights on the chip, an image a batch."""
        return self.kind == "axi"

    def cycles(self, beats: int, beat_bytes: int, words: int) -> tuple[int, int]:
        """Clock cycles that an image of `beats` takes to come, and a result of `words` to leave, where nobody waits.

        An image comes and a result leaves while another is computed, so that a design at steady state takes the largest
        of both and the cycles of its layers for an image.
        """
        if self.registers:
            return beats, words
        octets = beats * beat_bytes, words * WORD_BYTES
        if self.kind == "stream8":
            return octets
        return self.divider * BYTE_BITS * (octets[0] + OVERHEAD), self.divider * BYTE_BITS * (octets[1] + OVERHEAD)


#: The default.
AXI = Host()

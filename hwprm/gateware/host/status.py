"""What the core hears and tells where there is no bus of registers."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Status"]


class Status(wiring.Component):
    """Stands where `RegisterFile` does, for designs with weights on the chip and one image at a time.

    Members
    -------
    again : In(1), the image in the buffer is computed over and over
    busy, short, long, received, frame_done, stalled : In(1), as of the register file
    cycles, memory_stalls : In(32)
    run : Out(1), always 1, `repeat` : Out(1)
    error : Out(1), an image was dropped since reset
    """

    def __init__(self):
        flags = ("again", "busy", "short", "long", "received", "frame_done", "stalled")
        super().__init__(
            dict.fromkeys(flags, In(1))
            | dict.fromkeys(("cycles", "memory_stalls"), In(32))
            | {"run": Out(1), "repeat": Out(1), "error": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.run.eq(1), self.repeat.eq(self.again)]
        m.d.sync += self.error.eq(self.error | self.short | self.long)
        return m

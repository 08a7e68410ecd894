"""The FIFO behind the read channel."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.memories import Ram, address_bits

__all__ = ["BeatFifo"]


class BeatFifo(wiring.Component):
    """`depth` beats, a power of two from 2 upwards. Whoever writes must know that there is room.

    A beat written into an empty FIFO is at the head two cycles later.

    Members
    -------
    write : In(1)
    write_data : In(width)
    valid : Out(1), there is a beat at the head
    data : Out(width)
    pop : In(1), only while `valid`
    """

    def __init__(self, *, width: int, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"a FIFO must have a power of two of beats from 2 upwards, not {depth}")
        self._width, self._depth = width, depth
        super().__init__({"write": In(1), "write_data": In(width), "valid": Out(1), "data": Out(width), "pop": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = Ram(width=self._width, depth=self._depth)
        written, read, head = (Signal(address_bits(self._depth) + 1, name=name) for name in ("written", "read", "head"))
        m.d.comb += head.eq(read + self.pop)
        m.d.sync += [written.eq(written + self.write), read.eq(head), self.valid.eq(head != written)]
        m.d.comb += [
            ram.write_enable.eq(self.write),
            ram.write_addr.eq(written[:-1]),
            ram.write_data.eq(self.write_data),
            ram.read_addr.eq(head[:-1]),
            self.data.eq(ram.read_data),
        ]
        return m

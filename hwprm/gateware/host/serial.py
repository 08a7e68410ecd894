"""A serial line: a start bit, eight data bits, least significant first, no parity, a stop bit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwprm.isa.hosts import BYTE_BITS

__all__ = ["Receiver", "Sender"]


class Receiver(wiring.Component):
    """Bytes from a line, each sampled in the middle of its bits, `divider` clock cycles long.

    Members
    -------
    line : In(1), of any clock, high when idle
    valid : Out(1), pulse, a byte has come
    data : Out(8)
    broken : Out(1), with `valid`: it had no stop bit
    low : Out(1), the line as it is seen here, inverted
    """

    def __init__(self, divider: int):
        self._divider = divider
        super().__init__({"line": In(1), "valid": Out(1), "data": Out(8), "broken": Out(1), "low": Out(1)})

    def elaborate(self, platform):
        m = Module()
        early, line = Signal(init=1), Signal(init=1)
        time, left = Signal(range(self._divider)), Signal(range(BYTE_BITS + 1))
        bits = Signal(8)
        sample = Signal()
        m.d.sync += [early.eq(self.line), line.eq(early), self.valid.eq(0)]
        m.d.comb += [self.low.eq(~line), self.data.eq(bits), sample.eq((left != 0) & (time == 0))]
        with m.If((left == 0) & self.low):
            m.d.sync += [left.eq(BYTE_BITS), time.eq(self._divider // 2 - 1)]
        with m.Elif((left != 0) & ~sample):
            m.d.sync += time.eq(time - 1)
        with m.Elif(sample):
            m.d.sync += [time.eq(self._divider - 1), left.eq(left - 1)]
            with m.If(left == BYTE_BITS):  # the middle of the start bit; a glitch is none
                m.d.sync += left.eq(Mux(line, 0, left - 1))
            with m.Elif(left != 1):
                m.d.sync += bits.eq(Cat(bits[1:], line))
            with m.Else():
                m.d.sync += [self.valid.eq(1), self.broken.eq(~line)]
        return m


class Sender(wiring.Component):
    """Bytes onto a line, without a gap where the next one stands ready.

    Members
    -------
    bytes : In(stream of 8)
    line : Out(1)
    """

    def __init__(self, divider: int):
        self._divider = divider
        super().__init__({"bytes": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        time, left = Signal(range(self._divider)), Signal(range(BYTE_BITS + 1))
        bits = Signal(BYTE_BITS - 1, init=-1)  # behind the one on the line; ones follow
        ends = time == 0
        awake = Signal()
        m.d.sync += awake.eq(1)
        m.d.comb += self.bytes.ready.eq(awake & ((left == 0) | (ends & (left == 1))))
        with m.If(left != 0):
            m.d.sync += time.eq(time - 1)
            with m.If(ends):
                m.d.sync += [
                    time.eq(self._divider - 1),
                    left.eq(left - 1),
                    Cat(self.line, bits).eq(Cat(bits, Const(1, 1))),
                ]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                Cat(self.line, bits).eq(Cat(Const(0, 1), self.bytes.payload, Const(1, 1))),
                time.eq(self._divider - 1),
                left.eq(BYTE_BITS),
            ]
        return m

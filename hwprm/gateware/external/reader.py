"""The AXI4 read master: the image's bursts in order, the boot part once, the rest again and again."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.memory.beat_fifo import BeatFifo
from hwprm.gateware.primitives.interfaces import MEMORY_ADDRESS_BITS, axi_read
from hwprm.isa import ExternalMemory

__all__ = ["StreamReader"]


class StreamReader(wiring.Component):
    """Asks for a burst only when the FIFO has room for all of it, so that the read channel never waits.

    Bursts are aligned to their size, hence never cross 4 KiB. After an answer other than OKAY nothing more is asked
    for and nothing more is handed on; only a reset ends that.

    Members
    -------
    bus : Out(axi_read)
    start : In(1), stays up once the base address is known
    base : In(64), aligned to 4 KiB
    error : Out(1), sticky
    valid : Out(1), there is a beat
    beat : Out(beat_bits)
    pop : In(1), only while `valid`
    """

    def __init__(self, external: ExternalMemory):
        self._external = external
        super().__init__(
            {
                "bus": Out(axi_read(external)),
                "start": In(1),
                "base": In(MEMORY_ADDRESS_BITS),
                "error": Out(1),
                "valid": Out(1),
                "beat": Out(external.beat_bits),
                "pop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ext = self._external
        m.submodules.fifo = fifo = BeatFifo(width=ext.beat_bits, depth=ext.fifo_beats)
        m.d.comb += [
            self.bus.rready.eq(1),
            fifo.write.eq(self.bus.rvalid),
            fifo.write_data.eq(self.bus.rdata),
            fifo.pop.eq(self.pop),
            self.valid.eq(fifo.valid & ~self.error),
            self.beat.eq(fifo.data),
        ]
        with m.If(self.bus.rvalid & (self.bus.rresp != 0)):
            m.d.sync += self.error.eq(1)

        room = Signal(range(ext.fifo_beats + 1), init=ext.fifo_beats)  # beats neither in the FIFO nor on their way
        burst, ask = Signal(range(ext.bursts)), Signal()
        m.d.comb += ask.eq(
            self.start & ~self.error & (room >= ext.burst_beats) & (~self.bus.arvalid | self.bus.arready)
        )
        m.d.sync += room.eq(room - Mux(ask, ext.burst_beats, 0) + self.pop)
        with m.If(ask):
            m.d.sync += [
                self.bus.arvalid.eq(1),
                self.bus.araddr.eq(self.base + (burst << (ext.burst_bytes.bit_length() - 1))),
                burst.eq(Mux(burst == ext.bursts - 1, ext.boot_bursts, burst + 1)),
            ]
        with m.Elif(self.bus.arready):
            m.d.sync += self.bus.arvalid.eq(0)
        return m

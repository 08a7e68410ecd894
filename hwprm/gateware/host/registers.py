"""The AXI4-Lite slave: `hwprm.isa.REGISTERS` in gates."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.interfaces import axi_lite
from hwprm.isa import REGISTERS, Hardware, register_offset
from hwprm.isa.registers import ID_VALUE, INTERFACE_VERSION

__all__ = ["RegisterFile"]

#: The base address is a multiple of 4 KiB.
PAGE_BITS = 12


class RegisterFile(wiring.Component):
    """One access at a time in each direction. Writes take the low byte's strobe; unknown addresses read as zero.

    Ready outputs are registers: they answer a valid a cycle later, and are low in reset.

    Members
    -------
    bus : In(axi_lite)
    run, repeat : Out(1)
    busy : In(1)
    short, long, received, frame_done, stalled : In(1), pulses that set or count
    cycles, memory_stalls : In(32)
    memory_error : In(1), sticky
    base : Out(64), `started` : Out(1), it has been written; with external memory only
    flush : Out(1), pulse, `images` : In(range(batch + 1)), those of the batch that `frame_done` ends; with batches only
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        inputs = dict.fromkeys(("busy", "short", "long", "received", "frame_done", "stalled", "memory_error"), In(1))
        outputs = {"run": Out(1, init=1), "repeat": Out(1), "base": Out(64), "started": Out(1)}
        if hw.batch > 1:
            inputs["images"], outputs["flush"] = In(range(hw.batch + 1)), Out(1)
        super().__init__(
            {"bus": In(axi_lite())} | inputs | outputs | dict.fromkeys(("cycles", "memory_stalls"), In(32))
        )

    def elaborate(self, platform):
        m = Module()
        sticky_short, sticky_long = Signal(), Signal()
        counters = {
            "FRAMES_IN": self.received,
            "FRAMES_OUT": self.frame_done if self._hw.batch == 1 else Mux(self.frame_done, self.images, 0),
            "FRAMES_DROPPED": self.short | self.long,
            "STALLS": self.stalled,
        }
        values = self._constants()
        for name, event in counters.items():
            count = Signal(32, name=name.lower())
            m.d.sync += count.eq(count + event)
            values[name] = count
        values |= {
            "CONTROL": Cat(self.run, self.repeat),
            "STATUS": self.busy | (sticky_short << 1) | (sticky_long << 2) | (self.memory_error << 3),
            "CYCLES": self.cycles,
            "MEMORY_STALLS": self.memory_stalls,
            "BASE": self.base[:32],
            "BASE_HIGH": self.base[32:],
        }
        if self._hw.batch > 1:
            values["BATCH"] = batch = Signal(32, name="batch")
            with m.If(self.frame_done):
                m.d.sync += batch.eq(self.images)
        self._reads(m, values)
        write = self._writes(m)
        if self._hw.batch > 1:
            m.d.comb += self.flush.eq(self._at(write, "FLUSH"))
        at_control, at_status = self._at(write, "CONTROL"), self._at(write, "STATUS")
        with m.If(at_control):
            m.d.sync += [self.run.eq(self.bus.wdata[0]), self.repeat.eq(self.bus.wdata[1])]
        m.d.sync += [
            sticky_short.eq((sticky_short & ~(at_status & self.bus.wdata[1])) | self.short),
            sticky_long.eq((sticky_long & ~(at_status & self.bus.wdata[2])) | self.long),
        ]
        if self._hw.external:
            self._base(m, write)
        return m

    def _at(self, write, name: str):
        return write & (self.bus.awaddr[2:] == register_offset(name) >> 2) & self.bus.wstrb[0]

    def _base(self, m: Module, write):
        """The address stands from the first write of its low half on: the reader is under way with it."""
        with m.If(self._at(write, "BASE") & ~self.started):
            m.d.sync += [self.base[PAGE_BITS:32].eq(self.bus.wdata[PAGE_BITS:]), self.started.eq(1)]
        with m.If(self._at(write, "BASE_HIGH") & ~self.started):
            m.d.sync += self.base[32:].eq(self.bus.wdata)

    def _constants(self) -> dict:
        hw = self._hw
        digest = int(hw.design_hash, 16) if hw.design_hash else 0
        values = {f"HASH{i}": Const(digest >> 32 * i & 0xFFFFFFFF, 32) for i in range(8)}
        plain = {
            "ID": ID_VALUE,
            "VERSION": INTERFACE_VERSION,
            "ROWS": hw.rows,
            "COLS": hw.cols,
            "INPUT_BEATS": hw.input_beats,
            "OUTPUT_BEATS": hw.output_words,
            **({"BATCH_SIZE": hw.batch} if hw.batch > 1 else {}),
        }
        return values | {name: Const(value, 32) for name, value in plain.items()}

    def _reads(self, m: Module, values: dict):
        m.d.sync += self.bus.arready.eq(self.bus.arvalid & ~self.bus.arready & ~self.bus.rvalid)
        with m.If(self.bus.arready):
            m.d.sync += [self.bus.rvalid.eq(1), self.bus.rdata.eq(0)]
            with m.Switch(self.bus.araddr[2:]):
                for register in (register for register in REGISTERS if register.name in values):
                    with m.Case(register.offset >> 2):
                        m.d.sync += self.bus.rdata.eq(values[register.name])
        with m.Elif(self.bus.rready):
            m.d.sync += self.bus.rvalid.eq(0)

    def _writes(self, m: Module):
        """Address and data are taken together; returns the strobe."""
        write = Signal()
        m.d.sync += write.eq(self.bus.awvalid & self.bus.wvalid & ~write & ~self.bus.bvalid)
        m.d.comb += [self.bus.awready.eq(write), self.bus.wready.eq(write)]
        m.d.sync += self.bus.bvalid.eq(write | (self.bus.bvalid & ~self.bus.bready))
        return write

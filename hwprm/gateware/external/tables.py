"""The program's words from external memory: descriptors loaded once, column lists and weights streamed."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.external.reader import StreamReader
from hwprm.gateware.external.unpacker import Unpacker
from hwprm.gateware.memory.ring import Ring
from hwprm.gateware.memory.row_memory import RowMemory
from hwprm.gateware.primitives.interfaces import MEMORY_ADDRESS_BITS, axi_read
from hwprm.gateware.primitives.layouts import use_layout
from hwprm.gateware.primitives.memories import address_bits
from hwprm.isa import Hardware, entry_format, table_formats
from hwprm.isa.latencies import TABLE_READ

__all__ = ["ExternalTables"]


class ExternalTables(wiring.Component):
    """What the ROMs are to a design that keeps its program on the chip.

    Members
    -------
    m_axi : Out(axi_read)
    start : In(1), `base` : In(64), as `StreamReader` has them
    error : Out(1), sticky: the memory answered with an error
    loaded : Out(1), the descriptors are there
    ready : Out(1), the next list entry and the next weights are there
    tail_ready : Out(1), so are those behind them, as many in all as the array has columns, or twice as many with `far`
    far : In(1), in designs with gates only
    use : In(use_layout), they are used in this cycle
    entry : Out(entry word), `TABLE_READ` cycles after its use
    weight : Out(cols * weight_bits), `weight_delay` more after its use
    <table>_addr : In, <table>_word : Out, `TABLE_READ` cycles later, for tiles, layers, stores and params
    """

    def __init__(self, hw: Hardware, weight_delay: int):
        if hw.external is None:
            raise ValueError("the design keeps its program in ROMs")
        self._hw, self._weight_delay = hw, weight_delay
        self._tables = table_formats(hw)
        members = {
            "m_axi": Out(axi_read(hw.external)),
            "start": In(1),
            "base": In(MEMORY_ADDRESS_BITS),
            "error": Out(1),
            "loaded": Out(1),
            "ready": Out(1),
            "tail_ready": Out(1),
            **({"far": In(1)} if hw.gates else {}),
            "use": In(use_layout()),
            "entry": Out(entry_format(hw).width),
            "weight": Out(hw.cols * hw.weight_bits),
        }
        for name, (form, depth) in self._tables.items():
            members |= {f"{name}_addr": In(address_bits(depth)), f"{name}_word": Out(form.width)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        hw, ext = self._hw, self._hw.external
        m.submodules.reader = reader = StreamReader(ext)
        m.submodules.unpacker = unpacker = Unpacker(ext.beat_bits)
        wiring.connect(m, reader.bus, wiring.flipped(self.m_axi))
        m.d.comb += [
            reader.start.eq(self.start),
            reader.base.eq(self.base),
            reader.pop.eq(unpacker.pop),
            unpacker.valid.eq(reader.valid),
            unpacker.beat.eq(reader.beat),
            self.error.eq(reader.error),
            self.loaded.eq(unpacker.loaded),
        ]
        self._rings(m, hw, ext, unpacker)
        for name, (form, depth) in self._tables.items():
            m.submodules[name] = table = RowMemory(
                width=form.width, depth=depth, beat_bits=ext.beat_bits, latency=TABLE_READ(hw)
            )
            m.d.comb += [
                table.push.eq(getattr(unpacker, f"push_{name}")),
                table.beat.eq(unpacker.beat),
                table.addr.eq(getattr(self, f"{name}_addr")),
                getattr(self, f"{name}_word").eq(table.data),
            ]
        return m

    def _rings(self, m: Module, hw: Hardware, ext, unpacker):
        ready, tail_ready = [], []
        for name, width, rows, read_delay, word, ends, release in (
            ("entries", len(self.entry), ext.entry_rows, 0, self.entry, self.use.entry_ends, self.use.entry_release),
            (
                "weights",
                len(self.weight),
                ext.weight_rows,
                self._weight_delay,
                self.weight,
                self.use.weight_ends,
                self.use.weight_release,
            ),
        ):
            m.submodules[name] = ring = Ring(
                width=width,
                rows=rows,
                beat_bits=ext.beat_bits,
                read_delay=read_delay,
                ahead=(hw.cols, 2 * hw.cols) if hw.gates else (hw.cols,),
                latency=TABLE_READ(hw),
            )
            there, all_there = Signal(name=f"{name}_ready"), Signal(name=f"{name}_tail_ready")
            m.d.comb += [
                ring.push.eq(getattr(unpacker, f"push_{name}")),
                ring.beat.eq(unpacker.beat),
                getattr(unpacker, f"room_{name}").eq(ring.room),
                ring.step.eq(self.use.valid),
                ring.ends.eq(ends),
                ring.release.eq(release),
                word.eq(ring.data),
                there.eq(ring.ready),
                all_there.eq(ring.ready_ahead),
            ]
            if hw.gates:
                m.d.comb += ring.far.eq(self.far)
            ready.append(there)
            tail_ready.append(all_there)
        m.d.comb += [self.ready.eq(ready[0] & ready[1]), self.tail_ready.eq(tail_ready[0] & tail_ready[1])]

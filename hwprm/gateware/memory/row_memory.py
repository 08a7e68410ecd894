"""Memory that is written beat by beat and read word by word."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import delay, multiplex
from hwprm.gateware.primitives.memories import Ram, address_bits
from hwprm.isa import RowShape
from hwprm.isa.latencies import MEMORY_READ

__all__ = ["RowMemory"]


class RowMemory(wiring.Component):
    """`depth` words or more, in rows that fill in order, round and round where the number of rows is a power of two.

    A word must not be read in the cycle that writes its row.

    Members
    -------
    push : In(1), `beat` is the next of the row being written
    beat : In(beat_bits)
    row_done : Out(1), with the last beat of a row
    written : Out, rows written since reset, modulo twice the power of two that holds the row numbers
    addr : In(word number)
    data : Out(width), `latency` cycles later
    """

    def __init__(self, *, width: int, depth: int, beat_bits: int, latency: int = MEMORY_READ):
        self._shape, self._beat_bits, self._latency = RowShape.of(width, beat_bits), beat_bits, latency
        self._rows = self._shape.rows(depth)
        super().__init__(
            {
                "push": In(1),
                "beat": In(beat_bits),
                "row_done": Out(1),
                "written": Out(address_bits(self._rows) + 1),
                "addr": In(address_bits(self._rows * self._shape.words)),
                "data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        word_bits = shape.words.bit_length() - 1
        if shape.beats == 1:
            m.d.comb += self.row_done.eq(self.push)
            slot = self._beat_bits // shape.words
            row = Cat(self.beat[i * slot : i * slot + shape.width] for i in range(shape.words))
            data = self._part(m, 0, shape.bits, self.push, row, word_bits)
        else:
            part = Signal(range(shape.beats))
            m.d.comb += self.row_done.eq(self.push & (part == shape.beats - 1))
            with m.If(self.push):
                m.d.sync += part.eq(part + 1)
            with m.If(self.row_done):
                m.d.sync += part.eq(0)
            data = Cat(self._word_part(m, i, part) for i in range(shape.beats))
        m.d.sync += self.written.eq(self.written + self.row_done)
        if shape.words > 1:
            select = delay(m, self.addr[:word_bits], self._latency, name="select")
            data = multiplex([data[i * shape.width : (i + 1) * shape.width] for i in range(shape.words)], select)
        m.d.comb += self.data.eq(data)
        return m

    def _word_part(self, m: Module, index: int, part):
        """Beat `index` of every word, in a RAM of its own."""
        width = min(self._beat_bits, self._shape.width - index * self._beat_bits)
        return self._part(m, index, width, self.push & (part == index), self.beat[:width], 0)

    def _part(self, m: Module, index: int, width: int, enable, value, word_bits: int):
        m.submodules[f"part{index}"] = ram = Ram(width=width, depth=self._rows, latency=self._latency)
        m.d.comb += [
            ram.write_enable.eq(enable),
            ram.write_addr.eq(self.written[:-1]),
            ram.write_data.eq(value),
            ram.read_addr.eq(self.addr[word_bits:]),
        ]
        return ram.read_data

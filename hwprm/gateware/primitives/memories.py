"""ROM and RAM. In simulation by Amaranth they are `amaranth.lib.memory`; in emitted Verilog they are instances of
``hwprm_rom`` and ``hwprm_ram``, modules from templates that an ASIC flow can replace by its macros."""

from collections.abc import Sequence

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import delay
from hwprm.isa.latencies import MEMORY_READ

__all__ = ["MemoryTemplates", "Ram", "Rom", "address_bits"]


class MemoryTemplates:
    """Platform to convert with when memories are to be instances of the templates' modules; with `cells`, the
    name of a target, also multipliers and accumulators (`hwprm.gateware.primitives.cells`).
    """

    def __init__(self, *, cells: str | None = None):
        self.cells = cells


def address_bits(depth: int) -> int:
    """Width of an address of `depth` words; at least 1."""
    return max(1, (depth - 1).bit_length())


class Rom(wiring.Component):
    """Synchronous ROM: `data` holds the word at `addr` `latency` cycles later: 1, 2 with an output register, 3 with
    registers for the address as well, of which a target may have some beside each of its blocks, or 4 with others that
    may lie beside whoever reads.

    `contents` is needed for simulation by Amaranth only; emitted Verilog reads ``mem/<name>.mem``.

    Members
    -------
    addr : In(address_bits(depth))
    data : Out(width)
    """

    def __init__(self, *, name: str, width: int, depth: int, latency: int, contents: Sequence[int] | None = None):
        if depth < 1 or width < 1:
            raise ValueError(f"a ROM must have at least one word of one bit, not {depth} of {width}")
        if not 1 <= latency <= 4:
            raise ValueError(f"a ROM is read in 1 to 4 cycles, not {latency}")
        self._name, self._width, self._depth, self._contents = name, width, depth, contents
        self._address_register, self._output_register = int(latency > 2), int(latency > 1)
        self._behind = int(latency > 3)
        super().__init__({"addr": In(address_bits(depth)), "data": Out(width)})

    def elaborate(self, platform):
        m = Module()
        word = self.data
        if self._behind:
            word = Signal(self._width, name="word")
            m.d.comb += self.data.eq(delay(m, word, self._behind, name="behind"))
        if isinstance(platform, MemoryTemplates):
            m.submodules.rom = Instance(
                "hwprm_rom",
                p_WIDTH=self._width,
                p_DEPTH=self._depth,
                p_ADDR_BITS=address_bits(self._depth),
                p_ADDRESS_REGISTER=self._address_register,
                p_OUTPUT_REGISTER=self._output_register,
                p_FILE=f"mem/{self._name}.mem",
                i_clk=ClockSignal(),
                i_addr=self.addr,
                o_data=word,
            )
            return m
        init = [] if self._contents is None else self._contents
        m.submodules.memory = memory = Memory(MemoryData(shape=self._width, depth=self._depth, init=init))
        port = memory.read_port()
        m.d.comb += port.addr.eq(delay(m, self.addr, self._address_register, name="address"))
        m.d.comb += word.eq(delay(m, port.data, self._output_register, name="output"))
        return m


class Ram(wiring.Component):
    """Simple dual-port RAM, synchronous read, `latency` 1, or 2 with an output register.

    A word must not be read in the cycle it is written.

    Members
    -------
    write_enable : In(1)
    write_addr : In(address_bits(depth))
    write_data : In(width)
    read_addr : In(address_bits(depth))
    read_data : Out(width)
    """

    def __init__(self, *, width: int, depth: int, latency: int = MEMORY_READ):
        if depth < 1 or width < 1:
            raise ValueError(f"a RAM must have at least one word of one bit, not {depth} of {width}")
        if not 1 <= latency <= 2:
            raise ValueError(f"a RAM is read in 1 or 2 cycles, not {latency}")
        self._width, self._depth, self._registered = width, depth, latency - 1
        super().__init__(
            {
                "write_enable": In(1),
                "write_addr": In(address_bits(depth)),
                "write_data": In(width),
                "read_addr": In(address_bits(depth)),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if isinstance(platform, MemoryTemplates):
            m.submodules.ram = Instance(
                "hwprm_ram",
                p_WIDTH=self._width,
                p_DEPTH=self._depth,
                p_ADDR_BITS=address_bits(self._depth),
                p_OUTPUT_REGISTER=self._registered,
                i_clk=ClockSignal(),
                i_write_enable=self.write_enable,
                i_write_addr=self.write_addr,
                i_write_data=self.write_data,
                i_read_addr=self.read_addr,
                o_read_data=self.read_data,
            )
            return m
        m.submodules.memory = memory = Memory(MemoryData(shape=self._width, depth=self._depth, init=[]))
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_addr),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_addr),
            self.read_data.eq(delay(m, read.data, self._registered, name="output")),
        ]
        return m

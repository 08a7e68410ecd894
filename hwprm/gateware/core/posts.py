"""The slot behind the requantiser: a lane's results, looked up in a table where their layer has one."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import delay, staged
from hwprm.gateware.primitives.layouts import layout_of
from hwprm.gateware.primitives.memories import Rom, address_bits
from hwprm.isa import Hardware, layer_format
from hwprm.isa.latencies import TABLE_READ

__all__ = ["Posts"]


class Posts(wiring.Component):
    """One lane. A result every cycle, `POST` (`hwprm.isa.latencies`) cycles after its code; no flow control.

    Every lane has the tables to itself, since all lanes want a word in every cycle. `contents` are those of the ROM
    ``posts``, for simulation by Amaranth only.

    Members
    -------
    layer : In(layer word), constant until the layer's last result has left
    code : In(act_bits), from the requantiser
    result : Out(act_bits), the word at the code's bits, or the code itself where the layer has no table
    """

    def __init__(self, hw: Hardware, contents: Sequence[int] | None = None):
        self._hw, self._contents = hw, contents
        super().__init__(
            {"layer": In(layout_of(layer_format(hw))), "code": In(hw.act_bits), "result": Out(hw.act_bits)}
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        m.submodules.rom = rom = Rom(
            name="posts", width=hw.act_bits, depth=hw.post_words, latency=TABLE_READ(hw), contents=self._contents
        )
        address = Cat(self.code, self.layer.post) if hw.posts > 1 else self.code
        m.d.comb += rom.addr.eq(address[: address_bits(hw.post_words)])
        found = Mux(self.layer.posted, rom.data, delay(m, self.code, TABLE_READ(hw), name="code_read"))
        m.d.comb += self.result.eq(staged(m, hw, found, name="result"))
        return m

"""The image's way in: AXI4-Stream beats into one of two buffers, whatever the length of the image."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.arithmetic import add_mixed
from hwprm.gateware.layouts import address_layout
from hwprm.isa import Hardware

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Receives an image while another is computed. An image of the wrong length is dropped and flagged.

    TLAST early: the beats so far are forgotten. TLAST late: beats are swallowed up to and including TLAST. Either
    way the next beat starts a new image.

    Members
    -------
    data : In(8 * data_bytes)
    valid : In(1)
    ready : Out(1)
    last : In(1)
    write : Out(1), asks for the memory's write port
    grant : In(1), the write is taken in this cycle
    write_at : Out(address)
    write_data : Out(act_bits)
    image_ready : Out(1), the image to compute next is complete
    buffer : Out(1), which buffer it lies in
    release : In(1), that image is no longer needed
    received : Out(1), pulse
    short, long : Out(1), pulses: an image was dropped
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        super().__init__(
            {
                "data": In(8 * hw.data_bytes),
                "valid": In(1),
                "ready": Out(1),
                "last": In(1),
                "write": Out(1),
                "grant": In(1),
                "write_at": Out(address_layout(hw)),
                "write_data": Out(hw.act_bits),
                "image_ready": Out(1),
                "buffer": Out(1),
                "release": In(1),
                "received": Out(1),
                "short": Out(1),
                "long": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        beats, width = hw.input_beats, hw.input_shape[2]
        count, column = Signal(range(max(2, beats))), Signal(range(max(2, width)))
        at = Signal(address_layout(hw), init={"word": hw.input_base, "bank": 0})
        filling, swallowing = Signal(), Signal()
        full = Signal(2)
        held, held_last = Signal(), Signal()
        accept, whole = Signal(), Signal()
        at_end = count == beats - 1
        gap = hw.address(hw.input_pitch - width if hw.input_shape[1] > 1 else 0)
        one = hw.address(1)
        right = add_mixed(m, hw.banks, (at.word, at.bank), (one.word, one.bank), name="right")
        below = add_mixed(m, hw.banks, right, (gap.word, gap.bank), name="below")
        row_ends = column == width - 1

        m.d.comb += [
            self.write.eq(held),
            self.image_ready.eq(full.bit_select(self.buffer, 1)),
            self.ready.eq(swallowing | ((~held | self.grant) & ~full.bit_select(filling, 1) & ~(held & held_last))),
            accept.eq(self.valid & self.ready),
            whole.eq(accept & ~swallowing & at_end & self.last),
            self.short.eq(accept & ~swallowing & ~at_end & self.last),
            self.long.eq(accept & ~swallowing & at_end & ~self.last),
            self.received.eq(self.write & self.grant & held_last),
        ]
        with m.If(self.grant):
            m.d.sync += held.eq(0)
        with m.If(accept & swallowing):
            m.d.sync += swallowing.eq(~self.last)
        with m.Elif(accept):
            m.d.sync += [
                held.eq(1),
                held_last.eq(whole),
                self.write_data.eq(self.data[: hw.act_bits]),
                self.write_at.eq(at),
                count.eq(count + 1),
                column.eq(Mux(row_ends, 0, column + 1)),
                at.word.eq(Mux(row_ends, below[0], right[0])),
                at.bank.eq(Mux(row_ends, below[1], right[1])),
                swallowing.eq(self.long),
            ]
            with m.If(at_end | self.last):
                other = Mux(filling ^ whole, hw.input_base + hw.input_words, hw.input_base)
                m.d.sync += [count.eq(0), column.eq(0), at.word.eq(other), at.bank.eq(0), filling.eq(filling ^ whole)]
        with m.If(self.received):
            m.d.sync += full.eq(full | Mux(filling, 0b01, 0b10))  # `filling` has moved on to the other buffer
        with m.If(self.release):
            m.d.sync += [full.bit_select(self.buffer, 1).eq(0), self.buffer.eq(~self.buffer)]
        return m

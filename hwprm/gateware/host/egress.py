"""The results' way out: output words into one of two buffers, and from there to the AXI4-Stream master."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.primitives.layouts import flags_layout, layout_of
from hwprm.gateware.primitives.memories import Ram
from hwprm.isa import Hardware, layer_format

__all__ = ["Egress"]


class Egress(wiring.Component):
    """Collects the words of one image while those of the one before leave.

    Words come pixel by pixel, filter by filter of a tile; they leave channel-major: word ``base + m * N + p``.

    Members
    -------
    layer : In(layer word)
    word_valid : In(1)
    word : In(signed(32))
    flags : In(flags_layout)
    layer_done : Out(1), with the last word of a layer
    frame_done : Out(1), with the last word of an image
    room : Out(1), a buffer is free for the image being computed
    data : Out(32)
    valid : Out(1)
    ready : In(1)
    last : Out(1)
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        super().__init__(
            {
                "layer": In(layout_of(layer_format(hw))),
                "word_valid": In(1),
                "word": In(signed(WIDE_BITS)),
                "flags": In(flags_layout()),
                "layer_done": Out(1),
                "frame_done": Out(1),
                "room": Out(1),
                "data": Out(WIDE_BITS),
                "valid": Out(1),
                "ready": In(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = self._hw.output_words
        m.submodules.buffer = memory = Ram(width=WIDE_BITS, depth=2 * words)
        filling, leaving, full, last = Signal(), Signal(), Signal(2), Signal(init=words == 1)
        address = self._address(m)
        m.d.comb += [
            memory.write_enable.eq(self.word_valid),
            memory.write_addr.eq(address + Mux(filling, words, 0)),
            memory.write_data.eq(self.word),
            self.layer_done.eq(self.word_valid & self.flags.layer_last & self.flags.tile_last),
            self.frame_done.eq(self.layer_done & self.flags.frame_last),
            self.room.eq(~full.bit_select(filling, 1)),
        ]
        # The word at `place` stands at the RAM's output: its address was presented in the cycle before. Where the word
        # behind it is stands in a register too, so that little lies between the host's ready and the RAM.
        primed, emptied = Signal(), Signal()
        transfer = self.valid & self.ready
        place, behind = Signal(range(2 * words)), Signal(range(2 * words), init=1)
        number = Signal(range(max(2, words)), init=1 % words)  # of the word behind, in its buffer
        m.d.comb += [
            self.data.eq(memory.read_data),
            self.valid.eq(primed),
            self.last.eq(last),
            emptied.eq(transfer & last),
            memory.read_addr.eq(Mux(transfer, behind, place)),
        ]
        m.d.sync += [leaving.eq(leaving ^ emptied), primed.eq(full.bit_select(leaving ^ emptied, 1))]
        with m.If(transfer):
            m.d.sync += [
                place.eq(behind),
                last.eq(number == words - 1),
                behind.eq(Mux(behind == 2 * words - 1, 0, behind + 1)),
                number.eq(Mux(number == words - 1, 0, number + 1)),
            ]
        with m.If(emptied):
            m.d.sync += full.bit_select(leaving, 1).eq(0)
        with m.If(self.frame_done):
            m.d.sync += [full.bit_select(filling, 1).eq(1), filling.eq(~filling)]
        return m

    def _address(self, m: Module):
        """Word of the value now coming: ``base + m * N + p``, kept up by additions."""
        bits = max(1, self._hw.output_words.bit_length())
        tile, next_tile, pixel, before = (Signal(bits, name=f"wide_{n}") for n in ("tile", "next", "pixel", "before"))
        flags, layer = self.flags, self.layer
        start, address = Signal(bits), Signal(bits)
        with m.If(~flags.pixel_first):
            m.d.comb += start.eq(tile + pixel)
        with m.Elif(flags.layer_first):
            m.d.comb += start.eq(layer.wide_base)
        with m.Else():
            m.d.comb += start.eq(next_tile)
        m.d.comb += address.eq(Mux(flags.tile_first, start, before + layer.wide_pixels))
        with m.If(self.word_valid):
            m.d.sync += before.eq(address)
            with m.If(flags.tile_first):
                m.d.sync += pixel.eq(Mux(flags.pixel_first, 1, pixel + 1))
                with m.If(flags.pixel_first):
                    m.d.sync += tile.eq(start)
            with m.If(flags.tile_last & flags.pixel_first):
                m.d.sync += next_tile.eq(address + layer.wide_pixels)
        return address

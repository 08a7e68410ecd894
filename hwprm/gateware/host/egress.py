"""The results' way out: output words into one of two buffers, and from there to the AXI4-Stream master."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.interfaces import beat_stream
from hwprm.gateware.primitives.layouts import flags_layout, layout_of
from hwprm.gateware.primitives.memories import Ram
from hwprm.isa import Hardware, layer_format
from hwprm.isa.latencies import EGRESS_WORD

__all__ = ["Egress"]


class Egress(wiring.Component):
    """Collects the words of one image while those of the one before leave.

    Words come pixel by pixel, filter by filter of a tile; they leave channel-major: word ``base + m * N + p``. With
    batches that is a batch of images: their pixels come one image behind the other, and the first `images` of them
    leave one behind the other.

    Members
    -------
    layer : In(layer word)
    word_valid : In(1)
    word : In(signed(32))
    flags : In(flags_layout)
    layer_done : Out(1), with the last word of a layer
    frame_done : Out(1), with the last word of an image
    room : Out(1), a buffer is free for the image being computed
    images : In(range(batch + 1)), those that leave, with `frame_done`, in designs with batches only
    stream : Out(beat_stream), of 32 bits
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
                **({"images": In(range(hw.batch + 1))} if hw.batch > 1 else {}),
                "stream": Out(beat_stream(WIDE_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        late = EGRESS_WORD(self._hw)
        self._word_valid = delay(m, self.word_valid, late, name="word_comes", reset_less=False)
        self._flags = delay(m, self.flags, late, name="word_flags")
        word = delay(m, self.word, late, name="word")
        words = self._hw.output_words
        places = self._hw.batch * words
        m.submodules.buffer = memory = Ram(width=WIDE_BITS, depth=2 * places)
        filling = Signal(name="filling")  # which buffer; likewise the others
        leaving = Signal(name="leaving")
        full, last = Signal(2, name="full"), Signal(init=words == 1, name="last")
        address = self._address(m)
        m.d.comb += [
            memory.write_enable.eq(self._word_valid),
            memory.write_addr.eq(address + Mux(filling, places, 0)),
            memory.write_data.eq(word),
            self.layer_done.eq(self._word_valid & self._flags.layer_last & self._flags.tile_last),
            self.frame_done.eq(self.layer_done & self._flags.frame_last),
            self.room.eq(~full.bit_select(filling, 1)),
        ]
        # The word at `place` stands at the RAM's output: its address was presented in the cycle before. Where the word
        # behind it is stands in a register too, so that little lies between the host's ready and the RAM.
        primed, emptied = Signal(), Signal()
        transfer = self.stream.valid & self.stream.ready
        place, behind = Signal(range(2 * places), name="place"), Signal(range(2 * places), init=1, name="behind")
        number = Signal(range(max(2, words)), init=1 % words)  # of the word behind, in its buffer
        m.d.comb += [
            self.stream.payload.data.eq(memory.read_data),
            self.stream.valid.eq(primed),
            self.stream.payload.last.eq(last),
            emptied.eq(transfer & last & self._last_image(m, transfer & last, leaving, filling)),
            memory.read_addr.eq(Mux(transfer, behind, place)),
        ]
        m.d.sync += [leaving.eq(leaving ^ emptied), primed.eq(full.bit_select(leaving ^ emptied, 1))]
        if self._hw.batch > 1:  # images that never came are left out, which takes a cycle
            other = Mux(leaving, 0, places)
            with m.If(emptied):
                m.d.sync += primed.eq(0)
        with m.If(transfer):
            m.d.sync += [
                place.eq(behind),
                last.eq(number == words - 1),
                behind.eq(Mux(behind == 2 * places - 1, 0, behind + 1)),
                number.eq(Mux(number == words - 1, 0, number + 1)),
            ]
        if self._hw.batch > 1:
            with m.If(emptied):
                m.d.sync += [place.eq(other), behind.eq(other + 1)]
        with m.If(emptied):
            m.d.sync += full.bit_select(leaving, 1).eq(0)
        with m.If(self.frame_done):
            m.d.sync += [full.bit_select(filling, 1).eq(1), filling.eq(~filling)]
        return m

    def _last_image(self, m: Module, image_ends, leaving, filling):
        """Whether the image that leaves is the last of its batch."""
        if self._hw.batch == 1:
            return Const(1)
        held = [Signal.like(self.images, name=f"images{i}") for i in range(2)]
        gone = Signal.like(self.images)
        last = gone + 1 == Mux(leaving, held[1], held[0])
        with m.If(image_ends):
            m.d.sync += gone.eq(Mux(last, 0, gone + 1))
        for i in range(2):
            with m.If(self.frame_done & (filling == i)):
                m.d.sync += held[i].eq(self.images)
        return last

    def _address(self, m: Module):
        """Word of the value now coming: ``base + m * N + p``, kept up by additions."""
        bits = max(1, (self._hw.batch * self._hw.output_words).bit_length())
        tile, next_tile, pixel, before = (Signal(bits, name=f"wide_{n}") for n in ("tile", "next", "pixel", "before"))
        flags, layer = self._flags, self.layer
        start, address = Signal(bits), Signal(bits)
        with m.If(~flags.pixel_first):
            m.d.comb += start.eq(tile + pixel)
        with m.Elif(flags.layer_first):
            m.d.comb += start.eq(layer.wide_base)
        with m.Else():
            m.d.comb += start.eq(next_tile)
        m.d.comb += address.eq(Mux(flags.tile_first, start, before + layer.wide_pixels))
        with m.If(self._word_valid):
            m.d.sync += before.eq(address)
            with m.If(flags.tile_first):
                m.d.sync += pixel.eq(self._next_pixel(m, pixel))
                with m.If(flags.pixel_first):
                    m.d.sync += tile.eq(start)
            with m.If(flags.tile_last & flags.pixel_first):
                m.d.sync += next_tile.eq(address + layer.wide_pixels)
        return address

    def _next_pixel(self, m: Module, pixel):
        """Distance of the next pixel's words from the first pixel's; an image's words are apart from the next one's."""
        flags, layer, hw = self._flags, self.layer, self._hw
        if hw.batch == 1:
            return Mux(flags.pixel_first, 1, pixel + 1)
        left = Signal.like(layer.wide_pixels, name="pixels_left")  # in the image, behind the pixel before this one
        now = Mux(flags.pixel_first, layer.wide_pixels, left)
        ends = now == 1
        with m.If(self._word_valid & flags.tile_first):
            m.d.sync += left.eq(Mux(ends, layer.wide_pixels, now - 1))
        step = Mux(ends, hw.output_words + 1 - layer.wide_pixels, 1)
        return (Mux(flags.pixel_first, 0, pixel) + step)[: len(pixel)]

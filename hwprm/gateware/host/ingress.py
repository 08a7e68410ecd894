"""The image's way in: AXI4-Stream beats into one of two buffers, whatever the length of the image.

The inputs of a network with several come one after the other; small tables of constants tell where each begins, how
long its rows are, and where it ends.
"""

from collections.abc import Sequence
from itertools import accumulate

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.host.places import BatchPlaces, Places
from hwprm.gateware.primitives.arithmetic import add_carry
from hwprm.gateware.primitives.interfaces import beat_stream
from hwprm.gateware.primitives.layouts import address_layout
from hwprm.isa import Hardware

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Receives an image while another is computed. An image of the wrong length is dropped and flagged.

    TLAST early: the beats so far are forgotten. TLAST late: beats are swallowed up to and including TLAST. Either
    way the next beat starts a new image. Where streams are `checked`, an image with a bad last beat is dropped as well,
    as a short one.

    Two beats wait for the write port, so that `ready` hangs on registers alone and not on who has the port.

    With batches each buffer holds `batch` images, and is complete when all have come; or, behind a `flush`, when the
    image under way is through, if any has come by then. The place of a dropped image is the next one's.

    Members
    -------
    stream : In(beat_stream), of 8 * data_bytes
    write : Out(1), asks for the memory's write port
    grant : In(1), the write is taken in this cycle
    write_at : Out(address)
    write_data : Out(act_bits)
    image_ready : Out(1), the image, or batch, to compute next is complete
    buffer : Out(1), which buffer it lies in
    release : In(1), that image, or batch, is no longer needed
    flush : In(1), pulse, in designs with batches only
    images : Out(range(batch + 1)), those that came for the batch in `buffer`, in designs with batches only
    received : Out(1), pulse
    short, long : Out(1), pulses: an image was dropped
    """

    def __init__(self, hw: Hardware, *, checked: bool = False):
        self._hw, self._checked = hw, checked
        super().__init__(
            {
                "stream": In(beat_stream(8 * hw.data_bytes, checked=checked)),
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
                **({"flush": In(1), "images": Out(range(hw.batch + 1))} if hw.batch > 1 else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        beats, widths = hw.input_beats, [part.shape[2] for part in hw.inputs]
        count = Signal(range(max(2, beats)))
        # `ends`: this beat is the last of its row, known a beat ahead.
        row = Signal(
            data.StructLayout({"column": range(max(2, *widths)), "ends": 1}), init={"column": 0, "ends": widths[0] == 1}
        )
        part = Signal(range(max(2, len(hw.inputs))))  # number of the input
        at = Signal(address_layout(hw), init={"word": hw.inputs[0].base, "bank": 0})
        swallowing = Signal()
        full = Signal(2)
        beat = data.StructLayout({"at": address_layout(hw), "data": hw.act_bits, "last": 1})
        here, behind = Signal(beat), Signal(beat)
        held, waiting, complete = Signal(), Signal(), Signal()  # beats in `here` and `behind`; a last one is among them
        accept, whole, room = Signal(), Signal(), Signal()
        awake = Signal()  # low in reset, and so is `ready`
        m.d.sync += awake.eq(1)
        at_end = count == beats - 1
        closes, completes = Const(0), Const(1)  # a batch ends early; the image held is its buffer's last
        if hw.batch == 1:
            places = Places(hw, m, whole)
        else:
            places = BatchPlaces(hw, m, whole, self.flush, (count == 0) & ~complete)
            closes, completes = places.closes, Signal()
            m.d.comb += self.images.eq(Mux(self.buffer, places.came[1], places.came[0]))
            with m.If(whole):
                m.d.sync += completes.eq(places.fills)
        filling = places.filling
        image_ends = at_end | self.stream.payload.last
        channel_ends = self._channel_ends(m, part, row.ends, accept & ~swallowing, image_ends)
        word, bank = self._following(m, at, part, row.ends, channel_ends)

        ends_well, cut = self.stream.payload.last, ~at_end
        if self._checked:
            ends_well, cut = ends_well & ~self.stream.payload.bad, cut | self.stream.payload.bad
        m.d.comb += [
            self.write.eq(held),
            self.image_ready.eq(full.bit_select(self.buffer, 1)),
            self.write_at.eq(here.at),
            self.write_data.eq(here.data),
            room.eq(~waiting & ~full.bit_select(filling, 1) & ~complete & ~closes),
            self.stream.ready.eq(awake & (swallowing | room)),
            accept.eq(self.stream.valid & self.stream.ready),
            whole.eq(accept & ~swallowing & at_end & ends_well),
            self.short.eq(accept & ~swallowing & cut & self.stream.payload.last),
            self.long.eq(accept & ~swallowing & at_end & ~self.stream.payload.last),
            self.received.eq(self.write & self.grant & here.last),
        ]
        with m.If(self.grant):
            m.d.sync += [here.eq(behind), held.eq(waiting), waiting.eq(0)]
        with m.If(accept & swallowing):
            m.d.sync += swallowing.eq(~self.stream.payload.last)
        with m.Elif(accept):
            now = Signal(beat)
            m.d.comb += [now.at.eq(at), now.data.eq(self.stream.payload.data[: hw.act_bits]), now.last.eq(whole)]
            with m.If(held & ~self.grant):
                m.d.sync += [behind.eq(now), waiting.eq(1)]
            with m.Else():
                m.d.sync += [here.eq(now), held.eq(1)]
            m.d.sync += [
                complete.eq(whole),
                count.eq(count + 1),
                row.column.eq(Mux(row.ends, 0, row.column + 1)),
                row.ends.eq(row.column == _table([max(0, width - 2) for width in widths], part)),
                at.word.eq(word),
                at.bank.eq(bank),
                swallowing.eq(self.long),
            ]
            if len(hw.inputs) > 1:
                self._next_input(m, count, row, part, at, places)
            with m.If(image_ends):
                m.d.sync += [count.eq(0), row.column.eq(0), row.ends.eq(widths[0] == 1)]
                m.d.sync += self._put(at, places.following())
                if len(hw.inputs) > 1:
                    m.d.sync += part.eq(0)
        with m.If(self.received):
            m.d.sync += complete.eq(0)  # nothing is accepted before
        with m.If(self.received & completes):
            m.d.sync += full.eq(full | Mux(filling, 0b01, 0b10))  # `filling` has moved on to the other buffer
        if hw.batch > 1:
            with m.If(closes):
                m.d.sync += [full.bit_select(filling, 1).eq(1), *self._put(at, places.following())]
        with m.If(self.release):
            m.d.sync += [full.bit_select(self.buffer, 1).eq(0), self.buffer.eq(~self.buffer)]
        return m

    def _channel_ends(self, m: Module, part, row_ends, accept, image_ends):
        """Whether a row that ends is a channel's last, in designs with batches, whose channels are further apart."""
        heights = [each.shape[1] for each in self._hw.inputs]
        if self._hw.batch == 1:
            return Const(0)
        line = Signal(range(max(2, *heights)))
        ends = line == _table([height - 1 for height in heights], part)
        with m.If(accept & row_ends):
            m.d.sync += line.eq(Mux(ends, 0, line + 1))
        with m.If(accept & image_ends):
            m.d.sync += line.eq(0)
        return ends

    def _following(self, m: Module, at, part, row_ends, channel_ends):
        """``(word, bank)`` behind `at`, a gap further where a row ends, another where it is a channel's last.

        The step is one of few constants, so the bank tells by itself, before any addition, whether a step carries.
        """
        hw = self._hw
        right, below = hw.address(1), [hw.address(1 + each.gap) for each in hw.inputs]
        beyond = [hw.address(1 + each.channel_gap(hw.batch)) for each in hw.inputs]

        def step(of) -> Value:
            down = _table([of(each) for each in below], part)
            if hw.batch > 1:
                down = Mux(channel_ends, _table([of(each) for each in beyond], part), down)
            return Mux(row_ends, down, of(right))

        carry = Signal(name="carry")
        m.d.comb += carry.eq(step(lambda by: at.bank.matches(*range(hw.banks - by.bank, hw.banks))))
        bank = Mux(carry, step(lambda by: by.bank - hw.banks), step(lambda by: by.bank))
        return add_carry(at.word, step(lambda by: by.word), carry), at.bank + bank

    def _put(self, at, address):
        return [at.word.eq(address[0]), at.bank.eq(address[1])]

    def _next_input(self, m: Module, count, row, part, at, places):
        """Behind the last beat of an input: to where the next one begins, in the buffer that fills."""
        hw = self._hw
        lasts = list(accumulate((each.beats for each in hw.inputs), initial=-1))[1:]
        following = [*hw.inputs[1:], hw.inputs[0]]
        begins = [places.begin(k) for k in (*range(1, len(hw.inputs)), 0)]
        with m.If(count == _table(lasts, part)):
            m.d.sync += [
                part.eq(part + 1),
                row.column.eq(0),
                row.ends.eq(_table([each.shape[2] == 1 for each in following], part)),
                *self._put(at, [_table([begin[i] for begin in begins], part) for i in range(2)]),
            ]


def _table(values: Sequence[ValueLike], index: Value) -> Value:
    """``values[index]``, without a choice where there is one value only."""
    values = [Value.cast(value) for value in values]
    return values[0] if len(values) == 1 else Array(values)[index]

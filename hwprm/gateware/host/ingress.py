"""The image's way in: AXI4-Stream beats into one of two buffers, whatever the length of the image.

The inputs of a network with several come one after the other; small tables of constants tell where each begins, how
long its rows are, and where it ends.
"""

from collections.abc import Sequence
from itertools import accumulate

from amaranth.hdl import Array, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import add_carry
from hwprm.gateware.primitives.layouts import address_layout
from hwprm.isa import Hardware

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Receives an image while another is computed. An image of the wrong length is dropped and flagged.

    TLAST early: the beats so far are forgotten. TLAST late: beats are swallowed up to and including TLAST. Either
    way the next beat starts a new image.

    Two beats wait for the write port, so that `ready` hangs on registers alone and not on who has the port.

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
        beats, widths = hw.input_beats, [part.shape[2] for part in hw.inputs]
        count = Signal(range(max(2, beats)))
        # `ends`: this beat is the last of its row, known a beat ahead.
        row = Signal(
            data.StructLayout({"column": range(max(2, *widths)), "ends": 1}), init={"column": 0, "ends": widths[0] == 1}
        )
        part = Signal(range(max(2, len(hw.inputs))))  # number of the input
        at = Signal(address_layout(hw), init={"word": hw.inputs[0].base, "bank": 0})
        filling, swallowing = Signal(), Signal()
        full = Signal(2)
        beat = data.StructLayout({"at": address_layout(hw), "data": hw.act_bits, "last": 1})
        here, behind = Signal(beat), Signal(beat)
        held, waiting, complete = Signal(), Signal(), Signal()  # beats in `here` and `behind`; a last one is among them
        accept, whole, room = Signal(), Signal(), Signal()
        awake = Signal()  # low in reset, and so is `ready`
        m.d.sync += awake.eq(1)
        at_end = count == beats - 1
        word, bank = self._following(m, at, part, row.ends)

        m.d.comb += [
            self.write.eq(held),
            self.image_ready.eq(full.bit_select(self.buffer, 1)),
            self.write_at.eq(here.at),
            self.write_data.eq(here.data),
            room.eq(~waiting & ~full.bit_select(filling, 1) & ~complete),
            self.ready.eq(awake & (swallowing | room)),
            accept.eq(self.valid & self.ready),
            whole.eq(accept & ~swallowing & at_end & self.last),
            self.short.eq(accept & ~swallowing & ~at_end & self.last),
            self.long.eq(accept & ~swallowing & at_end & ~self.last),
            self.received.eq(self.write & self.grant & here.last),
        ]
        with m.If(self.grant):
            m.d.sync += [here.eq(behind), held.eq(waiting), waiting.eq(0)]
        with m.If(accept & swallowing):
            m.d.sync += swallowing.eq(~self.last)
        with m.Elif(accept):
            now = Signal(beat)
            m.d.comb += [now.at.eq(at), now.data.eq(self.data[: hw.act_bits]), now.last.eq(whole)]
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
                self._next_input(m, count, row, part, at, filling)
            with m.If(at_end | self.last):
                first = hw.inputs[0].base
                other = Mux(filling ^ whole, first + hw.input_words, first)
                m.d.sync += [count.eq(0), row.column.eq(0), row.ends.eq(widths[0] == 1)]
                m.d.sync += [at.word.eq(other), at.bank.eq(0), filling.eq(filling ^ whole)]
                if len(hw.inputs) > 1:
                    m.d.sync += part.eq(0)
        with m.If(self.received):
            # `filling` has moved on to the other buffer, and nothing is accepted before.
            m.d.sync += [full.eq(full | Mux(filling, 0b01, 0b10)), complete.eq(0)]
        with m.If(self.release):
            m.d.sync += [full.bit_select(self.buffer, 1).eq(0), self.buffer.eq(~self.buffer)]
        return m

    def _following(self, m: Module, at, part, row_ends):
        """``(word, bank)`` behind `at`, a gap further where a row ends.

        The step is one of few constants, so the bank tells by itself, before any addition, whether a step carries.
        """
        hw = self._hw
        right, below = hw.address(1), [hw.address(1 + each.gap) for each in hw.inputs]

        def step(of) -> Value:
            return Mux(row_ends, _table([of(each) for each in below], part), of(right))

        carry = Signal(name="carry")
        m.d.comb += carry.eq(step(lambda by: at.bank.matches(*range(hw.banks - by.bank, hw.banks))))
        bank = Mux(carry, step(lambda by: by.bank - hw.banks), step(lambda by: by.bank))
        return add_carry(at.word, step(lambda by: by.word), carry), at.bank + bank

    def _next_input(self, m: Module, count, row, part, at, filling):
        """Behind the last beat of an input: to where the next one begins, in the buffer that fills."""
        hw = self._hw
        lasts = list(accumulate((each.beats for each in hw.inputs), initial=-1))[1:]
        following = [*hw.inputs[1:], hw.inputs[0]]
        bases = [each.base for each in following]
        with m.If(count == _table(lasts, part)):
            begin = _table(bases, part)
            m.d.sync += [
                part.eq(part + 1),
                row.column.eq(0),
                row.ends.eq(_table([each.shape[2] == 1 for each in following], part)),
                at.word.eq(Mux(filling, begin + hw.input_words, begin)),
                at.bank.eq(0),
            ]


def _table(values: Sequence[ValueLike], index: Value) -> Value:
    """``values[index]``, without a choice where there is one value only."""
    values = [Value.cast(value) for value in values]
    return values[0] if len(values) == 1 else Array(values)[index]

"""Streams of bytes in place of those of the core: activations of several bytes, and output words, least byte first."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.primitives.interfaces import beat_stream
from hwprm.isa.hosts import WORD_BYTES

__all__ = ["BytesIn", "BytesOut"]


class BytesIn(wiring.Component):
    """Beats of `count` bytes from bytes. A last byte inside a beat ends an image that is `bad`, whatever its length.

    Members
    -------
    bytes : In(beat_stream), of 8, `bad` with a last byte whose image is not to be computed
    beats : Out(beat_stream), of 8 * count
    """

    def __init__(self, count: int):
        self._count = count
        super().__init__(
            {"bytes": In(beat_stream(8, checked=True)), "beats": Out(beat_stream(8 * count, checked=True))}
        )

    def elaborate(self, platform):
        m = Module()
        here, beat = self.bytes.payload, self.beats.payload
        m.d.comb += [
            beat.data.eq(here.data),
            beat.last.eq(here.last),
            beat.bad.eq(here.bad),
            self.beats.valid.eq(self.bytes.valid),
            self.bytes.ready.eq(self.beats.ready),
        ]
        if self._count > 1:
            place, held = Signal(range(self._count)), Signal(8 * (self._count - 1))
            whole = place == self._count - 1
            m.d.comb += [
                beat.data.eq(held),
                beat.data[-8:].eq(here.data),
                beat.bad.eq(here.bad | ~whole),
                self.beats.valid.eq(self.bytes.valid & (whole | here.last)),
            ]
            with m.If(self.bytes.valid & self.bytes.ready):
                m.d.sync += place.eq(place + 1)
                with m.If(whole | here.last):
                    m.d.sync += place.eq(0)
                for i in range(self._count - 1):
                    with m.If(place == i):
                        m.d.sync += held.word_select(i, 8).eq(here.data)
        return m


class BytesOut(wiring.Component):
    """Bytes of output words. A word stands still until its last byte has left, so none is held here.

    Members
    -------
    words : In(beat_stream), of 32
    bytes : Out(beat_stream), of 8, `last` with the last byte of a last word
    """

    def __init__(self):
        super().__init__({"words": In(beat_stream(WIDE_BITS)), "bytes": Out(beat_stream(8))})

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(WORD_BYTES))
        ends = place == WORD_BYTES - 1
        m.d.comb += [
            self.bytes.payload.data.eq(self.words.payload.data.word_select(place, 8)),
            self.bytes.payload.last.eq(self.words.payload.last & ends),
            self.bytes.valid.eq(self.words.valid),
            self.words.ready.eq(self.bytes.ready & ends),
        ]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += place.eq(place + 1)
        return m

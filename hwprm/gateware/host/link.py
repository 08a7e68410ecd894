"""Frames (`hwprm.isa.frames`) between a serial line and the streams of the core's bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import crc, wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.host.serial import Receiver, Sender
from hwprm.gateware.primitives.interfaces import beat_stream
from hwprm.isa import Hardware
from hwprm.isa.frames import (
    CHECKSUM_BYTES,
    HELLO,
    IMAGE,
    LENGTH_BYTES,
    RESULT,
    STATUS,
    STATUS_BYTES,
    STATUS_FIELDS,
    SYNC,
    VERSION,
    Reason,
)
from hwprm.isa.hosts import WORD_BYTES, Host

__all__ = ["FramesIn", "FramesOut"]

CHECKSUM = crc.catalog.CRC32_ISO_HDLC(data_width=8)


class FramesIn(wiring.Component):
    """Frames from the line: images on, everything else dropped and told.

    The last byte of an image is held until the frame's checksum has come. Of an image that fails, whose first bytes may
    have left, a last byte follows that is `bad`.

    Members
    -------
    line : In(1)
    bytes : Out(beat_stream), of 8, the image
    tell : Out(1), pulse, a STATUS is due
    reason : Out(8), why
    next : Out(8), number of the image that is taken next
    dropped : Out(8), transfers since reset
    error : Out(1), any was dropped since reset
    """

    def __init__(self, hw: Hardware, host: Host):
        self._host, self._image = host, hw.input_beats * hw.data_bytes
        super().__init__(
            {
                "line": In(1),
                "bytes": Out(beat_stream(8, checked=True)),
                "tell": Out(1),
                **dict.fromkeys(("reason", "next", "dropped"), Out(8)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self._host.divider)
        m.submodules.checksum = checksum = crc.Processor(CHECKSUM)
        self._receiver, self._silent = receiver, self._silence(m, receiver.low)
        byte, beat = receiver.data, self.bytes.payload
        image, place = Signal(), Signal(range(max(self._image, CHECKSUM_BYTES)))
        lengths = Array(Mux(image, part, 0) for part in self._image.to_bytes(LENGTH_BYTES, "little"))
        # Bytes of this image are on their way; it failed, and a bad last one is to follow them.
        self._begun, self._spoilt = Signal(), Signal()
        taken = self.bytes.valid & self.bytes.ready
        m.d.comb += [receiver.line.eq(self.line), checksum.data.eq(byte)]
        with m.If(taken):
            m.d.sync += self.bytes.valid.eq(0)
        with m.If(self._spoilt & (taken | ~self.bytes.valid)):
            m.d.sync += [self.bytes.valid.eq(1), beat.last.eq(1), beat.bad.eq(1), self._spoilt.eq(0)]

        with m.FSM(init="QUIET"):
            with m.State("QUIET"):  # what comes is dropped until the line has been silent
                over = self._silent & ~self._spoilt & ~self.bytes.valid
                m.d.comb += self.tell.eq(over)
                with m.If(over):
                    m.next = "IDLE"
            with m.State("IDLE"):
                m.d.comb += checksum.start.eq(1)
                m.d.sync += [place.eq(0), self._begun.eq(0)]
                with self._byte(m, silence=False):
                    m.next = "KIND"
                    with m.If(byte != SYNC):
                        self._fail(m, Reason.HEADER)
            with m.State("KIND"), self._byte(m):
                m.d.comb += checksum.valid.eq(1)
                m.d.sync += image.eq(byte == IMAGE)
                m.next = "NUMBER"
                with m.If((byte != IMAGE) & (byte != HELLO)):
                    self._fail(m, Reason.HEADER)
            with m.State("NUMBER"), self._byte(m):
                m.d.comb += checksum.valid.eq(1)
                m.next = "LENGTH"
                with m.If(image & (byte != self.next)):
                    self._fail(m, Reason.ORDER)
            with m.State("LENGTH"), self._byte(m):
                m.d.comb += checksum.valid.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == LENGTH_BYTES - 1):
                    m.d.sync += place.eq(0)
                    m.next = "CHECKSUM"
                    with m.If(image):
                        m.next = "IMAGE"
                with m.If(byte != lengths[place[:2]]):
                    self._fail(m, Reason.HEADER)
            with m.State("IMAGE"), self._byte(m):
                m.d.comb += checksum.valid.eq(1)
                with m.If(self.bytes.valid & ~self.bytes.ready):
                    self._fail(m, Reason.OVERRUN)
                with m.Else():
                    last = place == self._image - 1
                    m.d.sync += [beat.data.eq(byte), beat.last.eq(0), beat.bad.eq(0), self.bytes.valid.eq(~last)]
                    m.d.sync += [place.eq(Mux(last, 0, place + 1)), self._begun.eq(self._begun | ~last)]
                    with m.If(last):
                        m.next = "CHECKSUM"
            with m.State("CHECKSUM"), self._byte(m):
                m.d.comb += checksum.valid.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == CHECKSUM_BYTES - 1):
                    m.next = "END"
            with m.State("END"):
                m.next = "IDLE"
                with m.If(~checksum.match_detected):
                    self._fail(m, Reason.CHECKSUM)
                with m.Elif(~image):
                    m.d.comb += self.tell.eq(1)
                    m.d.sync += self.reason.eq(Reason.ASKED)
                with m.Elif(self.bytes.valid):  # the byte before the last still waits
                    self._fail(m, Reason.OVERRUN)
                with m.Else():
                    m.d.sync += [self.next.eq(self.next + 1), self.bytes.valid.eq(1), beat.last.eq(1)]
        return m

    def _silence(self, m: Module, low) -> Value:
        """Whether the line has been high for so long that nobody sends."""
        left = Signal(range(self._host.silence), init=self._host.silence - 1, name="silence_left")
        with m.If(low):
            m.d.sync += left.eq(self._host.silence - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return left == 0

    @contextmanager
    def _byte(self, m: Module, *, silence: bool = True) -> Iterator[None]:
        """What to do with a byte; where none comes any more, if `silence` matters, the frame has failed."""
        with m.If(self._receiver.valid & self._receiver.broken):
            self._fail(m, Reason.BYTE)
        with m.Elif(self._receiver.valid):
            yield
        if silence:
            with m.Elif(self._silent):
                self._fail(m, Reason.SILENCE)

    def _fail(self, m: Module, why: Reason):
        m.d.sync += [self.reason.eq(why), self.dropped.eq(self.dropped + 1), self.error.eq(1)]
        m.d.sync += self._spoilt.eq(self._begun)
        m.next = "QUIET"


class FramesOut(wiring.Component):
    """Results, and a STATUS whenever one is due, which goes first.

    Members
    -------
    bytes : In(beat_stream), of 8, results
    tell : In(1), pulse
    reason, next, dropped : In(8), as of `FramesIn`
    line : Out(1)
    """

    def __init__(self, hw: Hardware, host: Host):
        self._hw, self._host = hw, host
        super().__init__(
            {
                "bytes": In(beat_stream(8)),
                "tell": In(1),
                **dict.fromkeys(("reason", "next", "dropped"), In(8)),
                "line": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = sender = Sender(self._host.divider)
        m.submodules.checksum = checksum = crc.Processor(CHECKSUM)
        due, status = Signal(), Signal()
        number, place = Signal(8), Signal(range(STATUS_BYTES))
        told, out = Array(self._status()), sender.bytes
        taken = out.valid & out.ready
        head = Array([Const(SYNC, 8), Mux(status, STATUS, RESULT), Mux(status, 0, number), *self._length(status)])
        # A byte is chosen a cycle before it is offered, so that no path leads from the choice through the checksum.
        byte, there = Signal(8), Signal()
        m.d.sync += [out.payload.eq(byte), out.valid.eq(there & ~taken)]
        m.d.comb += [self.line.eq(sender.line), checksum.data.eq(out.payload)]
        with m.If(taken):
            m.d.sync += place.eq(place + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [status.eq(due), place.eq(0)]
                m.d.comb += checksum.start.eq(1)
                with m.If(due | self.bytes.valid):
                    m.d.sync += due.eq(0)
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [there.eq(1), byte.eq(head[place[:3]]), checksum.valid.eq(taken & (place != 0))]
                with m.If(taken & (place == len(head) - 1)):
                    m.d.sync += place.eq(0)
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                ends = Mux(status, place == STATUS_BYTES - 1, self.bytes.payload.last)
                m.d.comb += [
                    there.eq(status | self.bytes.valid),
                    byte.eq(Mux(status, told[place], self.bytes.payload.data)),
                    self.bytes.ready.eq(~status & taken),
                    checksum.valid.eq(taken),
                ]
                with m.If(taken & ends):
                    m.d.sync += [place.eq(0), number.eq(number + ~status)]
                    m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                m.d.comb += [there.eq(1), byte.eq(checksum.crc.word_select(place[:2], 8))]
                with m.If(taken & (place == CHECKSUM_BYTES - 1)):
                    m.next = "IDLE"
        with m.If(self.tell):
            m.d.sync += due.eq(1)
        return m

    def _length(self, status) -> list[Value]:
        length = Mux(status, STATUS_BYTES, self._hw.output_words * WORD_BYTES)
        wide = Signal(8 * LENGTH_BYTES).shape()
        return [Cat(length, Const(0, wide))[8 * i : 8 * i + 8] for i in range(LENGTH_BYTES)]

    def _status(self) -> list[Value]:
        hw = self._hw
        values = {
            "version": Const(VERSION, 8),
            "reason": self.reason,
            "next": self.next,
            "dropped": self.dropped,
            "image": hw.input_beats * hw.data_bytes,
            "result": hw.output_words * WORD_BYTES,
            "hash": int(hw.design_hash, 16) if hw.design_hash else 0,
        }
        found: list[Value] = []
        for name, size in STATUS_FIELDS:
            value = values[name]
            wide = value if isinstance(value, Value) else Const(value, 8 * size)
            found += [wide[8 * i : 8 * i + 8] for i in range(size)]
        return found

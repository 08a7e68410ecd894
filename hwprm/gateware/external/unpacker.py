"""The unpacker: reads the stream's headers and hands every beat to the memory it belongs to."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.layouts import layout_of
from hwprm.isa import HEADER, TARGETS

__all__ = ["Unpacker"]


class Unpacker(wiring.Component):
    """One beat a cycle, headers included, as long as the memory that is next has room.

    Members
    -------
    valid : In(1), there is a beat
    beat : In(beat_bits)
    pop : Out(1), it is taken
    push_<target>, push_weights : Out(1), it goes there
    room_entries, room_weights : In(1), the rings; the other targets always have room
    loaded : Out(1), everything that is read only once has been handed on
    """

    def __init__(self, beat_bits: int):
        outputs = ("pop", "loaded", "push_weights", *(f"push_{name}" for name in TARGETS))
        inputs = ("valid", "room_entries", "room_weights")
        super().__init__(dict.fromkeys(outputs, Out(1)) | dict.fromkeys(inputs, In(1)) | {"beat": In(beat_bits)})

    def elaborate(self, platform):
        m = Module()
        header = layout_of(HEADER)(self.beat[: HEADER.width])
        count, weights, target = (Signal.like(header[name], name=name) for name in ("count", "weights", "target"))
        with m.If(count != 0):
            m.d.comb += self.pop.eq(self.valid & ((target != 0) | self.room_entries))
            m.d.sync += count.eq(count - self.pop)
            for number, name in enumerate(TARGETS):
                m.d.comb += getattr(self, f"push_{name}").eq(self.pop & (target == number))
        with m.Elif(weights != 0):
            m.d.comb += [self.pop.eq(self.valid & self.room_weights), self.push_weights.eq(self.pop)]
            m.d.sync += weights.eq(weights - self.pop)
        with m.Else():
            m.d.comb += self.pop.eq(self.valid)
            with m.If(self.valid):
                m.d.sync += [count.eq(header.count), weights.eq(header.weights), target.eq(header.target)]
                with m.If(header.target == 0):
                    m.d.sync += self.loaded.eq(1)
        return m

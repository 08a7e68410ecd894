"""A ring buffer between the stream and the array: a double buffer whose halves are as large as the tiles are."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.memory.row_memory import RowMemory
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.isa import RowShape
from hwprm.isa.latencies import MEMORY_READ

__all__ = ["Ring"]


class Ring(wiring.Component):
    """`rows` rows, a power of two from 2 upwards. Rows come in order; words are used in order, run by run.

    A run is used as often as it takes: its last word comes with `ends`, and then its first word is next, or with
    `release`, which stands during a run's last use and frees every row behind the word used, the next run's, which
    begins with a row. `read_delay` cycles pass before a word is read, and as many before its row is freed.

    Members
    -------
    push : In(1)
    beat : In(beat_bits)
    room : Out(1), a beat may be pushed
    ready : Out(1), the next word is there
    ready_ahead : Out(1), so are those behind it, ``ahead[0]`` in all, or with `far` ``ahead[1]``
    far : In(1), where `ahead` has two numbers only
    step : In(1), it is used in this cycle
    ends, release : In(1)
    data : Out(width), the word, `read_delay` + `latency` cycles after its step
    """

    def __init__(
        self,
        *,
        width: int,
        rows: int,
        beat_bits: int,
        read_delay: int,
        ahead: Sequence[int] = (1,),
        latency: int = MEMORY_READ,
    ):
        if rows < 2 or rows & (rows - 1):
            raise ValueError(f"a ring must have a power of two of rows from 2 upwards, not {rows}")
        self._width, self._rows, self._beat_bits, self._read_delay = width, rows, beat_bits, read_delay
        self._ahead, self._latency = ahead, latency
        self._shape = RowShape.of(width, beat_bits)
        one = dict.fromkeys(("push", "step", "ends", "release"), In(1)) | dict.fromkeys(
            ("room", "ready", "ready_ahead"), Out(1)
        )
        one |= {"far": In(1)} if len(ahead) > 1 else {}
        super().__init__(one | {"beat": In(beat_bits), "data": Out(width)})

    def elaborate(self, platform):
        m = Module()
        words = self._shape.words
        word_bits = words.bit_length() - 1
        m.submodules.memory = memory = RowMemory(
            width=self._width, depth=self._rows * words, beat_bits=self._beat_bits, latency=self._latency
        )
        position = Signal(word_bits + len(memory.written))
        first, next_run = Signal.like(position), Signal.like(position)
        row = position[word_bits:]
        m.d.comb += next_run.eq(Cat(Const(0, word_bits), (row + 1)[: len(row)]))
        with m.If(self.step & self.ends):
            m.d.sync += position.eq(Mux(self.release, next_run, first))
            with m.If(self.release):
                m.d.sync += first.eq(next_run)
        with m.Elif(self.step):
            m.d.sync += position.eq(position + 1)

        last_ahead = Signal.like(position)
        near, *far = (count - 1 for count in self._ahead)
        behind = Mux(self.far, far[0], near) if far else near
        m.d.comb += last_ahead.eq(position + behind)
        row_used, freed = Signal(), Signal()
        last_word = position[:word_bits].all() if word_bits else 1
        m.d.comb += [
            row_used.eq(self.step & self.release & (self.ends | last_word)),
            freed.eq(delay(m, row_used, self._read_delay, name="freed", reset_less=False)),
        ]
        used = Signal(range(self._rows + 1))
        m.d.sync += used.eq(used + memory.row_done - freed)
        m.d.comb += [
            memory.push.eq(self.push),
            memory.beat.eq(self.beat),
            memory.addr.eq(delay(m, position[:-1], self._read_delay, name="position")),
            self.room.eq(used != self._rows),
            self.ready.eq(row != memory.written),
            # Both differences count rows modulo twice the ring's, so none is mistaken for all.
            self.ready_ahead.eq((last_ahead[word_bits:] - row)[: len(row)] < (memory.written - row)[: len(row)]),
            self.data.eq(memory.data),
        ]
        return m

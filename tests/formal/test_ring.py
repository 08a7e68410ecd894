"""The ring hands on every word of its runs, in order and as often as it is used, whatever both of its sides do.

Unbounded, by induction, as `tests.formal.test_queues` has it: one row of any number is watched from its beats to the
words read. Runs have up to a hundred rows, those that are used more than once as many as the ring holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwprm.gateware.memory.ring import Ring
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.isa import RowShape
from tests.support.formal import Verdict, made_of, prove
from tests.support.rounds import long_round

HARNESS = """
module harness (input clk, rst, push, step, ends, last_time, far, input [{beat}-1:0] beat);
    wire room, ready, ready_ahead;
    wire [{width}-1:0] data;
    wire [{position}:0] position, first;
    wire [{row}:0] used, written;
    dut dut(
        .clk(clk), .rst(rst), .push(push), .beat(beat), .room(room), .ready(ready), .ready_ahead(ready_ahead),
        {far}.step(step), .ends(ends), .\\release (last_time), .data(data), .position(position), .\\$like (first),
        .used(used), .\\memory.written (written), {ports}
    );
    wire [7:0] watched = $anyconst;
    // Rows that came, and beats of the next one; rows that nobody will read, and those whose last word has been read.
    reg [7:0] came = 0, free = 0, freed = 0;
    reg [3:0] part = 0;
    reg [{delay}:0] on_way = 0;
    // Where the next word lies, where its run begins, whether it is used again and where it ended then.
    reg [7:0] row = 0, first_row = 0, last_row;
    reg [3:0] word = 0, last_word;
    reg again = 0, leaves = 0;
    wire [7:0] next_row = row + 1;
    wire row_done = push && part == {beats} - 1, row_ends = ends || word == {words} - 1;
    wire [{delay}+1:0] leaving = {{on_way, step && last_time && row_ends}};
    reg [{beats}*{beat}-1:0] seen;
    reg [{out}:0] known = 0;
    reg [{width}*({out}+1)-1:0] expected;
    wire [{width}-1:0] now = seen >> word * {slot};
    always @(posedge clk) begin
        if (push && came == watched) seen[part*{beat} +: {beat}] <= beat;
        expected <= {{expected, now}};
        known <= {{known, step && row == watched}};
        on_way <= leaving;
        came <= came + row_done;
        part <= row_done ? 0 : part + push;
        free <= free + leaving[0];
        freed <= freed + leaving[{delay}];
        if (step) begin
            row <= !row_ends ? row : !ends || last_time ? next_row : first_row;
            word <= row_ends ? 0 : word + 1;
            leaves <= last_time && !ends;
            if (ends) again <= !last_time;
            if (ends && last_time) first_row <= next_row;
            if (ends) {{last_row, last_word}} <= {{row, word}};
        end
        if (rst) {{came, part, free, freed, on_way, row, word, first_row, again, leaves, known}} <= 0;
    end
    wire [7:0] there = came - row, held = came - freed, unread = free - freed, behind = row - first_row;
    wire [7:0] at = watched - freed, last_at = last_row - row;
    {wires};
    wire [{stored}-1:0] stored = {chosen};
    wire [8:0] last_ahead = (word + (far ? {far_words} : {near_words}) - 1) / {words};
    always @* begin
        // Who pushes looks for room, who steps for words.
        assume (!push || room);
        assume (!step || ready);
        // A run has the same words each time, and is freed while it is used, from its first word to its last.
        if (step && again) assume (ends == (row == last_row && word == last_word));
        if (step && (behind != 0 || word != 0)) assume (last_time == leaves);
        assume (!step || ends || behind < 100);

        assert (room == (held != {rows}));
        assert (ready == (there != 0) && ready_ahead == (last_ahead < there));
        if (known[{out}-1]) assert (data == expected[{width}*{out}-1 -: {width}]);

        // What the solver needs to know of a cycle, to show it of the next.
        assert (position == (row * {words} + word) % {positions} && first == first_row * {words} % {positions});
        assert (written == came % (2 * {rows}) && used == held && held <= {rows} && there <= held);
        assert (word < {words} && part < {beats} && unread == {unread} && free == (leaves ? row : first_row));
        assert (behind <= (leaves ? 100 : {rows}));
        if (again) assert (last_word < {words} && last_at < there && (last_at != 0 || word <= last_word));
{kept}
    end
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Of a ring of four rows: words of `width` bits in beats of `beat` bits, read `delay` + `latency` cycles late."""

    width: int
    beat: int
    delay: int
    latency: int
    ahead: tuple[int, ...] = (2,)

    @property
    def parts(self) -> list[tuple[int, int, str]]:
        """What a row has of memories or words: bits, where they are among its beats, and when they are there."""
        row = RowShape.of(self.width, self.beat)
        if row.beats == 1:
            return [(self.width, i * (self.beat // row.words), "at < held") for i in range(row.words)]
        bits = [min(self.beat, self.width - i * self.beat) for i in range(row.beats)]
        return [(n, i * self.beat, f"at < held || (at == held && part > {i})") for i, n in enumerate(bits)]

    def ring(self, kind: type[Ring] = Ring) -> Ring:
        sizes = {"width": self.width, "rows": ROWS, "beat_bits": self.beat}
        return kind(**sizes, read_delay=self.delay, ahead=self.ahead, latency=self.latency)


#: Rows of the ring.
ROWS = 4
SHAPES = (
    Shape(width=3, beat=16, delay=0, latency=1),
    Shape(width=5, beat=4, delay=2, latency=2, ahead=(1, 3)),
    Shape(width=4, beat=4, delay=1, latency=1, ahead=(3,)),
)


def _verdict(folder: Path, dut: Ring, shape: Shape) -> Verdict:
    row = RowShape.of(shape.width, shape.beat)
    kept, low = [], 0
    for bits, at, when in shape.parts:
        kept.append(f"        if ({when}) assert (stored[{low} +: {bits}] == seen[{at} +: {bits}]);")
        low += bits
    # Beats of their own memory each, or all words of a row in one.
    widths = [bits for bits, _, _ in shape.parts] if row.beats > 1 else [low]
    names = [[f"row{i}_{part}" for part in range(len(widths))] for i in range(ROWS)]
    ports, wires = [], []
    for i, parts in enumerate(names):
        for part, name in enumerate(parts):
            ports.append(f".\\memory.part{part}.ram.mem[{i}] ({name})")
            wires.append(f"wire [{widths[part] - 1}:0] {name}")
    if row.beats > 1:
        ports.append(".\\memory.part (beats)")
        wires.append(f"wire [{(row.beats - 1).bit_length() - 1}:0] beats")
        kept.append("        assert (beats == part);")
    chosen = "".join(f"watched % {ROWS} == {i} ? {{{', '.join(parts[::-1])}}} : " for i, parts in enumerate(names))
    harness = HARNESS.format(
        **{"beat": shape.beat, "width": shape.width, "beats": row.beats, "words": row.words, "rows": ROWS},
        **{"delay": shape.delay, "out": shape.delay + shape.latency, "slot": shape.beat // row.words},
        **{"row": ROWS.bit_length() - 1, "positions": 2 * ROWS * row.words},
        **{"position": (2 * ROWS * row.words - 1).bit_length() - 1, "stored": low, "chosen": chosen + "0"},
        **{"unread": " + ".join(["0", *(f"on_way[{i}]" for i in range(shape.delay))])},
        **{"near_words": shape.ahead[0], "far_words": shape.ahead[-1], "kept": "\n".join(kept)},
        **{"far": ".far(far), " if len(shape.ahead) > 1 else "", "ports": ", ".join(ports), "wires": "; ".join(wires)},
    )
    # The first word of the run has no name of its own: it is like the position.
    shown = ["position", "$like", "used", "memory.written", "memory.part", "memory.part*.ram.mem[[]*"]
    return prove(folder, harness, [made_of(folder, dut, shown)], steps=shape.delay + shape.latency + 4)


@pytest.mark.parametrize("shape", long_round(SHAPES, quick=3))
def test_words_are_those_of_the_runs(shape: Shape, tmp_path: Path) -> None:
    assert _verdict(tmp_path, shape.ring(), shape) is Verdict.PROVEN


def _early(ring: Ring, m) -> None:
    """Words are there a cycle before their row is."""
    with m.If(ring.push):
        m.d.comb += ring.ready.eq(1)


def _torn(ring: Ring, m) -> None:
    """A beat that comes while a word is used is another one."""
    m.d.comb += m.submodules.memory.beat.eq(ring.beat ^ ring.step)


@pytest.mark.parametrize("fault", [_early, _torn])
def test_a_fault_is_found(fault: Callable[..., None], tmp_path: Path) -> None:
    class Faulty(Ring):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            fault(self, m)
            return m

    shape = SHAPES[0]
    assert _verdict(tmp_path, shape.ring(Faulty), shape) is Verdict.REFUTED


def test_a_row_that_is_freed_before_it_is_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for a beat while the word in its place has yet to be read."""

    def early(m, value, cycles, *, name, **others):
        return delay(m, value, cycles - (name == "freed"), name=name, **others)

    monkeypatch.setattr("hwprm.gateware.memory.ring.delay", early)
    assert _verdict(tmp_path, SHAPES[1].ring(), SHAPES[1]) is Verdict.REFUTED

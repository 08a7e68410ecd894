"""Memories between handshakes neither lose, invent nor exchange a word: in any order of handshakes, for all time.

Each proof is unbounded, by induction: counters of the harness, which are wider than those of the block and wrap as they
do, number what came and what left, and one word of any number is watched on its way. A RAM that is read in the cycle
it is written answers with anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwprm.gateware.external.unpacker import Unpacker
from hwprm.gateware.memory.beat_fifo import BeatFifo
from tests.support.formal import Verdict, made_of, prove

FIFO = """
module harness (input clk, rst, write, pop, input [1:0] word);
    wire valid;
    wire [1:0] head, {memory};
    wire [{bits}:0] written, read;
    dut dut(
        .clk(clk), .rst(rst), .write(write), .write_data(word), .valid(valid), .data(head), .pop(pop),
        .written(written), .read(read), {ports}
    );
    wire [7:0] watched = $anyconst;
    // Beats that came, came until a cycle before, and left.
    reg [7:0] came = 0, came_before = 0, left = 0;
    reg [1:0] seen;
    wire [7:0] inside = came - left, at = watched - left, new = came - came_before, old = came_before - left;
    always @(posedge clk) begin
        came <= rst ? 0 : came + write;
        came_before <= rst ? 0 : came;
        left <= rst ? 0 : left + pop;
        if (write && came == watched) seen <= word;
    end
    reg [1:0] stored;
    always @* begin
        assume (!write || inside < {depth});
        assume (!pop || valid);
        // Every beat is at the head two cycles after it came at the latest, and no other is.
        assert (valid == (came_before != left));
        if (valid && left == watched) assert (head == seen);
        // What the solver needs to know of a cycle, to show it of the next.
        assert (inside <= {depth} && new <= 1 && old <= {depth});
        assert (written == came[{bits}:0] && read == left[{bits}:0]);
        case (watched[{bits}-1:0])
{stored}
        endcase
        if (at < inside) assert (stored == seen);
    end
endmodule
"""


UNPACKER = """
module harness (input clk, rst, valid, room_entries, room_weights, input [39:0] beat);
    wire pop, loaded, push_entries, push_tiles, push_layers, push_stores, push_params, push_weights;
    wire [15:0] count, weights;
    wire [3:0] target;
    dut dut(
        .clk(clk), .rst(rst), .valid(valid), .beat(beat), .pop(pop), .room_entries(room_entries),
        .room_weights(room_weights), .loaded(loaded), .push_entries(push_entries), .push_tiles(push_tiles),
        .push_layers(push_layers), .push_stores(push_stores), .push_params(push_params), .push_weights(push_weights),
        .count(count), .weights(weights), .target(target)
    );
    wire [5:0] pushes = {push_weights, push_params, push_stores, push_layers, push_tiles, push_entries};
    // The chunk by its header, and how many of its beats have been taken; a header is next where all have.
    reg [15:0] of_target = 0, of_weights = 0;
    reg [16:0] taken = 0;
    reg [3:0] number = 0;
    reg begun = 0;
    wire [16:0] all = of_target + of_weights;
    wire header = taken == all, to_weights = !header && taken >= of_target, to_target = !header && !to_weights;
    wire room = to_weights ? room_weights : to_target && number == 0 ? room_entries : 1;
    wire [16:0] left_of_target = of_target - taken, left = all - taken;
    always @(posedge clk)
        if (rst) {of_target, of_weights, taken, number, begun} <= 0;
        else if (pop && header) begin
            {number, of_weights, of_target} <= beat[35:0];
            taken <= 0;
            begun <= begun || beat[35:32] == 0;
        end else taken <= taken + pop;
    always @* begin
        assume (!header || beat[35:32] < 5);
        // A beat is taken where it has room, at once, and goes to one place; a header to none.
        assert (pop == (valid && room));
        assert (pushes == (!pop || header ? 0 : to_weights ? 6'd32 : 6'd1 << number));
        assert (loaded == begun);
        // What the solver needs to know of a cycle, to show it of the next.
        assert (taken <= all && number < 5);
        assert (count == (taken < of_target ? left_of_target : 0));
        assert (weights == (taken < of_target ? of_weights : left));
        if (count != 0) assert (target == number);
    end
endmodule
"""


def _fifo(folder: Path, dut: BeatFifo, depth: int) -> Verdict:
    memory = [f"mem{i}" for i in range(depth)]
    values = {
        "memory": ", ".join(memory),
        "ports": ", ".join(f".\\ram.ram.mem[{i}] ({name})" for i, name in enumerate(memory)),
        "stored": "\n".join(f"            {i}: stored = {name};" for i, name in enumerate(memory)),
    }
    harness = FIFO.format(depth=depth, bits=depth.bit_length() - 1, **values)
    return prove(folder, harness, [made_of(folder, dut, ["written", "read", "ram.ram.mem[[]*"])], steps=6)


@pytest.mark.parametrize("depth", [2, 4, 32])
def test_fifo(depth: int, tmp_path: Path) -> None:
    assert _fifo(tmp_path, BeatFifo(width=2, depth=depth), depth) is Verdict.PROVEN


def _unpacker(folder: Path, dut: Unpacker) -> Verdict:
    return prove(folder, UNPACKER, [made_of(folder, dut, ["count", "weights", "target"])], steps=3)


def test_unpacker(tmp_path: Path) -> None:
    assert _unpacker(tmp_path, Unpacker(40)) is Verdict.PROVEN


def _lost(dut: BeatFifo, m) -> None:
    """A beat that comes while another one leaves is not kept."""
    m.d.comb += m.submodules.ram.write_enable.eq(dut.write & ~dut.pop)


def _early(dut: BeatFifo, m) -> None:
    """A beat is at the head a cycle before the memory has it."""
    with m.If(dut.write):
        m.d.sync += dut.valid.eq(1)


def _greedy(dut: Unpacker, m) -> None:
    """Takes beats of lists without looking for room."""
    with m.If(~dut.room_entries & dut.room_weights):
        m.d.comb += dut.pop.eq(dut.valid)


def _doubled(dut: Unpacker, m) -> None:
    """A header goes where weights go as well."""
    with m.If(dut.valid & ~dut.loaded):
        m.d.comb += dut.push_weights.eq(dut.pop & ~dut.push_tiles)


@pytest.mark.parametrize("fault", [_lost, _early, _greedy, _doubled])
def test_a_fault_is_found(fault: Callable[..., None], tmp_path: Path) -> None:
    kind = BeatFifo if fault in (_lost, _early) else Unpacker

    class Faulty(kind):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            fault(self, m)
            return m

    found = _fifo(tmp_path, Faulty(width=2, depth=4), 4) if kind is BeatFifo else _unpacker(tmp_path, Faulty(40))
    assert found is Verdict.REFUTED

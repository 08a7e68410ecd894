"""The word queue hands on each sum of a pixel tile once, in order, each with its filter's multiplier and shift.

Unbounded, by induction, with tiles as close together as the schedule has them: a cycle for every word of one before the
next. One sum of any lane and filter is watched. Designs with batches, whose tiles end with an image, are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwprm.gateware.core.word_queue import WordQueue
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.isa import Hardware, layer_format, param_format
from tests.support.formal import Verdict, made_of, prove
from tests.support.hardware import hardware
from tests.support.rounds import long_round

HARNESS = """
module harness (
    input clk, rst, start, other, layer_first, pixel_first, layer_last, frame_last,
    input [{filter}:0] filters, its_filter, input [{sum}*{lanes}-1:0] sums, input [{scale}-1:0] scale,
    input [{pixels}-1:0] pixels
);
    wire valid, active;
    wire [5:0] flags;
    wire [{scale}+{sum}-1:0] queued;
    wire [{filter}:0] filt;
    wire [{lane}:0] lane, last_lane;
    wire [{pixels}-1:0] pixels_left;
    wire [{tag}-1:0] tag;
    // The word that leaves is number `at` of the tile, from 1; 0 where none does.
    reg [7:0] at = 0, words = 0, since = 255;
    reg [7:0] lanes_used = 0, filters_used = 1;
    reg signed [7:0] left = 0;
    reg [3:0] marks = 0;
    wire signed [7:0] now = pixel_first ? {{1'b0, pixels}} : left;
    wire [7:0] lanes_now = now < {lanes} ? now : {lanes}, filters_now = filters + 1;
    // Between tiles come sums of layers that store theirs.
    wire [7:0] filter_now = start ? 0 : at == 0 ? its_filter : at;
    wire write = start || (at == 0 ? other : at < filters_used);
    dut dut(
        .clk(clk), .rst(rst), .start(start), .write(write), .filter(filter_now[{filter}:0]),
        .tag({{frame_last, layer_last, pixel_first, layer_first, {param}'d0, filters, 1'b1}}),
        .layer({{pixels, {below}'d0}}), .head({{scale, sums[{sum}-1:0]}}), {given}
        .valid(valid), .queued(queued), .flags(flags), .\\$signal (active), .\\$like (filt), .\\{lane_name} (lane),
        .\\{tag_name} (tag),
        .last_lane(last_lane), .pixels_left(pixels_left), {ports}
    );
    // The sum that is watched, which its lane has as many cycles after lane 0 has its own; and what it is scaled with.
    wire [7:0] watched_lane = $anyconst, watched = $anyconst;
    reg [{lanes}-1:0] before = 0;
    wire [{lanes}:0] comes = {{before, write && filter_now == watched}};
    reg [{sum}-1:0] sum;
    reg [{scale}-1:0] its_scale;
    reg sum_known = 0, scale_known = 0;
    // What is to leave in the next cycle.
    wire [7:0] place = at - 1, filter = place % filters_used;
    wire is_it = at != 0 && place == watched_lane * filters_used + watched && watched < filters_used;
    reg leaves = 0, sum_leaves = 0, scale_leaves = 0;
    reg [5:0] marked;
    reg [{sum}-1:0] sum_out;
    reg [{scale}-1:0] scale_out;
    always @(posedge clk) begin
        at <= start ? 1 : at == words ? 0 : at + (at != 0);
        since <= start ? 1 : since + (since != 255);
        before <= comes;
        if (comes[watched_lane]) begin
            sum <= sums >> {sum} * watched_lane;
            sum_known <= 1;
        end
        if (comes[0]) begin
            its_scale <= scale;
            scale_known <= 1;
        end
        if (start) begin
            lanes_used <= lanes_now;
            filters_used <= filters_now;
            words <= lanes_now * filters_now;
            left <= now - {rows};
            marks <= {{frame_last, layer_last, pixel_first, layer_first}};
        end
        leaves <= at != 0;
        sum_leaves <= is_it;
        scale_leaves <= at != 0 && filter == watched;
        marked <= {{
            marks[3], marks[2] && place + filters_used >= words, marks[1] && at <= filters_used, marks[0],
            filter + 1 == filters_used, filter == 0
        }};
        sum_out <= sum;
        scale_out <= its_scale;
        if (rst) begin
            {{at, before, left, leaves, sum_leaves, scale_leaves}} <= 0;
            since <= 255;
        end
    end
    wire [{sum}-1:0] stored = {stored};
    wire [{scale}-1:0] stored_scale = {stored_scale};
    always @* begin
        assume (watched_lane < {lanes} && watched < {cols} && its_filter < {cols});
        assume (!start || (since >= words && filters < {cols} && now > 0));
        assert (!start || at == 0 || at == words);  // nothing is left of the tile before
        assert (valid == leaves);
        if (valid) assert (flags == marked);
        if (sum_leaves) assert (queued[{sum}-1:0] == sum_out);
        if (scale_leaves) assert (queued[{scale}+{sum}-1:{sum}] == scale_out);
        // What the solver needs to know of a cycle, to show it of the next.
        assert (at <= words && (at == 0 ? since >= words : since == at));
        assert (filters_used >= 1 && filters_used <= {cols} && lanes_used <= {lanes});
        assert (words == lanes_used * filters_used && active == (at != 0));
        if (active) assert (place == lane * filters_used + filt && filt < filters_used && last_lane == lanes_used - 1);
        if (active) assert (lanes_used != 0 && lane < lanes_used);
        if (active) assert (tag[{tag}-1 -: 4] == marks && tag[1 +: {filter}+1] + 1 == filters_used);
        if (left > 0) assert (pixels_left == left);
        if (sum_known) assert (stored == sum);
        if (scale_known) assert (stored_scale == its_scale);
        if (active && watched < filters_used && at > watched) assert (scale_known);
        if (active && watched < filters_used && at > watched + watched_lane) assert (sum_known);
    end
endmodule
"""


def _verdict(folder: Path, hw: Hardware, dut: WordQueue) -> Verdict:
    filters, lanes = range(hw.cols), range(hw.wide_lanes)
    form = layer_format(hw)
    below = sum(field.width for field in form.fields[: [field.name for field in form.fields].index("wide_pixels")])
    pixels = next(field.width for field in form.fields if field.name == "wide_pixels")
    scale = sum(field.width for field in param_format(hw).fields if field.name in ("mult", "shift"))
    assert [field.name for field in form.fields if field.name.startswith("wide_")][-2:] == ["wide_pixels", "wide_base"]
    made = made_of(folder, dut, ["$signal*", "$like", "tag$*", "last_lane", "pixels_left", "sums*[[]*", "scales[[]*"])
    # Signals whose names the block takes for two, of which the second gets a number.
    text = (folder / "dut.il").read_text()
    lane_name, tag_name = (
        next(iter(re.findall(rf"wire width \d+ \\({name}\$\d+)$", text, re.M))) for name in (r"\$signal", "tag")
    )
    ports = [f".\\sums{r}[{f}] (sums{r}_{f})" for r in lanes for f in filters]
    ports += [f".\\scales[{f}] (scale{f})" for f in filters]
    wires = "".join(f"wire [{hw.sum_bits - 1}:0] sums{r}_{f};\n" for r in lanes for f in filters)
    wires += "".join(f"wire [{scale - 1}:0] scale{f};\n" for f in filters)
    chosen = [f"watched_lane == {r} && watched == {f} ? sums{r}_{f} : " for r in lanes for f in filters]
    harness = HARNESS.format(
        **{"filter": max(1, (hw.cols - 1).bit_length()) - 1, "sum": hw.sum_bits, "lanes": hw.wide_lanes},
        **{"scale": scale, "pixels": pixels, "lane": max(1, (hw.wide_lanes - 1).bit_length()) - 1},
        **{"param": max(1, (hw.params - 1).bit_length()), "below": below, "cols": hw.cols, "rows": hw.rows},
        **{"tag": len(dut.tag.as_value()), "tag_name": tag_name},
        **{"lane_name": lane_name, "ports": ", ".join(ports), "stored": "".join(chosen) + "0"},
        **{"stored_scale": "".join(f"watched == {f} ? scale{f} : " for f in filters) + "0"},
        **{"given": "".join(f".sums_{r - 1}(sums[{r * hw.sum_bits} +: {hw.sum_bits}]), " for r in lanes if r)},
    )
    harness = harness.replace("    dut dut(", wires + "    dut dut(")
    return prove(folder, harness, [made], steps=hw.wide_lanes + 4)


SMALL = {"acc_bits": 2, "shift_min": 1, "shift_max": 2, "params": 2, "wide_pixels_max": 7}
KINDS = (
    SMALL | {"rows": 3, "cols": 2, "wide_lanes": 3},
    SMALL | {"rows": 4, "cols": 3, "wide_lanes": 2},
)


@pytest.mark.parametrize("parameters", long_round(KINDS, quick=1))
def test_every_word_leaves_once(parameters: dict[str, int], tmp_path: Path) -> None:
    hw = hardware(**parameters)
    assert _verdict(tmp_path, hw, WordQueue(hw)) is Verdict.PROVEN


class _Full(WordQueue):
    """Sends words of lanes without a pixel."""

    def _last_lane(self, m):
        return super()._last_lane(m) | self._hw.wide_lanes - 1


class _Late(WordQueue):
    """Stores the second lane's sums a cycle late: those of the filter behind."""

    def _memory(self, m, name, at, value, read_at):
        late = delay(m, at, int(name == "sums1"), name="late")
        return super()._memory(m, name, late, value, read_at)


@pytest.mark.parametrize("kind", [_Full, _Late])
def test_a_fault_is_found(kind: type[WordQueue], tmp_path: Path) -> None:
    hw = hardware(**KINDS[0])
    assert _verdict(tmp_path, hw, kind(hw)) is Verdict.REFUTED


def test_tiles_without_a_cycle_for_every_word_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the schedule promises is needed."""
    monkeypatch.setitem(globals(), "HARNESS", HARNESS.replace("since >= words &&", "since + 1 >= words &&"))
    hw = hardware(**KINDS[0])
    assert _verdict(tmp_path, hw, WordQueue(hw)) is Verdict.REFUTED

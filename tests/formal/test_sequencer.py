"""The sequencer issues every entry of a schedule once, in order, image for image, whatever it has to wait for.

The schedule is one of constants: filter tiles of two layers, with several pixel tiles, windows, idle cycles and, with
residuals, tails. Unbounded, by induction: the waits, a reset among them, may come in any cycle and last for any time.
What is to be issued is counted by a harness that walks through a list of all entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from amaranth.hdl import Signal

from hwprm.gateware.core.sequencer import Sequencer
from hwprm.isa import ExternalMemory, Hardware, layer_format, tile_format
from tests.support.formal import Verdict, made_of, prove
from tests.support.hardware import hardware
from tests.support.rounds import long_round

HARNESS = """
module harness (
    input clk, rst, lanes_ready, layer_done, run, image_ready, room, words_ready, tail_ready, loaded
);
    wire [{tile_addr}-1:0] tile_addr;
    wire [{layer_addr}-1:0] layer_addr;
    wire [{tile}-1:0] tile, now;
    wire [{layer}-1:0] layer_word, layer, result_layer;
    wire [{entry_addr}-1:0] entry_addr;
    wire [{weight_addr}-1:0] weight_addr;
    wire [4:0] slot, use_it;
    wire [{tag}-1:0] tag;
    wire [2:0] fsm_state;
    wire [7:0] seen_column, seen_window, seen_pixel_tile;
    wire frame_start, layer_start, memory_stalled, seen_pending, seen_frame_first;
    dut dut(
        .clk(clk), .rst(rst), .lanes_ready(lanes_ready), .layer_done(layer_done), .run(run), .image_ready(image_ready),
        .room(room), .words_ready(words_ready), .tail_ready(tail_ready), .loaded(loaded), .tile_addr(tile_addr),
        .tile(tile), .layer_addr(layer_addr), .layer_word(layer_word), .layer(layer), .result_layer(result_layer),
        .entry_addr(entry_addr), .weight_addr(weight_addr), .slot(slot), .\\use (use_it), .tag(tag),
        .fsm_state(fsm_state), .now(now), .frame_start(frame_start), .layer_start(layer_start),
        .memory_stalled(memory_stalled), .seen_column(seen_column), .seen_window(seen_window),
        .seen_pixel_tile(seen_pixel_tile), .seen_pending(seen_pending), .seen_frame_first(seen_frame_first)
    );
    // The tables: the words at addresses of one cycle before, or of two.
    reg [7:0] tile_read, tile_at, layer_read, layer_at;
    always @(posedge clk) begin
        tile_read <= tile_addr;
        tile_at <= {fast} ? tile_read : tile_addr;
        layer_read <= layer_addr;
        layer_at <= {fast} ? layer_read : layer_addr;
    end
    assign tile = {tile_words};
    assign layer_word = {layer_words};

    // The next entry, what is to be said of it, and what comes behind it.
    reg [7:0] number = 0;
    wire [{entry_addr}-1:0] entry_is;
    wire [{weight_addr}-1:0] weight_is;
    wire [4:0] slot_is, use_is;
    wire [{tag}-1:0] tag_is;
    wire [7:0] column_is, window_is, pixel_tile_is, tile_is, layer_is, idle_is;
    wire ends_layer, tail_begins, wide_first;
    assign {{{fields}}} = {entries};
    // Whether a layer has yet to begin, the idle cycles to come, and whether the layer's results are awaited.
    reg held = 1, awaited = 0, done_before = 0, image_before = 0, room_before = 0, may_begin = 0, was_loaded = 0;
    reg [7:0] idle = 0, held_for = 0;
    wire turn = (!held || layer_start) && idle == 0;
    wire words = {external} ? (tail_begins ? tail_ready : words_ready) : 1;
    wire issues = turn && words;
    wire image_is = {fast} ? image_before : image_ready && run, room_is = {fast} ? room_before : room;
    wire done = {fast} ? done_before : layer_done;
    always @(posedge clk) begin
        number <= issues ? (number == {count} - 1 ? 0 : number + 1) : number;
        held <= issues && ends_layer || held && !layer_start;
        idle <= issues ? idle_is : idle - (idle != 0);
        awaited <= layer_start || awaited && !done;
        done_before <= layer_done;
        image_before <= image_ready && run;
        room_before <= room;
        may_begin <= held && !awaited && lanes_ready && (number != 0 || image_is) && (!wide_first || room_is);
        held_for <= !held || layer_start || !loaded ? 0 : held_for + (held_for != 15);
        was_loaded <= loaded;
        if (rst) {{number, idle, awaited, done_before, image_before, room_before, may_begin, held_for}} <= 0;
        if (rst) {{held, was_loaded}} <= 2'b10;
    end
    localparam FETCH = 0, LOAD = 1, START = 2, WAIT = 3, ISSUE = 4, IDLE = 5;
    wire [7:0] tile_behind = tile_is == {tiles} - 1 ? 0 : tile_is + 1;
    wire [7:0] layer_behind = layer_is == {layers} - 1 ? 0 : layer_is + 1;
    always @* begin
        assume ({external} || (words_ready && tail_ready && loaded));  // as of ROMs
        assume (loaded || !was_loaded);
        assume (!layer_done || (awaited && !done_before && !layer_start));
        // Each entry in its turn, and nothing between them.
        assert (slot == (issues ? slot_is : 0) && tag == (issues ? tag_is : 0));
        if (issues) assert (layer == {layer_now} && result_layer == layer);
        if ({external}) assert (use_it == (issues ? use_is : 0) && memory_stalled == (turn && !words));
        else if (issues) assert (entry_addr == entry_is && weight_addr == weight_is);
        // A layer begins when everything that it waits for is there, and then it does.
        if (layer_start) assert (held && may_begin);
        assert (frame_start == (layer_start && number == 0));
        if (held_for >= {setup} && may_begin) assert (layer_start);
        // What the solver needs to know of a cycle, to show it of the next.
        assert (number < {count} && fsm_state <= IDLE && idle <= {idle_most});
        assert (seen_pending == (awaited || layer_start));
        assert (seen_column == column_is && seen_window == window_is && seen_pixel_tile == pixel_tile_is);
        if (fsm_state == ISSUE) assert ((!held || layer_start) && idle == 0);
        if (fsm_state == IDLE) assert (!held && !layer_start && idle != 0);
        if (fsm_state < ISSUE) assert (held && !layer_start && idle == 0 && begins);
        if (fsm_state == FETCH) assert (number == 0 && seen_frame_first);
        if (fsm_state == LOAD) assert (number == 0 ? seen_frame_first || now_last : !seen_frame_first && !now_last);
        if (fsm_state > LOAD) assert (seen_frame_first == (fsm_state < ISSUE && number == 0));
        if (fsm_state > START) assert (now == {tile_now});
        if (fsm_state > LOAD) assert (layer == {layer_now});
        if (fsm_state > START && !{external}) assert (entry_addr == entry_is && weight_addr == weight_is);
        if ({fast}) assert (tile_addr == (fsm_state > START ? tile_behind : tile_is));
        else if (fsm_state != FETCH) assert (tile_at == (fsm_state > START ? tile_behind : tile_is));
        if ({fast}) assert (layer_addr == (fsm_state > LOAD ? layer_behind : layer_is));
        else if (fsm_state != FETCH) assert (layer_at == (fsm_state > LOAD ? layer_behind : layer_is));
    end
    wire begins = column_is == 0 && window_is == 0 && pixel_tile_is == 0, now_last = now[{frame_last}];
endmodule
"""
#: What is told of an entry: fields of the harness, each with the words for their widths above.
FIELDS = ("entry_is", "weight_is", "slot_is", "use_is", "tag_is", "column_is", "window_is", "pixel_tile_is", "tile_is")
FIELDS += ("layer_is", "idle_is", "ends_layer", "tail_begins", "wide_first")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A filter tile, with plain counts."""

    layer: int
    length: int
    passes: int = 1
    pixel_tiles: int = 1
    idle: int = 0
    idle_last: int = 0
    #: Entries that a tail of its own comes behind, which ends the list; 0: it has none.
    shared: int = 0


TILES = (
    Tile(layer=0, length=3, passes=2, pixel_tiles=2, idle=1, idle_last=2),
    Tile(layer=0, length=2, pixel_tiles=3),
    Tile(layer=1, length=1, pixel_tiles=2, idle=2),
)
#: With residuals: tails of as many entries as there are columns, at least; as many cycles a pixel tile as are needed.
TAILED = (
    Tile(layer=0, length=4, passes=2, pixel_tiles=2, idle_last=1),
    Tile(layer=1, length=6, shared=3, pixel_tiles=2, idle=1),
    Tile(layer=1, length=7, shared=4),
)
#: With an end that is reached soon.
BRIEF = (Tile(layer=0, length=2), Tile(layer=0, length=1, pixel_tiles=2), Tile(layer=1, length=1))
COMMON = {"cols": 2, "tiles": 3, "layers": 2, "pass_length_max": 8, "passes_max": 2, "pixel_tiles_max": 3}
COMMON |= {"idle_max": 2, "entries": 32, "weights": 32}


def _fields(hw: Hardware, tiles: Sequence[Tile]) -> list[dict[str, int]]:
    """Each tile's descriptor."""
    names, found = [field.name for field in tile_format(hw).fields], []
    for i, tile in enumerate(tiles):
        last = i + 1 == len(tiles)
        values = {
            **{"entry_base": 9 * i, "weight_base": 8 * i + 1, "param_base": 5 * i, "length": tile.length - 1},
            **{"passes": tile.passes - 1, "idle": tile.idle, "idle_last": tile.idle_last, "keep": i == 0},
            **{"pixel_tiles": tile.pixel_tiles - 1, "filters": i % 2, "frame_last": last},
            **{"layer_first": i == 0 or tiles[i - 1].layer != tile.layer},
            **{"layer_last": last or tiles[i + 1].layer != tile.layer},
            **{"shared": tile.shared, "tail_base": 20 + 4 * i, "tail": tile.shared > 0},
        }
        found.append({name: int(values[name]) for name in names})
    return found


def _entries(hw: Hardware, tiles: Sequence[Tile]) -> Iterator[dict[str, int]]:
    """All entries in their order, by the words of the sequencer's docstring."""
    for number, (tile, word) in enumerate(zip(tiles, _fields(hw, tiles), strict=True)):
        for pixel_tile in range(tile.pixel_tiles):
            for window in range(tile.passes):
                for column in range(tile.length):
                    yield _entry(hw, number, tile, word, (pixel_tile, window, column))


def _entry(hw: Hardware, number: int, tile: Tile, word: Mapping[str, int], at: tuple[int, int, int]) -> dict[str, int]:
    pixel_tile, window, column = at
    ends, last = column + 1 == tile.length, pixel_tile + 1 == tile.pixel_tiles
    tile_ends = ends and window + 1 == tile.passes
    place = window * tile.length + column
    if tile.shared and column >= tile.shared and not hw.external:
        place = word["tail_base"] - word["entry_base"] + column - tile.shared
    slot = (column == 0, ends, window == 0, tile_ends and not last, tile_ends and last)
    use = (True, tile_ends, last and not word.get("keep"), ends, last and window + 1 == tile.passes)
    filters, params = max(1, (hw.cols - 1).bit_length()), max(1, (hw.params - 1).bit_length())
    marks = (word["layer_first"], pixel_tile == 0, word["layer_last"] and last, word["frame_last"])
    tag = int(tile_ends) | word["filters"] << 1 | word["param_base"] << 1 + filters
    tag |= _bits(marks) << 1 + filters + params
    idle = tile.idle_last if last and hw.idle_differs else tile.idle
    ends_layer = bool(tile_ends and last and word["layer_last"])
    tail = tile.shared > 0 and bool(hw.external) and column == tile.length - hw.cols
    return {
        **{"entry_is": word.get("entry_base", 0) + place, "weight_is": word.get("weight_base", 0) + column},
        **{"slot_is": _bits(slot), "use_is": _bits(use), "tag_is": tag, "column_is": column, "window_is": window},
        **{"pixel_tile_is": pixel_tile, "tile_is": number, "layer_is": tile.layer, "tail_begins": int(tail)},
        **{"idle_is": idle if tile_ends and not ends_layer else 0, "ends_layer": int(ends_layer)},
        **{"wide_first": int(tile.layer == 1)},
    }


def _bits(flags: Sequence[int | bool]) -> int:
    return sum(int(bool(flag)) << i for i, flag in enumerate(flags))


class Seen(Sequencer):
    """With signals for its registers, most of which have no name of their own."""

    def _issue(self, m, now, column, window, pixel_tile, ends):
        self._seen = {"column": column, "window": window, "pixel_tile": pixel_tile}
        super()._issue(m, now, column, window, pixel_tile, ends)

    def _count(self, m, now, fsm, go, pending, frame_first):
        self._seen |= {"pending": pending, "frame_first": frame_first}
        super()._count(m, now, fsm, go, pending, frame_first)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        for name, value in self._seen.items():
            seen = Signal(1 if len(value) == 1 and name in ("pending", "frame_first") else 8, name=f"seen_{name}")
            m.d.comb += seen.eq(value)
        return m


def _choice(values: Sequence[str], of: str) -> str:
    return "".join(f"{of} == {i} ? {value} : " for i, value in enumerate(values[:-1])) + values[-1]


def _verdict(folder: Path, hw: Hardware, tiles: Sequence[Tile], kind: type[Seen] = Seen, steps: int = 14) -> Verdict:
    dut = kind(hw)
    form, layer = tile_format(hw), layer_format(hw)
    widths = {name: len(getattr(dut, name)) for name in ("tile_addr", "layer_addr", "entry_addr", "weight_addr")}
    widths |= {name: len(getattr(dut, name).as_value()) for name in ("tile", "layer", "tag")}
    blank = dict.fromkeys((field.name for field in layer.fields), 0)
    words = [f"{form.width}'h{form.encode(values):x}" for values in _fields(hw, tiles)]
    layers = [layer.encode(blank | {"width": 3 + i, "wide_first": i, "wide": i}) for i in range(2)]
    layer_words = [f"{layer.width}'h{word:x}" for word in layers]
    sizes = {"entry_is": widths["entry_addr"], "weight_is": widths["weight_addr"], "slot_is": 5, "use_is": 5}
    sizes |= {"tag_is": widths["tag"], "ends_layer": 1, "tail_begins": 1, "wide_first": 1}
    entries = list(_entries(hw, tiles))
    told = ["{" + ", ".join(f"{sizes.get(name, 8)}'d{entry[name]}" for name in FIELDS) + "}" for entry in entries]
    at = sum(field.width for field in form.fields[: [field.name for field in form.fields].index("frame_last")])
    harness = HARNESS.format(
        **widths,
        **{"fields": ", ".join(FIELDS), "entries": _choice(told, "number"), "count": len(entries)},
        **{"tile_words": _choice(words, "tile_at"), "layer_words": _choice(layer_words, "layer_at")},
        **{"tile_now": f"({_choice(words, 'tile_is')})", "layer_now": f"({_choice(layer_words, 'layer_is')})"},
        **{"fast": int(hw.fast), "external": int(bool(hw.external)), "tiles": len(tiles), "layers": 2},
        **{"setup": 8, "idle_most": hw.idle_max, "frame_last": at},
    )
    shown = ["now", "fsm_state", "seen_*"]
    return prove(folder, harness, [made_of(folder, dut, shown)], steps=steps)


EXTERNAL = ExternalMemory(
    **{"beat_bits": 64, "burst_beats": 2, "outstanding": 2, "entry_rows": 2, "weight_rows": 2},
    **{"chunk": 2, "boot_bursts": 1, "bursts": 3},
)
KINDS: dict[str, tuple[dict[str, object], Sequence[Tile]]] = {
    "brief": ({}, BRIEF),
    "short": ({"idle_differs": True}, TILES),
    "fast": ({"pipeline": "fast", "residual_bits": 4}, TAILED),
    "external": ({"external": EXTERNAL, "residual_bits": 4}, TAILED),
}


@pytest.mark.parametrize("kind", long_round(KINDS, quick=3))
def test_every_entry_is_issued_once(kind: str, tmp_path: Path) -> None:
    changes, tiles = KINDS[kind]
    assert _verdict(tmp_path, hardware(**COMMON, **changes), tiles) is Verdict.PROVEN


class _Onward(Seen):
    """The weights of a pass are not those of the pass before."""

    def _locate(self, m, now, column, window, ends):
        super()._locate(m, now, column, window, ends)
        m.d.sync += self.weight_addr.eq(self.weight_addr + 1)


class _Hasty(Seen):
    """Says that it uses a word which is not there."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.memory_stalled):
            m.d.comb += self.use.valid.eq(1)
        return m


class _Endless(Seen):
    """The last entry of the image, and no other, is not said to be one."""

    def _locate(self, m, now, column, window, ends):
        super()._locate(m, now, column, window, ends)
        with m.If(now.frame_last):
            m.d.comb += [self.slot.restart.eq(0), self.use.entry_release.eq(0)]


@pytest.mark.parametrize(("kind", "fault"), [("short", _Onward), ("external", _Hasty), ("short", _Endless)])
def test_a_fault_is_found(kind: str, fault: type[Seen], tmp_path: Path) -> None:
    changes, tiles = KINDS[kind]
    tiles = BRIEF if fault is _Endless else tiles
    assert _verdict(tmp_path, hardware(**COMMON, **changes), tiles, fault, 30) is Verdict.REFUTED

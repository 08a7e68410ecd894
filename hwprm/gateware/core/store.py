"""The store unit: takes drained vectors and writes them where the plan says, a write per row that a vector touches."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import add_mixed
from hwprm.gateware.primitives.layouts import address_layout, layout_of
from hwprm.gateware.primitives.memories import address_bits
from hwprm.isa import Hardware, store_format

__all__ = ["StoreUnit"]


class _Ends(NamedTuple):
    """What this write ends: a row of the map, at lane `lane`; the repetitions of a piece, where a layer upsamples; the
    vector; and whether the vector's filter, pixel tile and filter tile are the last of theirs."""

    row: Value
    lane: Value
    piece: Value
    vector: Value
    last_filter: Value
    last_tile: Value
    layer: Value


class _Place:
    """Where the walk stands: registers, and beside them what they hold in this cycle (`filters`, `pixels`, `room`,
    `room_start`, `at`), which at a layer's first vector is what its descriptor says."""

    def __init__(self, hw: Hardware, store, first_lane):
        self.hw, self.store = hw, store
        count = store.width.shape().width
        filters, pixels = store.filters, store.pixels
        self.filters_left, self.pixels_left = Signal.like(filters), Signal.like(pixels, name="pixels_left")
        # Pixels to the end of the row: now, and at the tile's start.
        self.room_left, self.room_first = Signal(count), Signal(count, name="room_first")
        self.lane, self.filter_index = Signal.like(first_lane), Signal(range(max(2, hw.cols)), name="filter_index")
        self.fresh = Signal(init=1)  # no layer begun: constants stand at the ROM's output
        names = ("tile", "next", "vector", "here")  # filter tile's base, next pixel tile, this vector, this row
        self.base, self.after, self.vector, self.here = (
            Signal(address_layout(hw), name=f"at_{name}") for name in names
        )
        self.filters = Mux(self.fresh, store.filters, self.filters_left)
        self.pixels = Mux(self.fresh, store.pixels, self.pixels_left)
        self.room = Mux(self.fresh, store.width, self.room_left)
        self.room_start = Mux(self.fresh, store.width, self.room_first)
        self.at = {
            name: (Mux(self.fresh, store.base_word, signal.word), Mux(self.fresh, 0, signal.bank))
            for name, signal in (("base", self.base), ("vector", self.vector), ("here", self.here))
        }

    def begin(self) -> list:
        """A layer's first write takes its descriptor over."""
        st = self.store
        counts = [self.filters_left.eq(st.filters), self.pixels_left.eq(st.pixels), self.room_first.eq(st.width)]
        return [*counts, *_go(self.base, self.at["base"]), *_go(self.vector, self.at["vector"])]

    def go(self, pair) -> list:
        """On to a new vector at address `pair`."""
        return [*_go(self.here, pair), *_go(self.vector, pair)]


def _go(target, pair) -> list:
    return [target.word.eq(pair[0]), target.bank.eq(pair[1])]


class StoreUnit(wiring.Component):
    """Walks filter tiles, pixel tiles and filters in the order in which vectors come; a descriptor per layer.

    Rows of a tensor whose pitch exceeds its width are apart, so a vector is cut where rows end. With the address of
    lane 0 continued linearly, each further row adds the gap once more. An upsampling layer writes each piece of a
    vector several times: beside itself, then a row of the tensor below, its lanes the columns' factor apart.
    Vectors wait in a queue meanwhile; the schedule's idle cycles bound it to the filters of one tile.

    Members
    -------
    store : In(store word), the ROM's output
    store_addr : Out(store address)
    vector_valid : In(1)
    vector : In(act_bits).array(rows)
    write : Out(1)
    write_at : Out(address)
    write_stride : Out(range(store strides))
    first_lane, last_lane : Out(range(rows + 1))
    write_data : Out(act_bits).array(rows)
    layer_done : Out(1), with the last write of a layer
    probe_valid, probe_layer, probe_filter, probe_pixel, probe_lanes : Out, each vector once, with its first write
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        form = layout_of(store_format(hw))
        lane = max(1, hw.rows.bit_length())
        super().__init__(
            {
                "store": In(form),
                "store_addr": Out(address_bits(hw.stores)),
                "vector_valid": In(1),
                "vector": In(hw.act_bits).array(hw.rows),
                "write": Out(1),
                "write_at": Out(address_layout(hw)),
                "write_stride": Out(max(1, (len(hw.store_strides) - 1).bit_length())),
                "first_lane": Out(lane),
                "last_lane": Out(lane),
                "write_data": Out(hw.act_bits).array(hw.rows),
                "layer_done": Out(1),
                "probe_valid": Out(1),
                "probe_layer": Out(form["layer"].shape),
                "probe_filter": Out(form["filters"].shape),
                "probe_pixel": Out(form["pixels"].shape),
                "probe_lanes": Out(lane),
            }
        )

    def elaborate(self, platform):
        m = Module()
        head, take = self._queue(m)
        self._walk(m, head, take)
        return m

    def _queue(self, m: Module):
        """A first-in first-out queue of vectors, one cycle deep in latency; returns (not empty, take)."""
        hw = self._hw
        depth = 1 << max(1, hw.cols.bit_length())
        m.submodules.queue = memory = Memory(MemoryData(shape=hw.rows * hw.act_bits, depth=depth, init=[]))
        write, read = memory.write_port(), memory.read_port(domain="comb")
        head, tail = Signal(range(2 * depth)), Signal(range(2 * depth))
        take = Signal()
        m.d.comb += [
            write.en.eq(self.vector_valid),
            write.addr.eq(tail[:-1]),
            write.data.eq(Cat(*self.vector)),
            read.addr.eq(head[:-1]),
        ]
        for r in range(hw.rows):
            m.d.comb += self.write_data[r].eq(read.data[r * hw.act_bits : (r + 1) * hw.act_bits])
        m.d.sync += [tail.eq(tail + self.vector_valid), head.eq(head + take)]
        return head != tail, take

    def _walk(self, m: Module, ready, take):
        hw = self._hw
        now = _Place(hw, self.store, self.first_lane)
        first_piece, pieces_done = Const(1), Const(1)
        if hw.upsampling:
            first_piece, pieces_done, offset = self._repetitions(m, ready)
            write_at = add_mixed(m, hw.banks, now.at["here"], offset, name="write")
        else:
            write_at = now.at["here"]

        limit = Signal.like(self.last_lane)  # lanes of this pixel tile
        end = Signal.like(self.last_lane)
        row_ends, vector_ends = (Signal() for _ in range(2))
        last_filter, last_tile, layer_ends = Signal(), Signal(), Signal()
        m.d.comb += [
            limit.eq(Mux(now.pixels < hw.rows, now.pixels, hw.rows)),
            row_ends.eq(now.room <= limit - now.lane),
            end.eq(Mux(row_ends, now.lane + now.room, limit)),
            vector_ends.eq(pieces_done & (end == limit) if hw.upsampling else end == limit),
            last_filter.eq((now.filter_index == hw.cols - 1) | (now.filter_index + 1 == now.filters)),
            last_tile.eq(now.pixels <= hw.rows),
            layer_ends.eq(now.filters <= hw.cols),
            self.write.eq(ready),
            self.write_at.word.eq(write_at[0]),
            self.write_at.bank.eq(write_at[1]),
            self.first_lane.eq(now.lane),
            self.last_lane.eq(end),
            take.eq(ready & vector_ends),
            self.layer_done.eq(take & last_filter & last_tile & layer_ends),
        ]
        self._advance(m, ready, now, _Ends(row_ends, end, pieces_done, vector_ends, last_filter, last_tile, layer_ends))
        self._descriptor(m)
        fresh_vector = ready & (now.lane == 0) & first_piece if hw.upsampling else ready & (now.lane == 0)
        self._probe(m, fresh_vector, now, limit)

    def _advance(self, m: Module, ready, now: _Place, ends: _Ends):
        """Where the write behind this one goes: the rest of the vector, or the first piece of the next."""
        hw, st = self._hw, self.store
        gap = (st.gap_word, st.gap_bank)
        tile = hw.address(hw.rows)
        ahead = (st.advance_word, st.advance_bank) if hw.upsampling else (Const(tile.word, hw.word_bits), tile.bank)
        below = add_mixed(m, hw.banks, now.at["here"], gap, name="row_below")
        beyond = add_mixed(m, hw.banks, now.at["here"], ahead, name="beyond")
        beyond_row = add_mixed(m, hw.banks, beyond, gap, name="beyond_row")
        channel = add_mixed(m, hw.banks, now.at["vector"], (st.channel_word, st.channel_bank), name="channel")
        below_tile = add_mixed(m, hw.banks, now.at["base"], (st.tile_word, st.tile_bank), name="filter_tile")

        # Where the next pixel tile starts is seen at the end of each vector of this one; all say the same for filter 0.
        next_room = Mux(ends.row, st.width, now.room - (ends.lane - now.lane))
        next_at = tuple(Mux(ends.row, a, b) for a, b in zip(beyond_row, beyond, strict=True))
        tile_room = Signal.like(now.room_left)

        with m.If(ready):
            m.d.sync += now.fresh.eq(0)
            with m.If(now.fresh):
                m.d.sync += now.begin()
            with m.If(ends.vector & (now.filter_index == 0)):
                m.d.sync += [*_go(now.after, next_at), tile_room.eq(next_room)]
            with m.If(~ends.vector):
                m.d.sync += [*_go(now.here, below), now.lane.eq(ends.lane), now.room_left.eq(st.width)]
                if hw.upsampling:
                    with m.If(~ends.piece):
                        m.d.sync += [*_go(now.here, now.at["here"]), now.lane.eq(now.lane), now.room_left.eq(now.room)]
            with m.Elif(~ends.last_filter):
                m.d.sync += [*now.go(channel), now.lane.eq(0), now.room_left.eq(now.room_start)]
                m.d.sync += now.filter_index.eq(now.filter_index + 1)
            with m.Elif(~ends.last_tile):
                first = now.filter_index == 0  # a tile of one filter: `after` is being written only now
                after = (now.after.word, now.after.bank)
                start = tuple(Mux(first, a, b) for a, b in zip(next_at, after, strict=True))
                start_room = Mux(first, next_room, tile_room)
                m.d.sync += [*now.go(start), now.room_left.eq(start_room), now.room_first.eq(start_room)]
                m.d.sync += [now.lane.eq(0), now.filter_index.eq(0), now.pixels_left.eq(now.pixels - hw.rows)]
            with m.Else():
                m.d.sync += [*now.go(below_tile), *_go(now.base, below_tile)]
                m.d.sync += [now.room_left.eq(st.width), now.room_first.eq(st.width), now.lane.eq(0)]
                m.d.sync += [now.filter_index.eq(0), now.pixels_left.eq(st.pixels)]
                m.d.sync += [now.filters_left.eq(now.filters - hw.cols), now.fresh.eq(ends.layer)]

    def _repetitions(self, m: Module, ready):
        """Counts the writes of one piece of a vector; returns (at the first, at the last, distance from the first)."""
        hw, st = self._hw, self.store
        below, beside = Signal.like(st.repeat_y), Signal.like(st.repeat_x)
        offset = Signal(address_layout(hw))
        line_done, done = Signal(), Signal()
        m.d.comb += [line_done.eq(beside == st.repeat_x), done.eq(line_done & (below == st.repeat_y))]
        one = hw.address(1)
        step = (Mux(line_done, st.line_word, one.word), Mux(line_done, st.line_bank, one.bank))
        moved = add_mixed(m, hw.banks, (offset.word, offset.bank), step, name="repetition")
        with m.If(ready):
            m.d.sync += [beside.eq(beside + 1), offset.word.eq(moved[0]), offset.bank.eq(moved[1])]
            with m.If(line_done):
                m.d.sync += [beside.eq(0), below.eq(below + 1)]
            with m.If(done):
                m.d.sync += [below.eq(0), offset.word.eq(0), offset.bank.eq(0)]
        m.d.comb += self.write_stride.eq(st.stride)
        return (beside == 0) & (below == 0), done, (offset.word, offset.bank)

    def _descriptor(self, m: Module):
        """The ROM's address: the next layer's once the last write is under way."""
        index = Signal(address_bits(self._hw.stores))
        following = Mux(self.store.last, 0, index + 1)
        m.d.comb += self.store_addr.eq(Mux(self.layer_done, following, index))
        m.d.sync += index.eq(self.store_addr)

    def _probe(self, m: Module, valid, now: _Place, limit):
        m.d.comb += [
            self.probe_valid.eq(valid),
            self.probe_layer.eq(self.store.layer),
            self.probe_filter.eq(self.store.filters - now.filters + now.filter_index),
            self.probe_pixel.eq(self.store.pixels - now.pixels),
            self.probe_lanes.eq(limit),
        ]

"""The store unit: takes drained vectors and writes them where the plan says, a write per row that a vector touches."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import add_mixed
from hwprm.gateware.primitives.layouts import address_layout, layout_of
from hwprm.gateware.primitives.memories import address_bits
from hwprm.isa import Hardware, store_format

__all__ = ["StoreUnit"]


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
        hw, st = self._hw, self.store
        count = st.width.shape().width
        filters_left, pixels_left = Signal.like(st.filters), Signal.like(st.pixels)
        room, room_first = Signal(count), Signal(count)  # pixels to the end of the row: now, and at the tile's start
        lane, filter_index = Signal.like(self.first_lane), Signal(range(max(2, hw.cols)))
        fresh = Signal(init=1)  # no layer begun: constants stand at the ROM's output
        names = ("tile", "next", "vector", "here")  # filter tile's base, next pixel tile, this vector, this row
        base, after, vector, here = (Signal(address_layout(hw), name=f"at_{name}") for name in names)
        filters_now = Mux(fresh, st.filters, filters_left)
        pixels_now = Mux(fresh, st.pixels, pixels_left)
        room_now = Mux(fresh, st.width, room)
        room_start = Mux(fresh, st.width, room_first)
        zero = {"word": st.base_word, "bank": 0}
        at = {
            key: (Mux(fresh, zero["word"], signal.word), Mux(fresh, zero["bank"], signal.bank))
            for key, signal in (("base", base), ("vector", vector), ("here", here))
        }

        if hw.upsampling:
            first_piece, pieces_done, offset = self._repetitions(m, ready)
            write_at = add_mixed(m, hw.banks, at["here"], offset, name="write")
        else:
            write_at = at["here"]

        limit = Signal.like(self.last_lane)  # lanes of this pixel tile
        end = Signal.like(self.last_lane)
        row_ends, vector_ends = Signal(), Signal()
        last_filter, last_tile, layer_ends = Signal(), Signal(), Signal()
        m.d.comb += [
            limit.eq(Mux(pixels_now < hw.rows, pixels_now, hw.rows)),
            row_ends.eq(room_now <= limit - lane),
            end.eq(Mux(row_ends, lane + room_now, limit)),
            vector_ends.eq(pieces_done & (end == limit) if hw.upsampling else end == limit),
            last_filter.eq((filter_index == hw.cols - 1) | (filter_index + 1 == filters_now)),
            last_tile.eq(pixels_now <= hw.rows),
            layer_ends.eq(filters_now <= hw.cols),
            self.write.eq(ready),
            self.write_at.word.eq(write_at[0]),
            self.write_at.bank.eq(write_at[1]),
            self.first_lane.eq(lane),
            self.last_lane.eq(end),
            take.eq(ready & vector_ends),
            self.layer_done.eq(take & last_filter & last_tile & layer_ends),
        ]
        gap = (st.gap_word, st.gap_bank)
        tile = hw.address(hw.rows)
        ahead = (st.advance_word, st.advance_bank) if hw.upsampling else (Const(tile.word, hw.word_bits), tile.bank)
        below = add_mixed(m, hw.banks, at["here"], gap, name="row_below")
        beyond = add_mixed(m, hw.banks, at["here"], ahead, name="beyond")
        beyond_row = add_mixed(m, hw.banks, beyond, gap, name="beyond_row")
        channel = add_mixed(m, hw.banks, at["vector"], (st.channel_word, st.channel_bank), name="channel")
        below_tile = add_mixed(m, hw.banks, at["base"], (st.tile_word, st.tile_bank), name="filter_tile")

        # Where the next pixel tile starts is seen at the end of each vector of this one; all say the same for filter 0.
        next_room = Mux(row_ends, st.width, room_now - (end - lane))
        next_at = tuple(Mux(row_ends, a, b) for a, b in zip(beyond_row, beyond, strict=True))
        tile_room = Signal(count)

        def go(target, pair):
            return [target.word.eq(pair[0]), target.bank.eq(pair[1])]

        with m.If(ready):
            m.d.sync += fresh.eq(0)
            with m.If(fresh):
                m.d.sync += [filters_left.eq(st.filters), pixels_left.eq(st.pixels), room_first.eq(st.width)]
                m.d.sync += [*go(base, at["base"]), *go(vector, at["vector"])]
            with m.If(vector_ends & (filter_index == 0)):
                m.d.sync += [*go(after, next_at), tile_room.eq(next_room)]
            with m.If(~vector_ends):
                m.d.sync += [*go(here, below), lane.eq(end), room.eq(st.width)]
                if hw.upsampling:
                    with m.If(~pieces_done):
                        m.d.sync += [*go(here, at["here"]), lane.eq(lane), room.eq(room_now)]
            with m.Elif(~last_filter):
                m.d.sync += [*go(here, channel), *go(vector, channel), lane.eq(0), room.eq(room_start)]
                m.d.sync += filter_index.eq(filter_index + 1)
            with m.Elif(~last_tile):
                first = filter_index == 0  # a tile of one filter: `after` is being written only now
                start = tuple(Mux(first, a, b) for a, b in zip(next_at, (after.word, after.bank), strict=True))
                start_room = Mux(first, next_room, tile_room)
                m.d.sync += [*go(here, start), *go(vector, start), room.eq(start_room), room_first.eq(start_room)]
                m.d.sync += [lane.eq(0), filter_index.eq(0), pixels_left.eq(pixels_now - hw.rows)]
            with m.Else():
                m.d.sync += [*go(here, below_tile), *go(vector, below_tile), *go(base, below_tile)]
                m.d.sync += [room.eq(st.width), room_first.eq(st.width), lane.eq(0), filter_index.eq(0)]
                m.d.sync += [pixels_left.eq(st.pixels), filters_left.eq(filters_now - hw.cols), fresh.eq(layer_ends)]
        self._descriptor(m)
        fresh_vector = ready & (lane == 0) & first_piece if hw.upsampling else ready & (lane == 0)
        self._probe(m, fresh_vector, filter_index, pixels_now, filters_now, limit)

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

    def _probe(self, m: Module, valid, filter_index, pixels, filters, limit):
        m.d.comb += [
            self.probe_valid.eq(valid),
            self.probe_layer.eq(self.store.layer),
            self.probe_filter.eq(self.store.filters - filters + filter_index),
            self.probe_pixel.eq(self.store.pixels - pixels),
            self.probe_lanes.eq(limit),
        ]

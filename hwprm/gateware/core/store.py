"""The store unit: takes drained vectors and writes them where their layer goes, a write per row that one touches."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from hwprm.gateware.core.pixel_tiles import PixelTiles, filter_step, pixel_tile_layout
from hwprm.gateware.primitives.arithmetic import add_bank, add_carry, add_mixed, delay, staged
from hwprm.gateware.primitives.layouts import address_layout, layout_of
from hwprm.gateware.primitives.memories import address_bits
from hwprm.isa import Hardware, store_format
from hwprm.isa.latencies import STORE_QUEUE

__all__ = ["StoreUnit"]


def _walk_layout(hw: Hardware) -> data.StructLayout:
    """An address whose word is one more where `carry` is set: so no step has to wait for the carry out of its banks."""
    fields = address_layout(hw).members
    return data.StructLayout({**fields, "carry": 1})


class StoreUnit(wiring.Component):
    """Walks filter tiles, pixel tiles and filters in the order in which vectors come; a descriptor per layer.

    Rows of a tensor whose pitch exceeds its width are apart, so a vector is cut into pieces where rows end. With the
    address of lane 0 continued linearly, each further row adds the gap once more, the first of a batch's next image
    another one. An upsampling layer writes each piece several times: beside itself, then a row of the tensor below, its
    lanes the columns' factor apart. With phases lanes are as many activations apart as a channel has phases, and the
    next filter goes one activation further until these end. Vectors wait in a queue meanwhile; the schedule's idle
    cycles bound it to the filters of one tile. Everything about a write stands in registers before it; `PixelTiles`
    prepares the first of each tile.

    Members
    -------
    store : In(store word), the ROM's output
    store_addr : Out(store address)
    loaded : In(1), descriptors can be read
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
        #: All outputs but the address, which leave together.
        self._writes = {
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
        ports = {
            "store": In(form),
            "store_addr": Out(address_bits(hw.stores)),
            "loaded": In(1),
            "vector_valid": In(1),
            "vector": In(hw.act_bits).array(hw.rows),
        }
        super().__init__(ports | self._writes)

    def elaborate(self, platform):
        m = Module()
        self._held = staged(m, self._hw, self.store, name="descriptor")
        some, take, vector = self._queue(m)
        write = self._walk(m, some, take) | {"write_data": vector}
        for name, value in write.items():
            reset_less = name not in ("write", "layer_done", "probe_valid")
            late = delay(m, value, STORE_QUEUE(self._hw) - 1, name=f"{name}_late", reset_less=reset_less)
            if name == "write_data":
                bits = self._hw.act_bits
                m.d.comb += [lane.eq(late[r * bits : (r + 1) * bits]) for r, lane in enumerate(self.write_data)]
            elif name == "write_at":
                m.d.comb += self.write_at.as_value().eq(late)
            else:
                m.d.comb += getattr(self, name).eq(late)
        return m

    def _queue(self, m: Module):
        """A first-in first-out queue of vectors; returns (not empty, take, the first), a cycle after a vector came."""
        hw = self._hw
        depth = 1 << max(1, hw.cols.bit_length())
        m.submodules.queue = memory = Memory(MemoryData(shape=hw.rows * hw.act_bits, depth=depth, init=[]))
        write, read = memory.write_port(), memory.read_port(domain="comb")
        head, ahead, tail = Signal(range(depth)), Signal(range(depth), init=1), Signal(range(depth))
        some, take = Signal(), Signal()
        m.d.comb += [
            write.en.eq(self.vector_valid),
            write.addr.eq(tail),
            write.data.eq(Cat(*self.vector)),
            read.addr.eq(head),
        ]
        m.d.sync += tail.eq(tail + self.vector_valid)
        with m.If(take):
            m.d.sync += [head.eq(ahead), ahead.eq(ahead + 1)]
        # A queue that is not empty holds fewer vectors than there are places, so equal numbers mean none.
        m.d.sync += some.eq(self.vector_valid | Mux(take, ahead != tail, some))
        return some, take, read.data

    def _walk(self, m: Module, some, take) -> dict:
        """Counts filters of a tile and pieces of a vector; returns the outputs that tell of a write, by name."""
        hw, st = self._hw, self._held
        m.submodules.tiles = tiles = PixelTiles(hw)
        following, tile = tiles.following, Signal(pixel_tile_layout(hw))
        busy, left, last_filter = Signal(), Signal.like(tile.filters), Signal()
        here, after = (Signal(_walk_layout(hw), name=name) for name in ("here", "after"))  # this piece, the next vector
        lane, end, vector_ends = Signal.like(tile.lanes), Signal.like(tile.lanes), Signal()
        go, filter_ends, tile_ends, done = Signal(), Signal(), Signal(), Signal()
        piece_ends, first_piece, offset = self._repetitions(m, go) if hw.upsampling else (Const(1), Const(1), None)
        m.d.comb += [
            go.eq(some & busy),
            filter_ends.eq(go & piece_ends & vector_ends),
            take.eq(filter_ends),
            tile_ends.eq(filter_ends & last_filter),
            done.eq(tile_ends & tile.last),
            tiles.store.eq(st),
            tiles.loaded.eq(self.loaded),
            tiles.done.eq(done),
            tiles.take.eq(tiles.ready & (~busy | (tile_ends & ~tile.last))),
        ]
        gap = self._gap(m, tile, following, (filter_ends, go & piece_ends, tiles.take))
        below = self._moved(m, here, gap, "row_below")
        step = filter_step(hw, st, self._phase(m, filter_ends, tiles.take) if hw.phased else None)
        channel = self._moved(m, after, step, "channel")
        width = staged(m, hw, Mux(st.width < hw.rows, st.width, hw.rows)[: len(lane)], name="width")
        next_end = Signal(len(lane) + 1)
        m.d.comb += next_end.eq(end + width)
        beyond = next_end >= tile.lanes
        with m.If(filter_ends):
            m.d.sync += [here.eq(after), lane.eq(0), end.eq(tile.end), vector_ends.eq(tile.whole)]
            m.d.sync += after.eq(channel)
            m.d.sync += [left.eq(left - 1), last_filter.eq(left == 1)]
        with m.Elif(go & piece_ends):
            m.d.sync += [here.eq(below), lane.eq(end)]
            m.d.sync += [end.eq(Mux(beyond, tile.lanes, next_end)), vector_ends.eq(beyond)]
        with m.If(tile_ends):
            m.d.sync += busy.eq(0)
        with m.If(tiles.take):
            m.d.sync += [busy.eq(1), tile.eq(following), here.eq(following.at), after.eq(following.second)]
            m.d.sync += [left.eq(following.filters), last_filter.eq(following.single)]
            m.d.sync += [lane.eq(0), end.eq(following.end), vector_ends.eq(following.whole)]
        self._descriptor(m, done)
        settled = ((here.word + here.carry)[: hw.word_bits], here.bank)
        at = Cat(*(add_mixed(m, hw.banks, settled, offset, name="write") if hw.upsampling else settled))
        return {
            "write": go,
            "write_at": at,
            "first_lane": lane,
            "last_lane": end,
            "layer_done": done,
            **({"write_stride": st.stride} if hw.upsampling or hw.phased else {}),
            "probe_valid": go & (lane == 0) & first_piece,
            "probe_layer": st.layer,
            "probe_filter": (st.filters - tiles.filters_left + tile.filters - left)[: len(st.filters)],
            "probe_pixel": (st.pixels - tiles.pixels_left)[: len(st.pixels)],
            "probe_lanes": tile.lanes,
        }

    def _moved(self, m: Module, at, step, name: str):
        """Address `at` and a step further; what its banks carry into the word is added with the next step."""
        bank, carry = add_bank(m, self._hw.banks, at.bank, step[1], name=name)
        moved = Signal(at.shape(), name=f"{name}_at")
        m.d.comb += [moved.word.eq(add_carry(at.word, step[0], at.carry)), moved.bank.eq(bank), moved.carry.eq(carry)]
        return moved

    def _phase(self, m: Module, filter_ends, tile_begins):
        """Whether the filter behind the one being written is the last phase of its channel."""
        last = self._held.phases
        phase, ends = Signal.like(last), Signal()
        following = Mux(ends, 0, phase + 1)[: len(last)]
        with m.If(filter_ends):
            m.d.sync += [phase.eq(following), ends.eq(following == last)]
        with m.If(tile_begins):
            # One bit is never more: Verilator takes no comparison that is always true.
            first = Const(1) if len(last) == 1 else last <= 1
            m.d.sync += [phase.eq(last != 0), ends.eq(first)]
        return ends

    def _gap(self, m: Module, tile, following, ends):
        """The way from the row of a piece to the next, which may be that of another image."""
        st = self._held
        if not self._hw.image_gaps:
            return st.gap_word, st.gap_bank
        filter_ends, piece_ends, take = ends
        rows = Signal.like(tile.rows_left, name="rows")
        image_ends = rows == 0
        with m.If(filter_ends):
            m.d.sync += rows.eq(tile.rows_left)
        with m.Elif(piece_ends):
            m.d.sync += rows.eq(Mux(image_ends, st.height - 1, rows - 1))
        with m.If(take):
            m.d.sync += rows.eq(following.rows_left)
        return Mux(image_ends, st.image_word, st.gap_word), Mux(image_ends, st.image_bank, st.gap_bank)

    def _descriptor(self, m: Module, done):
        """The ROM's address: the next layer's behind the last write."""
        index = Signal(address_bits(self._hw.stores))
        m.d.comb += self.store_addr.eq(index)
        with m.If(done):
            m.d.sync += index.eq(Mux(self._held.last, 0, index + 1))

    def _repetitions(self, m: Module, go):
        """Counts the writes of one piece of a vector; returns (at the last, at the first, distance from the first)."""
        hw, st = self._hw, self._held
        below, beside = Signal.like(st.repeat_y), Signal.like(st.repeat_x)
        offset = Signal(address_layout(hw))
        line_done, done = Signal(), Signal()
        m.d.comb += [line_done.eq(beside == st.repeat_x), done.eq(line_done & (below == st.repeat_y))]
        one = hw.address(1)
        step = (Mux(line_done, st.line_word, one.word), Mux(line_done, st.line_bank, one.bank))
        moved = add_mixed(m, hw.banks, (offset.word, offset.bank), step, name="repetition")
        with m.If(go):
            m.d.sync += [beside.eq(beside + 1), offset.word.eq(moved[0]), offset.bank.eq(moved[1])]
            with m.If(line_done):
                m.d.sync += [beside.eq(0), below.eq(below + 1)]
            with m.If(done):
                m.d.sync += [below.eq(0), offset.word.eq(0), offset.bank.eq(0)]
        return done, (beside == 0) & (below == 0), (offset.word, offset.bank)

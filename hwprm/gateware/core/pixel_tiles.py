"""Where pixel tiles begin: the store unit's outer counters, a tile ahead of its writes."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import add_mixed, staged
from hwprm.gateware.primitives.layouts import address_layout, layout_of
from hwprm.isa import Hardware, store_format
from hwprm.isa.latencies import DESCRIPTOR, SPACING

__all__ = ["PixelTiles", "filter_step", "pixel_tile_layout"]


def pixel_tile_layout(hw: Hardware) -> data.StructLayout:
    """A pixel tile of one filter tile, and the first piece of its vectors: what lies in the first row it touches."""
    lane = max(1, hw.rows.bit_length())
    return data.StructLayout(
        {
            "at": address_layout(hw),  # lane 0 of the first filter, and of the second
            "second": address_layout(hw),  # or its second phase
            "lanes": lane,
            "end": lane,  # lanes of the first piece
            "whole": 1,  # it is all of them
            "filters": max(1, (hw.cols - 1).bit_length()),  # less one
            "single": 1,  # there is one filter
            "last": 1,  # last pixel tile of the layer's last filter tile
            # rows of the image behind that of lane 0
            **({"rows_left": store_format(hw)["height"].width} if hw.image_gaps else {}),
        }
    )


def filter_step(hw: Hardware, store, channel_ends) -> tuple:
    """Word and bank of the way to the next filter: to the next column, or from the last phase to the next channel."""
    if not hw.phased:
        return store.channel_word, store.channel_bank
    one = hw.address(1)
    return Mux(channel_ends, store.channel_word, one.word), Mux(channel_ends, store.channel_bank, one.bank)


class PixelTiles(wiring.Component):
    """Pixel tiles in the order in which vectors come, filter tile by filter tile, layer by layer.

    Taking a tile starts the preparation of the next, which stands ready, as a function of registers that hold still,
    `SPACING` (`hwprm.isa.latencies`) cycles later. `done`, in the cycle that ends a layer, starts over with the next
    layer's descriptor, `DESCRIPTOR` cycles later; so does `loaded` while it is low.

    Members
    -------
    store : In(store word), the ROM's output, constant but for some cycles after `done`
    loaded : In(1), descriptors can be read
    done : In(1)
    take : In(1), only while `ready`
    ready : Out(1)
    following : Out(pixel_tile_layout), what is taken
    filters_left, pixels_left : Out, of the layer from the first filter and pixel of the tile that was taken last on

    Pixels are those of all images of a batch.
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        form = layout_of(store_format(hw))
        super().__init__(
            {
                "store": In(form),
                "loaded": In(1),
                "done": In(1),
                "take": In(1),
                "ready": Out(1),
                "following": Out(pixel_tile_layout(hw)),
                "filters_left": Out(form["filters"].shape),
                "pixels_left": Out(form["pixels"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        prepare = SPACING(self._hw) - 1
        describe = DESCRIPTOR(self._hw) - 1
        fresh, wait = Signal(init=1), Signal(range(describe + 1), init=describe)
        m.d.comb += self.ready.eq(wait == 0)
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(self.take):
            m.d.sync += [fresh.eq(0), wait.eq(prepare)]
        with m.If(self.done | ~self.loaded):
            m.d.sync += [fresh.eq(1), wait.eq(describe)]
        self._next(m, fresh)
        return m

    def _later(self, m: Module, value, name: str):
        return staged(m, self._hw, value, name=name)

    def _next(self, m: Module, fresh):
        """The next tile, in up to five stages."""
        hw, st = self._hw, self.store
        start, base = (Signal(address_layout(hw), name=name) for name in ("start", "base"))
        room = Signal.like(st.width, name="room")  # pixels from the tile's first to the end of its row
        # Pixels from the tile's first to where tiles end: all of them, or those of the image.
        run = Signal.like(st.pixels, name="run") if hw.apart else self.pixels_left
        run_ends = hw.rows >= run
        last_pixels, ends, step = run_ends, Const(0), (st.step_word, st.step_bank)
        if hw.apart:
            last_pixels, ends = run_ends & (run == self.pixels_left), run_ends
            step = (Mux(ends, st.jump_word, st.step_word), Mux(ends, st.jump_bank, st.step_bank))
        last_pixels = self._later(m, last_pixels, "last_pixels")
        wraps = self._later(m, (st.step_x >= room) & ~ends if hw.apart else st.step_x >= room, "wraps")
        begins = fresh | last_pixels  # a filter tile
        moved = self._moved(m, (start.word, start.bank), step, "moved")
        wrapped = self._moved(m, moved, (st.gap_word, st.gap_bank), "wrapped")
        below = self._moved(m, (base.word, base.bank), (st.tile_word, st.tile_bank), "filter_tile")
        less = self._later(m, (room - st.step_x)[: len(room)], "room_less")
        more = self._later(m, (less + st.width)[: len(room)], "room_more")
        gone = Mux(ends, run, hw.rows) if hw.apart else hw.rows

        zero = (st.base_word, Const(0, hw.bank_bits))
        tile_filters = st.tile_filters if hw.phased else hw.cols
        held = {
            "base": [base.word, base.bank],
            "start": [start.word, start.bank],
            "room": [room],
            "pixels": [self.pixels_left],
            "filters": [self.filters_left],
        }
        ahead = [Mux(wraps, c, d) for c, d in zip(wrapped, moved, strict=True)]
        after = {}
        if hw.image_gaps:
            ahead, held["rows_left"], after["rows_left"] = self._rows(m, begins | ends, wraps, moved, ahead)
        after |= {
            "base": [
                Mux(fresh, a, Mux(last_pixels, b, c))
                for a, b, c in zip(zero, below, (base.word, base.bank), strict=True)
            ],
            "start": [Mux(fresh, a, Mux(last_pixels, b, c)) for a, b, c in zip(zero, below, ahead, strict=True)],
            "room": [Mux(begins | ends if hw.apart else begins, st.width, Mux(wraps, more, less))],
            "pixels": [Mux(begins, st.pixels, (self.pixels_left - gone)[: len(st.pixels)])],
            "filters": [
                Mux(
                    fresh,
                    st.filters,
                    Mux(last_pixels, (self.filters_left - tile_filters)[: len(st.filters)], self.filters_left),
                )
            ],
        }
        if hw.apart:
            held["run"] = [run]
            after["run"] = [Mux(begins | ends, st.image_pixels, (run - hw.rows)[: len(run)])]
        after = {
            key: [self._later(m, v, f"next_{key}{i}") for i, v in enumerate(values)] for key, values in after.items()
        }
        with m.If(self.take):
            m.d.sync += [a.eq(b) for key in held for a, b in zip(held[key], after[key], strict=True)]
        self._describe(m, after, tile_filters)

    def _rows(self, m: Module, begins, wraps, moved, ahead):
        """Where images are further apart than rows: the address `ahead` with that in it, the rows of an image behind
        the tile's first, and those behind the next tile's."""
        st = self.store
        left = Signal.like(st.height, name="rows_left")
        less = self._later(m, (left - st.step_y)[: len(left) + 1].as_signed(), "rows_less")
        behind = Signal(less.shape(), name="rows_behind")
        m.d.comb += behind.eq(less - wraps)
        image = self._later(m, (behind < 0) & ~begins, "image_ends")
        rows = self._later(m, Mux(behind < 0, behind + st.height, behind)[: len(left)], "rows_after")
        way = (Mux(wraps, st.image_word, st.extra_word), Mux(wraps, st.image_bank, st.extra_bank))
        beyond = self._moved(m, moved, way, "beyond")
        ahead = [Mux(image, a, b) for a, b in zip(beyond, ahead, strict=True)]
        return ahead, [left], [Mux(begins, st.height - 1, rows)[: len(left)]]

    def _describe(self, m: Module, after, tile_filters):
        """What the writes need to know of the next tile."""
        hw, st, tile = self._hw, self.store, self.following
        (room,), (pixels,), (filters,) = after["room"], after["pixels"], after["filters"]
        (run,) = after["run"] if hw.apart else (pixels,)
        few = run < hw.rows
        lanes = self._later(m, Mux(few, run, hw.rows)[: len(tile.lanes)], "lanes")
        whole = self._later(m, Mux(few, room >= run, room >= hw.rows), "whole")
        full = self._later(m, filters >= tile_filters, "full")
        second = self._moved(m, after["start"], filter_step(hw, st, st.phases == 0 if hw.phased else None), "second")
        last = (hw.rows >= run) & (tile_filters >= filters)
        if hw.apart:
            last &= run == pixels
        if hw.image_gaps:
            m.d.comb += tile.rows_left.eq(after["rows_left"][0])
        m.d.comb += [
            tile.at.word.eq(after["start"][0]),
            tile.at.bank.eq(after["start"][1]),
            tile.second.word.eq(second[0]),
            tile.second.bank.eq(second[1]),
            tile.lanes.eq(lanes),
            tile.end.eq(self._later(m, Mux(whole, lanes, room), "end")),
            tile.whole.eq(whole),
            tile.filters.eq(self._later(m, Mux(full, tile_filters - 1, filters - 1)[: len(tile.filters)], "filters")),
            tile.single.eq(self._later(m, filters == 1, "single") if hw.cols > 1 else 1),
            tile.last.eq(self._later(m, last, "last")),
        ]

    def _moved(self, m: Module, a, b, name: str):
        word, bank = add_mixed(m, self._hw.banks, a, b, name=name)
        return self._later(m, word, f"{name}_word"), self._later(m, bank, f"{name}_bank")

"""The sequencer: nested counters over the descriptors, one list entry a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import delay, staged
from hwprm.gateware.primitives.layouts import layout_of, tag_layout, use_layout
from hwprm.gateware.primitives.memories import address_bits
from hwprm.isa import Hardware, layer_format, tile_format
from hwprm.isa.latencies import LAYER_DONE, TABLE_READ

__all__ = ["Sequencer", "slot_layout"]


def slot_layout() -> data.StructLayout:
    """What is said of one issued entry, beside its addresses."""
    return data.StructLayout(
        {
            "first": 1,  # first entry of a pass
            "close": 1,  # last entry of a pass
            "open": 1,  # entry of the first pass of a tile
            "advance": 1,  # after it the lanes move to the next pixel tile
            "restart": 1,  # after it the lanes return to the first pixel tile
        }
    )


class Sequencer(wiring.Component):
    """For each filter tile, for each pixel tile, for each window position, for each list entry: issue.

    In designs with residuals a list may go on elsewhere after `shared` entries, at the tile's own tail.

    Between layers it waits until everything of the layer before is stored; before an image, until one has come;
    before output words, until there is room for them. `cycles` counts neither of the waits for the host.

    With external memory a cycle in which the next words are not there issues nothing; `cycles` counts it, and so does
    `memory_stalls`.

    Members
    -------
    tile_addr : Out(tile address)
    tile : In(tile word)
    layer_addr : Out(layer address)
    layer_word : In(layer word), the ROM's output
    layer : Out(layer word), constants of the layer being issued
    result_layer : Out(layer word), constants of the layer being drained
    entry_addr, weight_addr : Out, of the ROMs
    use : Out(use_layout), of the rings
    words_ready : In(1), the next words are there
    tail_ready : In(1), so are those behind them, as many in all as the array has columns, or twice as many in a layer
        with gates
    loaded : In(1), descriptors can be read
    slot : Out(slot_layout)
    base : Out(word_bits), of the tile, with each of its entries; in designs with phases only
    tag : Out(tag_layout), with the last entry of a pixel tile
    lanes_start : Out(1)
    lanes_ready : In(1)
    lanes_restart : Out(1)
    layer_done : In(1)
    run : In(1)
    image_ready : In(1)
    room : In(1)
    frame_start : Out(1), with the first entry of an image
    layer_start : Out(1), with the first entry of a layer
    busy : Out(1)
    stalled : Out(1), waiting for room
    memory_stalled : Out(1)
    cycles, memory_stalls : Out(32), of the image finished last
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        layer, tile = layout_of(layer_format(hw)), layout_of(tile_format(hw))
        super().__init__(
            {
                "tile_addr": Out(address_bits(hw.tiles)),
                "tile": In(tile),
                "layer_addr": Out(address_bits(hw.layers)),
                "layer_word": In(layer),
                "layer": Out(layer),
                "result_layer": Out(layer),
                "entry_addr": Out(address_bits(hw.entries)),
                "weight_addr": Out(address_bits(hw.weights)),
                "use": Out(use_layout()),
                "words_ready": In(1),
                "tail_ready": In(1),
                "loaded": In(1),
                "slot": Out(slot_layout()),
                **({"base": Out(hw.word_bits)} if hw.phased else {}),
                "tag": Out(tag_layout(hw)),
                "lanes_start": Out(1),
                "lanes_ready": In(1),
                "lanes_restart": Out(1),
                "layer_done": In(1),
                "run": In(1),
                "image_ready": In(1),
                "room": In(1),
                "frame_start": Out(1),
                "layer_start": Out(1),
                "busy": Out(1),
                "stalled": Out(1),
                "memory_stalled": Out(1),
                "cycles": Out(32),
                "memory_stalls": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now = Signal(self.tile.shape())  # descriptor of the tile being issued
        load, pending, frame_first = Signal(), Signal(), Signal(init=1)
        step, column, window = Signal.like(now.idle), Signal.like(now.length), Signal.like(now.passes)
        pixel_tile = Signal.like(now.pixel_tiles)
        pass_ends, tile_ends, last_pixels = Signal(), Signal(), Signal()
        idle, wait = now.idle, Signal.like(now.idle)
        if self._hw.idle_differs:
            idle = Mux(last_pixels, now.idle_last, now.idle)
        m.d.comb += [
            pass_ends.eq(column == now.length),
            tile_ends.eq(pass_ends & (window == now.passes)),
            last_pixels.eq(pixel_tile == now.pixel_tiles),
        ]
        waiting, no_image, blocked, go = Signal(), Signal(), Signal(), Signal()
        # What a layer's end changes of the first two is seen in the cycle that sees the end, or before.
        ready = staged(m, self._hw, self.image_ready & self.run, name="image_waits")
        room = staged(m, self._hw, self.room, name="room_left")
        layer_done = delay(m, self.layer_done, LAYER_DONE(self._hw) - 1, name="layer_ends", reset_less=False)
        m.d.comb += [
            waiting.eq(pending | ~self.lanes_ready),
            no_image.eq(frame_first & ~ready),
            self.stalled.eq(~waiting & ~no_image & self.layer.wide_first & ~room),
            blocked.eq(no_image | self.stalled),
        ]
        words_ready = self.words_ready
        if self._hw.external and self._hw.residual_bits:
            # From a residual entry to its filter's drain time is counted in cycles: no bubble may come between.
            behind = self._hw.cols - 1
            if self._hw.gates:
                behind = Mux(self.layer.gated, 2 * self._hw.cols - 1, behind)
            first_of_tail = now.tail & (column + behind == now.length)
            words_ready = Mux(first_of_tail, self.tail_ready, self.words_ready)
        with m.FSM(init="FETCH") as fsm:
            # Once after reset: the tables' outputs are not the first words yet.
            with (
                m.State("FETCH"),
                m.If(delay(m, self.loaded, TABLE_READ(self._hw) - 1, name="loaded", reset_less=False)),
            ):
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += self.layer.eq(self.layer_word)
                m.next = "START"
            with m.State("START"):
                m.d.comb += [self.lanes_start.eq(1), load.eq(1)]
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += [go.eq(~waiting & ~blocked), self.lanes_restart.eq(1)]
                with m.If(go):
                    m.d.sync += [self.result_layer.eq(self.layer), pending.eq(1)]
                    m.next = "ISSUE"
            with m.State("ISSUE"):
                m.d.comb += self.memory_stalled.eq(~words_ready)
                with m.If(words_ready):
                    self._issue(m, now, column, window, pixel_tile, (pass_ends, tile_ends, last_pixels))
                with m.If(words_ready & tile_ends):
                    m.d.sync += step.eq(1)
                    m.d.comb += load.eq(last_pixels & ~now.layer_last)
                    with m.If(last_pixels & now.layer_last):
                        m.next = "LOAD"
                    with m.Elif(idle != 0):
                        m.d.sync += wait.eq(idle)
                        m.next = "IDLE"
            with m.State("IDLE"):
                m.d.sync += step.eq(step + 1)
                with m.If(step == wait):
                    m.next = "ISSUE"
        self._fetch(m, now, load, fsm.ongoing("LOAD"))
        if self._hw.phased:
            m.d.comb += self.base.eq(now.base_word)
        with m.If(layer_done):
            m.d.sync += pending.eq(0)
        self._count(m, now, fsm, go, pending, frame_first)
        m.d.comb += self.busy.eq(pending | fsm.ongoing("ISSUE") | fsm.ongoing("IDLE"))
        return m

    def _issue(self, m: Module, now, column, window, pixel_tile, ends):
        pass_ends, tile_ends, last_pixels = ends
        m.d.comb += [
            self.slot.first.eq(column == 0),
            self.slot.close.eq(pass_ends),
            self.slot.open.eq(window == 0),
            self.slot.advance.eq(tile_ends & ~last_pixels),
            self.slot.restart.eq(tile_ends & last_pixels),
            self.tag.valid.eq(tile_ends),
            self.tag.filters.eq(now.filters),
            self.tag.param_base.eq(now.param_base),
            self.tag.layer_first.eq(now.layer_first),
            self.tag.pixel_first.eq(pixel_tile == 0),
            self.tag.layer_last.eq(now.layer_last & last_pixels),
            self.tag.frame_last.eq(now.frame_last),
        ]
        m.d.sync += column.eq(Mux(pass_ends, 0, column + 1))
        self._locate(m, now, column, window, ends)
        with m.If(pass_ends):
            m.d.sync += window.eq(Mux(tile_ends, 0, window + 1))
        with m.If(tile_ends):
            m.d.sync += pixel_tile.eq(Mux(last_pixels, 0, pixel_tile + 1))

    def _locate(self, m: Module, now, column, window, ends):
        """Where the words of the entry being issued lie: ROM addresses, or what the rings need to know."""
        pass_ends, tile_ends, last_pixels = ends
        if self._hw.external:
            m.d.comb += [
                self.use.valid.eq(1),
                self.use.entry_ends.eq(tile_ends),
                self.use.entry_release.eq(last_pixels & ~now.keep),
                self.use.weight_ends.eq(pass_ends),
                self.use.weight_release.eq(last_pixels & (window == now.passes)),
            ]
        else:
            following = self.entry_addr + 1
            if self._hw.residual_bits:
                following = Mux(column + 1 == now.shared, now.tail_base, following)
            m.d.sync += [
                self.entry_addr.eq(Mux(tile_ends, now.entry_base, following)),
                self.weight_addr.eq(Mux(pass_ends, now.weight_base, self.weight_addr + 1)),
            ]

    def _fetch(self, m: Module, now, load, layer_read):
        """Descriptor ROMs are read ahead: their outputs are always the next tile and the next layer."""
        tile_index, layer_index = Signal.like(self.tile_addr), Signal.like(self.layer_addr)
        last_layer = self._hw.layers - 1
        tile_next, layer_next = Signal.like(tile_index), Signal.like(layer_index)
        m.d.comb += [
            tile_next.eq(Mux(load, Mux(self.tile.frame_last, 0, tile_index + 1), tile_index)),
            layer_next.eq(Mux(layer_read, Mux(layer_index == last_layer, 0, layer_index + 1), layer_index)),
        ]
        m.d.sync += [tile_index.eq(tile_next), layer_index.eq(layer_next)]
        # The fast pipeline has the cycles for it: tiles are `SPACING` apart.
        fast = self._hw.fast
        m.d.comb += self.tile_addr.eq(tile_index if fast else tile_next)
        m.d.comb += self.layer_addr.eq(layer_index if fast else layer_next)
        with m.If(load):
            m.d.sync += now.eq(self.tile)
            if not self._hw.external:
                m.d.sync += [
                    self.entry_addr.eq(self.tile.entry_base),
                    self.weight_addr.eq(self.tile.weight_base),
                ]

    def _count(self, m: Module, now, fsm, go, pending, frame_first):
        """Cycles from an image's first entry to the first cycle in which the next one's could be issued."""
        elapsed, missed, counted = Signal(32), Signal(32), Signal(init=1)
        idle_frame = fsm.ongoing("WAIT") & frame_first
        with m.If(go):
            m.d.sync += frame_first.eq(0)
        with m.If(fsm.ongoing("LOAD")):
            m.d.sync += frame_first.eq(now.frame_last | frame_first)
        start = go & frame_first
        m.d.sync += [self.frame_start.eq(start), self.layer_start.eq(go)]
        # Counted a cycle later in the fast pipeline, as these hang on much.
        over = staged(m, self._hw, idle_frame & ~pending & self.lanes_ready, name="over")
        begins = staged(m, self._hw, start, name="begins")
        stalled = staged(m, self._hw, self.stalled, name="stalled_late")
        memory_stalled = staged(m, self._hw, self.memory_stalled, name="memory_stalled_late")
        with m.If(over & ~counted):
            m.d.sync += [self.cycles.eq(elapsed), self.memory_stalls.eq(missed), counted.eq(1)]
        # Behind it, since the next image may start in that very cycle.
        with m.If(begins):
            m.d.sync += [elapsed.eq(1), missed.eq(0), counted.eq(0)]
        with m.Elif(~stalled):
            m.d.sync += [elapsed.eq(elapsed + 1), missed.eq(missed + memory_stalled)]

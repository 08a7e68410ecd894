"""The word queue: the results of a pixel tile, which all lanes have at once, one after the other to one requantiser."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from hwprm.gateware.core.requantiser import head_layout
from hwprm.gateware.primitives.arithmetic import delay, multiplex
from hwprm.gateware.primitives.layouts import flags_layout, layout_of, tag_layout
from hwprm.isa import Hardware, layer_format

__all__ = ["WordQueue"]


class WordQueue(wiring.Component):
    """Output words leave one a cycle, so one wide clamp is enough: pixel by pixel, filter by filter of the tile.

    A memory of `cols` words per lane holds the sums, bias and residual in them; one more the multipliers and shifts.
    Lane r's sum of filter f comes ``f + r`` cycles after that of lane 0 and filter 0, and is read
    ``1 + filters * r + f`` after it: never before it is there, and before the next tile's takes its place, since
    the schedule leaves a cycle for every word between pixel tiles (`hwprm.compiler.layout.schedule`).

    Members
    -------
    start : In(1), the sum of lane 0 and filter 0 comes with it
    tag : In(tag_layout), of the pixel tile, with `start`
    layer : In(layer word), constant until the layer's last word has left
    write : In(1), lane 0 has a sum
    filter : In(range(cols)), of which filter
    head : In(head_layout), lane 0's, whose multiplier and shift are those of `filter`
    sums : In(signed(sum_bits)).array(wide_lanes - 1), of the lanes behind it, skewed by a cycle a lane
    valid : Out(1), a word's sum, multiplier and shift are at `queued`, `WORD_QUEUE` cycles after lane 0's was at `head`
    queued : Out(head_layout)
    flags : Out(flags_layout), of the word
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        tag = tag_layout(hw)
        super().__init__(
            {
                "start": In(1),
                "tag": In(tag),
                "layer": In(layout_of(layer_format(hw))),
                "write": In(1),
                "filter": In(tag["filters"].shape),
                "sums": In(signed(hw.sum_bits)).array(hw.wide_lanes - 1),
                "head": In(head_layout(hw)),
                "valid": Out(1),
                "queued": Out(head_layout(hw)),
                "flags": Out(flags_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        active, tag = Signal(), Signal(tag_layout(hw))
        filt, lane, last_lane = Signal.like(self.filter), Signal(range(hw.wide_lanes)), Signal(range(hw.wide_lanes))
        filter_ends, lanes_end = filt == tag.filters, lane == last_lane
        with m.If(self.start):
            m.d.sync += [active.eq(1), tag.eq(self.tag), filt.eq(0), lane.eq(0), last_lane.eq(self._last_lane(m))]
        with m.Elif(active):
            m.d.sync += filt.eq(filt + 1)
            with m.If(filter_ends):
                m.d.sync += [filt.eq(0), lane.eq(lane + 1), active.eq(~lanes_end)]

        flags = self.flags
        m.d.sync += [
            self.valid.eq(active),
            flags.tile_first.eq(filt == 0),
            flags.tile_last.eq(filter_ends),
            flags.layer_first.eq(tag.layer_first),
            flags.pixel_first.eq(tag.pixel_first & (lane == 0)),
            flags.layer_last.eq(tag.layer_last & lanes_end),
            flags.frame_last.eq(tag.frame_last),
        ]
        self._sums(m, filt, lane)
        return m

    def _last_lane(self, m: Module):
        """Of the tile that starts: the lanes with a pixel of the map, less one."""
        hw = self._hw
        run = self.layer.wide_pixels if hw.batch == 1 else self.layer.wide_run
        left = Signal.like(run, name="pixels_left")
        now = Mux(self.tag.pixel_first, run, left)
        with m.If(self.start):
            # Where tiles end with the image, the next one begins behind a short tile.
            m.d.sync += left.eq(now - hw.rows if hw.batch == 1 else Mux(now <= hw.rows, run, now - hw.rows))
        return Mux(now < hw.wide_lanes, now - 1, hw.wide_lanes - 1)

    def _sums(self, m: Module, filt, lane):
        """The memories: written as sums come, be they output words or not, read where the walk stands."""
        hw = self._hw
        rows, at = [], Cat(self.filter, self.write)
        for r, total in enumerate((self.head.total, *self.sums)):
            rows.append(self._memory(m, f"sums{r}", at, total, filt))
            at = delay(m, at, 1, name=f"at{r}", reset_less=False)
        pair = data.StructLayout({name: self.head[name].shape() for name in ("mult", "shift")})
        given = Signal(pair)
        m.d.comb += [given[name].eq(self.head[name]) for name in ("mult", "shift")]
        found = pair(self._memory(m, "scales", Cat(self.filter, self.write), given.as_value(), filt))
        total = Signal(signed(hw.sum_bits))
        m.d.comb += total.eq(multiplex(rows, lane))
        m.d.sync += [
            self.queued.total.eq(total),
            self.queued.mult.eq(found.mult),
            self.queued.shift.eq(found.shift),
        ]

    def _memory(self, m: Module, name: str, at, value, read_at):
        """A memory of a word per filter, read in the same cycle: a target makes it of its smallest RAMs.

        One of a single word, whose address would have no bits, is a register.
        """
        if self._hw.cols == 1:
            word = Signal(len(value), name=name)
            with m.If(at[-1]):
                m.d.sync += word.eq(value)
            return word
        m.submodules[name] = memory = Memory(MemoryData(shape=len(value), depth=self._hw.cols, init=[]))
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.en.eq(at[-1]), write.addr.eq(at[:-1]), write.data.eq(value), read.addr.eq(read_at)]
        return read.data

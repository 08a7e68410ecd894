"""The drain: follows the wavefront through the array, requantises each filter's vector, and squares up the skew."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.core.posts import Posts
from hwprm.gateware.core.requantiser import Requantiser
from hwprm.gateware.core.word_queue import WordQueue
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.layouts import flags_layout, layout_of, operand_shape, tag_layout
from hwprm.isa import Hardware, layer_format, param_format
from hwprm.isa.latencies import (
    DRAIN_LEVEL,
    REQUANTISE,
    RESIDUAL_PRODUCT,
    SUM,
    TABLE_READ,
    TAG_TO_SELECT,
    post_depth,
    tag_to_sum,
)

__all__ = ["Drain"]


class Drain(wiring.Component):
    """One filter a cycle, from the cycle after a tag arrives until the tag's filters are through.

    The tag must arrive `tag_to_sum` (`hwprm.isa.latencies`) cycles before PE (0, 0) holds the result: some more where
    residuals are multiplied or parameters read in the meantime. The next tag may arrive together with the last
    filter. `layer` must be constant until the layer's last vector has left. Latency from the first select to the
    first wide word ``DRAIN_LEVEL * mux_levels + REQUANTISE(hw)``; a vector takes ``post_depth(hw) + rows - 1`` more.
    `posts` are the tables behind the requantisers, for simulation by Amaranth.

    Members
    -------
    tag : In(tag_layout)
    layer : In(layer word)
    select : Out(range(cols))
    drained : In(signed(acc_bits)).array(rows)
    passed : In(operand_shape).array(rows), residuals, `RESIDUAL_PRODUCT` cycles before their sums, if any
    gates : In(operand_shape).array(rows), theirs, together with them, if any
    param_addr : Out(param address)
    param : In(param word), `TABLE_READ` cycles after its address
    vector_valid : Out(1), stored layers only
    vector : Out(act_bits).array(rows)
    wide_valid : Out(1), wide layers only
    wide : Out(signed(32)), a word, pixel by pixel and filter by filter of a tile
    wide_flags : Out(flags_layout)
    """

    def __init__(self, hw: Hardware, posts: Sequence[int] | None = None):
        self._hw, self._posts = hw, posts
        tag = tag_layout(hw)
        names = ("passed",) * bool(hw.residual_bits) + ("gates",) * hw.gates
        passed = {name: In(operand_shape(hw)).array(hw.rows) for name in names}
        super().__init__(
            {
                "tag": In(tag),
                "layer": In(layout_of(layer_format(hw))),
                "select": Out(tag["filters"].shape),
                "drained": In(signed(hw.acc_bits)).array(hw.rows),
                **passed,
                "param_addr": Out(tag["param_base"].shape),
                "param": In(layout_of(param_format(hw))),
                "vector_valid": Out(1),
                "vector": Out(hw.act_bits).array(hw.rows),
                "wide_valid": Out(1),
                "wide": Out(signed(WIDE_BITS)),
                "wide_flags": Out(flags_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        active = Signal()
        tag = Signal(tag_layout(hw))
        address = Signal.like(self.param_addr)
        filt = Signal.like(self.select)
        last = filt == tag.filters
        ends = self._channel_ends(m, active) if hw.phased else 1
        with m.If(self.tag.valid):
            m.d.sync += [active.eq(1), tag.eq(self.tag), filt.eq(0), address.eq(self.tag.param_base)]
        with m.Elif(active):
            m.d.sync += [active.eq(~last), filt.eq(filt + 1), address.eq(address + ends)]
        ahead = tag_to_sum(hw) - TAG_TO_SELECT  # filters are counted before residuals are multiplied
        levels = DRAIN_LEVEL * hw.mux_levels
        m.d.comb += self.select.eq(delay(m, filt, ahead, name="filter"))
        early = RESIDUAL_PRODUCT(hw) if hw.residual_bits else 0  # by which parameters come before their sums
        m.d.comb += self.param_addr.eq(delay(m, address, ahead + levels - early - TABLE_READ(hw), name="param_address"))

        ready = ahead + levels + SUM(hw)  # the sum of lane 0, bias and residual in it
        valid = delay(m, active, ready, name="valid", reset_less=False)
        requantised = delay(m, valid, REQUANTISE(hw) - SUM(hw), name="requantised", reset_less=False)
        m.d.comb += self.vector_valid.eq(
            delay(
                m, requantised & ~self.layer.wide, post_depth(hw) + hw.rows - 1, name="vector_valid", reset_less=False
            )
        )
        lanes = self._lanes(m)
        if hw.wide_lanes > 1:
            at = Cat(delay(m, filt, ready, name="sum_filter"), valid)
            self._queue(m, lanes, at, delay(m, self.tag.as_value(), 1 + ready, name="start", reset_less=False))
        else:
            flags = Signal(flags_layout())
            m.d.comb += [flags.tile_first.eq(filt == 0), flags.tile_last.eq(last)]
            said = ("layer_first", "pixel_first", "layer_last", "frame_last")
            m.d.comb += [flags[name].eq(tag[name]) for name in said]
            m.d.comb += [
                self.wide_valid.eq(requantised & self.layer.wide),
                self.wide_flags.eq(delay(m, flags.as_value(), ready + REQUANTISE(hw) - SUM(hw), name="flags")),
            ]
        return m

    def _channel_ends(self, m: Module, active):
        """Whether the next filter has parameters of its own: the one being counted is the last phase of its channel."""
        phase, ends = Signal.like(self.layer.phases), Signal()
        m.d.comb += ends.eq(phase == self.layer.phases)
        with m.If(self.tag.valid):
            m.d.sync += phase.eq(0)
        with m.Elif(active):
            m.d.sync += phase.eq(Mux(ends, 0, phase + 1))
        return ends

    def _queue(self, m: Module, lanes, at, start):
        """Output words of several lanes: queued behind their sums, and then through lane 0's multiplier and clamp."""
        hw = self._hw
        m.submodules.words = words = WordQueue(hw)
        m.d.comb += [
            words.tag.eq(start),
            words.start.eq(words.tag.valid & self.layer.wide),
            words.layer.eq(self.layer),
            words.filter.eq(at[:-1]),
            words.write.eq(at[-1]),
            words.head.eq(lanes[0].head),
            lanes[0].queued.eq(words.queued),
            lanes[0].take_queued.eq(self.layer.wide),
            self.wide_valid.eq(delay(m, words.valid, REQUANTISE(hw) - SUM(hw), name="word_valid", reset_less=False)),
            self.wide_flags.eq(delay(m, words.flags.as_value(), REQUANTISE(hw) - SUM(hw), name="word_flags")),
        ]
        m.d.comb += [words.sums[r - 1].eq(lanes[r].head.total) for r in range(1, hw.wide_lanes)]

    def _posted(self, m: Module, result, row: int):
        """What lane `row` stores of its requantised `result`."""
        if not self._hw.posts:
            return result
        m.submodules[f"posts{row}"] = posts = Posts(self._hw, self._posts)
        m.d.comb += [posts.layer.eq(self.layer), posts.code.eq(result)]
        return posts.result

    def _lanes(self, m: Module) -> list[Requantiser]:
        """Parameters travel down with the skew; results wait so that a vector leaves at once."""
        hw = self._hw
        layout = layout_of(param_format(hw))
        param = self.param.as_value()
        lanes = []
        for r in range(hw.rows):
            m.submodules[f"requantiser{r}"] = lane = Requantiser(hw, wide=r == 0)
            after = delay(m, param, 1, name=f"param{r}")  # the next row's, and on its way behind a residual's product
            own = param
            if hw.residual_bits:
                factor = layout(param).residual
                if hw.gates:
                    factor = Mux(self.layer.gated & (factor != 0), self.gates[r], factor)
                m.d.comb += [lane.residual.eq(self.passed[r]), lane.factor.eq(factor)]
                own = delay(m, after, RESIDUAL_PRODUCT(hw) - 1, name=f"param_behind{r}")
            m.d.comb += [
                lane.acc.eq(self.drained[r]),
                lane.param.eq(own),
                lane.clamp_low.eq(self.layer.clamp_low),
                lane.clamp_high.eq(self.layer.clamp_high),
                lane.wide_low.eq(self.layer.wide_low),
                lane.wide_high.eq(self.layer.wide_high),
                self.vector[r].eq(delay(m, self._posted(m, lane.result, r), hw.rows - 1 - r, name=f"deskew{r}")),
            ]
            if r == 0:
                m.d.comb += self.wide.eq(lane.wide)
            param = after
            lanes.append(lane)
        return lanes

"""The drain: follows the wavefront through the array, requantises each filter's vector, and squares up the skew."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.core.requantiser import Requantiser
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.layouts import layout_of, tag_layout
from hwprm.isa import Hardware, layer_format, param_format
from hwprm.isa.latencies import DRAIN_LEVEL, REQUANTISE, RESIDUAL_PRODUCT, TABLE_READ, TAG_TO_SELECT, tag_to_sum

__all__ = ["Drain"]


class Drain(wiring.Component):
    """One filter a cycle, from the cycle after a tag arrives until the tag's filters are through.

    The tag must arrive `tag_to_sum` (`hwprm.isa.latencies`) cycles before PE (0, 0) holds the result: some more where
    residuals are multiplied or parameters read in the meantime. The next tag may arrive together with the last
    filter. `layer` must be constant until the layer's last vector has left. Latency from the first select to the
    first wide word ``DRAIN_LEVEL * mux_levels + REQUANTISE(hw)``; a vector takes ``rows - 1`` more.

    Members
    -------
    tag : In(tag_layout)
    layer : In(layer word)
    select : Out(range(cols))
    drained : In(signed(acc_bits)).array(rows)
    passed : In(signed(act_bits)).array(rows), residuals, one cycle before their sums, with residuals only
    param_addr : Out(param address)
    param : In(param word), `TABLE_READ` cycles after its address
    vector_valid : Out(1), stored layers only
    vector : Out(act_bits).array(rows)
    wide_valid : Out(1), wide layers only
    wide : Out(signed(32)), lane 0
    wide_flags : Out(struct of tile_first (first filter of a tile), tile_last, and the tag's flags)
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        tag = tag_layout(hw)
        self.flags_layout = data.StructLayout(
            dict.fromkeys(("tile_first", "tile_last", "layer_first", "pixel_first", "layer_last", "frame_last"), 1)
        )
        passed = {"passed": In(signed(hw.act_bits)).array(hw.rows)} if hw.residual_bits else {}
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
                "wide_flags": Out(self.flags_layout),
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
        with m.If(self.tag.valid):
            m.d.sync += [active.eq(1), tag.eq(self.tag), filt.eq(0), address.eq(self.tag.param_base)]
        with m.Elif(active):
            m.d.sync += [active.eq(~last), filt.eq(filt + 1), address.eq(address + 1)]
        ahead = tag_to_sum(hw) - TAG_TO_SELECT  # filters are counted before residuals are multiplied
        levels = DRAIN_LEVEL * hw.mux_levels
        m.d.comb += self.select.eq(delay(m, filt, ahead, name="filter"))
        early = RESIDUAL_PRODUCT if hw.residual_bits else 0  # by which parameters come before their sums
        m.d.comb += self.param_addr.eq(delay(m, address, ahead + levels - early - TABLE_READ(hw), name="param_address"))

        flags = Signal(self.flags_layout)
        m.d.comb += [flags.tile_first.eq(filt == 0), flags.tile_last.eq(last)]
        m.d.comb += [flags[name].eq(tag[name]) for name in ("layer_first", "pixel_first", "layer_last", "frame_last")]
        latency = ahead + levels + REQUANTISE(hw)
        valid = delay(m, active, latency, name="valid", reset_less=False)
        m.d.comb += [
            self.wide_valid.eq(valid & self.layer.wide),
            self.wide_flags.eq(delay(m, flags.as_value(), latency, name="flags")),
            self.vector_valid.eq(
                delay(m, valid & ~self.layer.wide, hw.rows - 1, name="vector_valid", reset_less=False)
            ),
        ]
        self._lanes(m)
        return m

    def _lanes(self, m: Module):
        """Parameters travel down with the skew; results wait so that a vector leaves at once."""
        hw = self._hw
        layout = layout_of(param_format(hw))
        param = self.param.as_value()
        for r in range(hw.rows):
            m.submodules[f"requantiser{r}"] = lane = Requantiser(hw, wide=r == 0)
            after = delay(m, param, 1, name=f"param{r}")  # the next row's, and behind a residual's product
            if hw.residual_bits:
                m.d.comb += [lane.residual.eq(self.passed[r]), lane.factor.eq(layout(param).residual)]
            m.d.comb += [
                lane.acc.eq(self.drained[r]),
                lane.param.eq(after if hw.residual_bits else param),
                lane.clamp_low.eq(self.layer.clamp_low),
                lane.clamp_high.eq(self.layer.clamp_high),
                lane.wide_low.eq(self.layer.wide_low),
                lane.wide_high.eq(self.layer.wide_high),
                self.vector[r].eq(delay(m, lane.result, hw.rows - 1 - r, name=f"deskew{r}")),
            ]
            if r == 0:
                m.d.comb += self.wide.eq(lane.wide)
            param = after

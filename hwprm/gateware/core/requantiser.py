"""Requantisation in gates: bias, multiplier, rounding shift, clamp; the twin of `hwprm.core.numerics.requantize`."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.primitives.arithmetic import delay, staged
from hwprm.gateware.primitives.cells import limits, multiply, operand
from hwprm.gateware.primitives.layouts import layout_of, operand_shape
from hwprm.isa import Hardware, param_format

__all__ = ["Requantiser", "head_layout"]


def head_layout(hw: Hardware) -> data.StructLayout:
    """A sum, bias and residual in it, and what it is multiplied and shifted with."""
    param = layout_of(param_format(hw))
    return data.StructLayout({"total": signed(hw.sum_bits), **{key: param[key].shape for key in ("mult", "shift")}})


class Requantiser(wiring.Component):
    """One lane. A result every cycle, `REQUANTISE` (`hwprm.isa.latencies`) cycles after its sum; no flow control.

    ``result = clamp(round_shift((acc + bias + residual * factor) * mult, shift))``; the residual and its factor, which
    only designs with residuals have, come `RESIDUAL_PRODUCT` cycles before the accumulator. The rounding
    ``(x + 2**(s-1)) >> s`` is computed as ``((x >> (s - 1)) + 1) >> 1``, the same integer. The design's smallest shift
    is wired, the rest is a barrel.

    Members
    -------
    acc : In(signed(acc_bits))
    param : In(param word), whose residual's multiplier is not looked at
    residual : In(operand_shape), with residuals only
    factor : In(unsigned(residual_bits)), with residuals only; where these have gates signed(factor_bits)
    clamp_low, clamp_high : In(operand_shape)
    wide_low, wide_high : In(signed(32))
    head : Out(head_layout), `SUM` cycles after `acc`
    queued : In(head_layout), where words are queued (`WordQueue`) in lane 0 only
    take_queued : In(1), it is requantised in place of `head`, likewise
    result : Out(signed(act_bits)), the bits of an activation, signed or not
    wide : Out(signed(32)), the same value with the wide clamp
    """

    def __init__(self, hw: Hardware, *, wide: bool):
        self._hw, self._wide = hw, wide
        self._queued = wide and hw.wide_lanes > 1
        factor = signed(hw.factor_bits) if hw.gates else unsigned(hw.residual_bits)
        ahead = {"residual": In(operand_shape(hw)), "factor": In(factor)}
        queued = {"queued": In(head_layout(hw)), "take_queued": In(1)}
        super().__init__(
            {
                "acc": In(signed(hw.acc_bits)),
                "param": In(layout_of(param_format(hw))),
                **(ahead if hw.residual_bits else {}),
                **(queued if self._queued else {}),
                "head": Out(head_layout(hw)),
                "clamp_low": In(operand_shape(hw)),
                "clamp_high": In(operand_shape(hw)),
                "wide_low": In(signed(WIDE_BITS)),
                "wide_high": In(signed(WIDE_BITS)),
                "result": Out(signed(hw.act_bits)),
                "wide": Out(signed(WIDE_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw, param = self._hw, self.param
        head = Signal(head_layout(hw), reset_less=True)
        offset = param.bias
        if hw.residual_bits:
            offset = offset + self._residual(m, platform)
        m.d.sync += head.total.eq(self._later(m, self.acc, "acc") + self._later(m, offset, "offset"))
        m.d.sync += [head[name].eq(self._later(m, param[name], name)) for name in ("mult", "shift")]
        m.d.comb += self.head.eq(head)
        chosen = head
        if self._queued:
            chosen = Signal(head_layout(hw))
            m.d.comb += chosen.eq(Mux(self.take_queued, self.queued, head))

        product = Signal(signed(hw.sum_bits + len(chosen.mult)), reset_less=True)
        m.d.sync += product.eq(self._product(m, platform, chosen.total, chosen.mult))
        shift = delay(m, self._later(m, chosen.shift, "shift_partial"), 1, name="shift_product")
        halved = product[min(hw.shift_min, len(product)) - 1 :].as_signed()
        if hw.fast:
            # Multiples of four first, then the rest: each of the two is one level of multiplexers.
            coarse = Signal(signed(len(halved)), reset_less=True)
            m.d.sync += coarse.eq(halved >> Cat(Const(0, 2), shift[2:]) if len(shift) > 2 else halved)
            shift = delay(m, shift[:2], 1, name="shift_fine")
            halved = coarse
        shifted = Signal(signed(len(halved)))
        m.d.comb += shifted.eq(halved >> shift)
        rounded = Signal(signed(len(halved)), reset_less=True)
        m.d.sync += rounded.eq((self._later(m, shifted, "shifted") + 1) >> 1)

        m.d.sync += self.result.eq(self._clamp(m, rounded, self.clamp_low, self.clamp_high, "clamp"))
        if self._wide:
            m.d.sync += self.wide.eq(self._clamp(m, rounded, self.wide_low, self.wide_high, "wide"))
        else:
            m.d.comb += self.wide.eq(Const(0, WIDE_BITS))
        return m

    def _residual(self, m: Module, platform):
        """The residual's product. Where there is none, anything may pass by, memory that was never written included."""
        hw = self._hw
        residual = self._later(m, Mux(self.factor == 0, 0, self.residual), "residual")
        if hw.fast:
            return multiply(m, platform, residual, self._later(m, self.factor, "factor"), stages=1, name="added")
        added = Signal(signed(hw.act_bits + hw.unsigned + len(self.factor)), name="added", reset_less=True)
        m.d.sync += added.eq(residual * self.factor)
        return added

    def _later(self, m: Module, value, name: str):
        return staged(m, self._hw, value, name=f"{name}_staged")

    def _product(self, m: Module, platform, total, mult):
        """``total * mult``; in the fast pipeline a cycle later, from the parts that one DSP block multiplies each."""
        if not self._hw.fast:
            return total * mult
        mult, cells = operand(platform, mult), limits(platform)
        if len(total) <= cells.signed:
            return multiply(m, platform, total, mult, stages=1, name="partial")
        cut = cells.unsigned
        parts = operand(platform, total[:cut]), total[cut:].as_signed()
        low, high = (
            multiply(m, platform, part, mult, stages=1, name=f"partial_{name}")
            for part, name in zip(parts, ("low", "high"), strict=True)
        )
        return Cat(low[:cut], low[cut:].as_signed() + high).as_signed()

    def _clamp(self, m: Module, value, low, high, name: str):
        """``value < low`` and ``high < value``: a carry chain each, where ``value > high`` is two trees."""
        below, above = self._later(m, value < low, f"{name}_below"), self._later(m, high < value, f"{name}_above")
        inside = self._later(m, value[: len(low)].as_signed(), f"{name}_value")
        return Mux(below, low, Mux(above, high, inside))

"""Requantisation in gates: bias, multiplier, rounding shift, clamp; the twin of `hwprm.core.numerics.requantize`."""

from amaranth.hdl import Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
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
    factor : In(unsigned(residual_bits)), with residuals only
    clamp_low, clamp_high : In(operand_shape)
    wide_low, wide_high : In(signed(32))
    head : Out(head_layout), one cycle after `acc`
    queued : In(head_layout), where words are queued (`WordQueue`) in lane 0 only
    take_queued : In(1), it is requantised in place of `head`, likewise
    result : Out(signed(act_bits)), the bits of an activation, signed or not
    wide : Out(signed(32)), the same value with the wide clamp
    """

    def __init__(self, hw: Hardware, *, wide: bool):
        self._hw, self._wide = hw, wide
        self._queued = wide and hw.wide_lanes > 1
        ahead = {"residual": In(operand_shape(hw)), "factor": In(unsigned(hw.residual_bits))}
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
        biased = self.acc + param.bias
        if hw.residual_bits:
            added = Signal(signed(hw.act_bits + hw.unsigned + hw.residual_bits), reset_less=True)
            # Where there is none, anything may pass by, memory that was never written included.
            m.d.sync += added.eq(Mux(self.factor == 0, 0, self.residual) * self.factor)
            biased += added
        m.d.sync += [head.total.eq(biased), head.mult.eq(param.mult), head.shift.eq(param.shift)]
        m.d.comb += self.head.eq(head)
        chosen = head
        if self._queued:
            chosen = Signal(head_layout(hw))
            m.d.comb += chosen.eq(Mux(self.take_queued, self.queued, head))

        product = Signal(signed(hw.sum_bits + len(param.mult)), reset_less=True)
        shift = Signal.like(chosen.shift, reset_less=True)
        m.d.sync += [product.eq(chosen.total * chosen.mult), shift.eq(chosen.shift)]

        halved = product >> (hw.shift_min - 1)
        shifted = Signal(signed(len(halved)))
        m.d.comb += shifted.eq(halved >> shift)
        rounded = Signal(signed(len(halved) + 1), reset_less=True)
        m.d.sync += rounded.eq((shifted + 1) >> 1)

        m.d.sync += self.result.eq(self._clamp(rounded, self.clamp_low, self.clamp_high))
        if self._wide:
            m.d.sync += self.wide.eq(self._clamp(rounded, self.wide_low, self.wide_high))
        else:
            m.d.comb += self.wide.eq(Const(0, WIDE_BITS))
        return m

    @staticmethod
    def _clamp(value, low, high):
        return Mux(value < low, low, Mux(value > high, high, value))

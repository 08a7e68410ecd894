"""The processing element: multiply, accumulate in place, and with pooling keep the maximum."""

from amaranth.hdl import Cat, Module, Signal, signed

from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.cells import accumulate, limits, multiply
from hwprm.isa import Hardware
from hwprm.isa.latencies import OPERAND

__all__ = ["ProcessingElement", "operand_flags"]


def operand_flags(hw: Hardware) -> tuple[str, ...]:
    """Flags that travel east with each activation.

    ``first``: this product starts a new sum. With pooling also ``close``: this product ends a pass; ``open``: the
    pass is the first window position; ``keep``: the pass counts in this lane.
    """
    return ("first", "close", "open", "keep") if hw.pooling else ("first",)


class ProcessingElement:
    """Builds one PE into an existing module: a hierarchy of a module per PE makes Verilog ten times as long.

    No flow control: one operand pair per cycle, always. Latency from operands at the west and north edge to the
    accumulator: ``OPERAND + multiplier_stages + ACCUMULATE`` of `hwprm.isa.latencies`; the pooled maximum is `MAXIMUM`
    later.
    """

    def __init__(self, hw: Hardware):
        self._hw = hw

    def product(self, m: Module, act, weight, name: str, platform=None, held: int = 0):
        """The product, ``multiplier_stages`` and `held` cycles later. Activations are signed or unsigned
        (`operand_shape`), and one bit wider where a design holds both kinds; the product fits ``act_bits +
        weight_bits`` in any case.
        """
        product = multiply(m, platform, act, weight, stages=self._hw.multiplier_stages + held, name=name)
        return product[: self._hw.act_bits + self._hw.weight_bits].as_signed()

    def build(self, m: Module, west, weight_north, name: str, platform=None):
        """Add the PE's logic to `m`, of the cells that `platform` offers.

        `west` is a dict of signals (``act`` and the flags), `weight_north` the weight from above.
        Returns (operands to the east, weight to the south, result).
        """
        hw = self._hw
        east = {key: Signal.like(value, name=f"{name}_{key}", reset_less=True) for key, value in west.items()}
        south = Signal(signed(hw.weight_bits), name=f"{name}_weight", reset_less=True)
        m.d.sync += [east[key].eq(west[key]) for key in west]
        m.d.sync += south.eq(weight_north)
        if limits(platform).holds:  # the multiplier's own registers; those here only pass operands on
            product = self.product(m, west["act"], weight_north, name, platform, OPERAND)
        else:
            product = self.product(m, east["act"], south, name, platform)
        flags = {key: delay(m, east[key], hw.multiplier_stages, name=f"{name}_{key}") for key in operand_flags(hw)}
        acc = accumulate(m, platform, flags["first"], product, bits=hw.acc_bits, name=f"{name}_acc")
        return east, south, self._maximum(m, acc, flags, name) if hw.pooling else acc

    def _maximum(self, m: Module, acc, flags, name: str):
        """Running maximum over the pooling window, of the passes that count; one does at least.

        ``best < acc``, not ``acc > best``: synthesis makes the first of one carry chain, the second of two trees. And
        without signs, the uppermost bits exchanged, which says the same: the end of the chain is the answer, where
        signs would need its overflow as well.
        """
        done = {key: Signal(name=f"{name}_{key}_acc", reset_less=True) for key in ("close", "open", "keep")}
        m.d.sync += [done[key].eq(flags[key]) for key in done]
        best = Signal(signed(self._hw.acc_bits), name=f"{name}_best", reset_less=True)
        held = Signal(name=f"{name}_held", reset_less=True)  # a pass of this window has counted
        less = Cat(best[:-1], acc[-1]) < Cat(acc[:-1], best[-1])
        with m.If(done["close"]):
            m.d.sync += held.eq(done["keep"] | (held & ~done["open"]))
            with m.If(done["keep"] & (done["open"] | ~held | less)):
                m.d.sync += best.eq(acc)
        return best

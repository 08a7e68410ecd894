"""The processing element: multiply, accumulate in place, and with pooling keep the maximum."""

from amaranth.hdl import Module, Mux, Signal, signed

from hwprm.isa import Hardware

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
    A vendor variant overrides `product` and nothing else.
    """

    def __init__(self, hw: Hardware):
        self._hw = hw

    def product(self, m: Module, act, weight, name: str):
        """The product, ``multiplier_stages`` cycles later. Activations are signed or unsigned (`operand_shape`), and
        one bit wider where a design holds both kinds; the product fits ``act_bits + weight_bits`` in any case.
        """
        value = act * weight
        for i in range(self._hw.multiplier_stages):
            stage = Signal(signed(self._hw.act_bits + self._hw.weight_bits), name=f"{name}_product{i}", reset_less=True)
            m.d.sync += stage.eq(value)
            value = stage
        return value

    def build(self, m: Module, west, weight_north, name: str):
        """Add the PE's logic to `m`.

        `west` is a dict of signals (``act`` and the flags), `weight_north` the weight from above.
        Returns (operands to the east, weight to the south, result).
        """
        hw = self._hw
        east = {key: Signal.like(value, name=f"{name}_{key}", reset_less=True) for key, value in west.items()}
        south = Signal(signed(hw.weight_bits), name=f"{name}_weight", reset_less=True)
        m.d.sync += [east[key].eq(west[key]) for key in west]
        m.d.sync += south.eq(weight_north)
        product = self.product(m, east["act"], south, name)
        flags = {key: self._align(m, east[key], f"{name}_{key}") for key in operand_flags(hw)}
        acc = Signal(signed(hw.acc_bits), name=f"{name}_acc", reset_less=True)
        m.d.sync += acc.eq(Mux(flags["first"], 0, acc) + product)
        return east, south, self._maximum(m, acc, flags, name) if hw.pooling else acc

    def _align(self, m: Module, flag, name: str):
        for i in range(self._hw.multiplier_stages):
            stage = Signal(name=f"{name}{i}", reset_less=True)
            m.d.sync += stage.eq(flag)
            flag = stage
        return flag

    def _maximum(self, m: Module, acc, flags, name: str):
        """Running maximum over the pooling window; a pass that does not count leaves it alone or starts it at least."""
        least = -(1 << (self._hw.acc_bits - 1))
        done = {key: Signal(name=f"{name}_{key}_acc", reset_less=True) for key in ("close", "open", "keep")}
        m.d.sync += [done[key].eq(flags[key]) for key in done]
        best = Signal(signed(self._hw.acc_bits), name=f"{name}_best", reset_less=True)
        held = Mux(done["open"], least, best)
        with m.If(done["close"]):
            m.d.sync += best.eq(Mux(done["keep"] & (acc > held), acc, held))
        return best

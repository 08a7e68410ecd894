"""The systolic array: activations travel east, weights south, every result stays where it is computed."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.core.processing_element import ProcessingElement, operand_flags
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.cells import choose
from hwprm.gateware.primitives.layouts import operand_shape
from hwprm.isa import Hardware
from hwprm.isa.latencies import DRAIN_LEVEL, OPERAND, RESIDUAL_PRODUCT, operand_to_sum

__all__ = ["SystolicArray", "operand_layout"]


def operand_layout(hw: Hardware) -> data.StructLayout:
    """An activation with the flags that travel with it."""
    return data.StructLayout({"act": operand_shape(hw)} | dict.fromkeys(operand_flags(hw), 1))


class SystolicArray(wiring.Component):
    """``rows`` x ``cols`` processing elements, output-stationary. No flow control: an operand per lane per cycle.

    Row r is skewed by r cycles and column c by c, so that the operands of one list entry, which enter together, meet
    in every PE. The result of PE (r, c) stands ``operand_to_sum(hw) + r + c`` (`hwprm.isa.latencies`) cycles after the
    last operand entered, for one cycle at least, until the next sum replaces it. So draining needs no second register
    per PE: a multiplexer per row follows the wavefront, a filter a cycle. `select` of row 0 travels down with the skew
    of the rows, and `drained` of row r is the selected result ``mux_levels`` cycles after its select, so skewed by r.

    With residuals the rows are delay lines as well: `RESIDUAL_PRODUCT` cycles before `drained` of row r is the result
    of column c, `passed` of row r is the activation that entered ``cols - 1 - c`` entries before the last of that sum,
    and with gates `gates` the one that entered `cols` entries before that.

    Members
    -------
    operands : In(operand_layout(hw)).array(rows)
    weights : In(signed(weight_bits)).array(cols)
    select : In(range(cols))
    drained : Out(signed(acc_bits)).array(rows)
    passed : Out(operand_shape).array(rows), with residuals only
    gates : Out(operand_shape).array(rows), where these have gates only
    """

    def __init__(self, hw: Hardware, element: ProcessingElement | None = None):
        self._hw = hw
        self._element = element or ProcessingElement(hw)
        names = ("passed",) * bool(hw.residual_bits) + ("gates",) * hw.gates
        passed = {name: Out(operand_shape(hw)).array(hw.rows) for name in names}
        super().__init__(
            {
                "operands": In(operand_layout(hw)).array(hw.rows),
                "weights": In(signed(hw.weight_bits)).array(hw.cols),
                "select": In(max(1, (hw.cols - 1).bit_length())),
                "drained": Out(signed(hw.acc_bits)).array(hw.rows),
                **passed,
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        columns = [delay(m, self.weights[c], c, name=f"skew_weight{c}") for c in range(hw.cols)]
        select = self.select
        # The last operand is at the east end cols cycles after it entered, its result at the drain's after these.
        behind = operand_to_sum(hw) - OPERAND + DRAIN_LEVEL * hw.mux_levels - RESIDUAL_PRODUCT(hw)
        for r in range(hw.rows):
            operand = self.operands[r]
            west = {key: delay(m, operand[key], r, name=f"skew_{key}{r}") for key in ("act", *operand_flags(hw))}
            results = []
            for c in range(hw.cols):
                west, columns[c], result = self._element.build(m, west, columns[c], f"pe_{r}_{c}", platform)
                results.append(result)
            m.d.comb += self.drained[r].eq(self._drain(m, platform, results, select, r))
            select = delay(m, select, 1, name=f"select{r}")
            if hw.residual_bits:
                m.d.comb += self.passed[r].eq(delay(m, west["act"], behind, name=f"passed{r}"))
            if hw.gates:
                m.d.comb += self.gates[r].eq(delay(m, self.passed[r], hw.cols, name=f"gate{r}"))
        return m

    def _drain(self, m: Module, platform, results, select, row: int):
        """The selected result, through one register per level of at most 16 inputs, or 8 in the fast pipeline."""
        level, radix = 0, 1 << self._hw.radix_bits
        while True:
            groups = [results[i : i + radix] for i in range(0, len(results), radix)]
            results = []
            for i, group in enumerate(groups):
                out = Signal(signed(self._hw.acc_bits), name=f"drain{row}_{level}_{i}", reset_less=True)
                m.d.sync += out.eq(choose(m, platform, group, select, name=f"drain{row}_{level}_{i}"))
                results.append(out)
            if len(results) == 1:
                return results[0]
            select = delay(m, select[self._hw.radix_bits :], 1, name=f"drain_select{row}_{level}")
            level += 1

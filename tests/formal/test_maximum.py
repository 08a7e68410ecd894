"""The running maximum of a processing element, which compares in one carry chain, against signed numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed

from hwprm.gateware.core.processing_element import ProcessingElement, operand_flags
from tests.support.formal import Made, Verdict, prove
from tests.support.hardware import hardware

BITS = 8
#: `best` is anything before the first pass that counts; of a window at least one does.
HARNESS = """
module harness (input clk, input close, open, keep, input signed [7:0] acc);
    wire signed [7:0] best;
    wire done_close, done_open, done_keep, held;
    dut dut(
        .clk(clk), .rst(1'b0), .close(close), .open(open), .keep(keep), .acc(acc), .best(best),
        .pe_close_acc(done_close), .pe_open_acc(done_open), .pe_keep_acc(done_keep), .pe_held(held)
    );
    reg close_acc = 0, open_acc = 0, keep_acc = 0, counted = 0;
    reg signed [7:0] most;
    always @(posedge clk) begin
        {close_acc, open_acc, keep_acc} <= {close, open, keep};
        if (close_acc) begin
            counted <= keep_acc || (counted && !open_acc);
            if (keep_acc) most <= counted && !open_acc && most > acc ? most : acc;
        end
    end
    always @* if (counted) assert (best == most);
    // Registers that hold the same.
    always @* assert ({close_acc, open_acc, keep_acc} == {done_close, done_open, done_keep});
    always @* assert (counted == held);
endmodule
"""


class _Turned(ProcessingElement):
    """Compares without exchanging the signs."""

    def _maximum(self, m, acc, flags, name):
        turned = Signal(signed(len(acc)), name="turned")
        m.d.comb += turned.eq(acc ^ (1 << len(acc) - 1))
        return super()._maximum(m, turned, flags, name)


@pytest.mark.parametrize(("kind", "verdict"), [(ProcessingElement, Verdict.PROVEN), (_Turned, Verdict.REFUTED)])
def test_running_maximum(kind: type[ProcessingElement], verdict: Verdict, tmp_path: Path) -> None:
    hw = hardware(acc_bits=BITS, pooling=True)
    m = Module()
    acc, best = Signal(signed(BITS), name="acc"), Signal(signed(BITS), name="best")
    flags = {key: Signal(name=key) for key in operand_flags(hw)}
    m.d.comb += best.eq(kind(hw)._maximum(m, acc, flags, "pe"))
    ports = [acc, best, *(flags[key] for key in ("close", "open", "keep"))]
    (tmp_path / "dut.il").write_text(rtlil.convert(m, name="maximum", ports=ports, emit_src=False))
    shown = ["pe_close_acc", "pe_open_acc", "pe_keep_acc", "pe_held"]
    made = Made(name="dut", top="maximum", sources=[tmp_path / "dut.il"], shown=shown)
    assert prove(tmp_path, HARNESS, [made], steps=4) is verdict

"""A filter without a residual ignores what passes by, even what no simulator knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from amaranth.back import verilog

from hwprm.gateware.core.requantiser import Requantiser
from hwprm.isa import param_format
from hwprm.verification.simulators.tools import find_simulator
from tests.support.hardware import hardware

pytestmark = pytest.mark.sim

BENCH = """
module bench;
  reg clk = 0;
  wire [7:0] result;
  requantiser dut (.clk(clk), .rst(1'b0), .acc(24'd40), .param({param}), .residual(8'bx), .factor(5'd{factor}),
                   .clamp_low(8'h80), .clamp_high(8'h7f), .wide_low(32'd0), .wide_high(32'd0), .result(result));
  initial begin
    repeat (20) #1 clk = ~clk;
    $display("%b", result);
  end
endmodule
"""


@pytest.mark.parametrize(("factor", "result"), [(0, "00101010"), (1, "xxxxxxxx")])
def test_unknown_residual(tmp_path: Path, factor: int, result: str) -> None:
    """(40 + 2) * 2 / 2 where the factor is 0; unknown where it is not, so that the bench can tell."""
    find_simulator("icarus")
    hw = hardware(residual_bits=5)
    form = param_format(hw)
    word = form.encode({"bias": 2, "mult": 2, "shift": 0, "residual": factor})
    text = verilog.convert(Requantiser(hw, wide=False), name="requantiser", emit_src=False, strip_internal_attrs=True)
    (tmp_path / "dut.v").write_text(text + BENCH.format(param=f"{form.width}'h{word:x}", factor=factor))
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", tmp_path / "sim", tmp_path / "dut.v"], check=True)
    shown = subprocess.run(["vvp", tmp_path / "sim"], check=True, capture_output=True, text=True)
    assert shown.stdout.split() == [result]

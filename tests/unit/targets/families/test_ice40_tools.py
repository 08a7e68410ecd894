"""The passes of yosys for iCE40: multipliers that a design instantiates stay what they are set to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwprm.emission.templates import render
from hwprm.targets import find_target
from tests.support.formal import run_yosys

TOP = """
module top (input clk, input signed [7:0] a, input signed [8:0] b, output signed [16:0] p, output reg [15:0] q);
    reg signed [7:0] x;
    reg signed [8:0] y;
    always @(posedge clk) {x, y} <= {a, b};
    always @(posedge clk) q <= x * y[7:0];
    hwprm_multiplier #(.A_BITS(8), .B_BITS(9), .B_SIGNED(0), .STAGES(STAGES)) dut (.clk(clk), .a(x), .b(y), .p(p));
endmodule
"""


@pytest.mark.parametrize("stages", [1, 3])
def test_multipliers_keep_their_registers(tmp_path: Path, stages: int) -> None:
    (tmp_path / "cells.v").write_text(render("hwprm_cells_ice40.v.j2"))
    (tmp_path / "top.v").write_text(TOP.replace("(STAGES)", f"({stages})"))
    target = find_target("ice40-up5k")
    passes = target.family.passes(target.device, "top")
    run_yosys(tmp_path, ["read_verilog -D SYNTHESIS -defer cells.v top.v", *passes, "write_json netlist.json"])
    cells = json.loads((tmp_path / "netlist.json").read_text())["modules"]["top"]["cells"]
    found = {name: cell["parameters"] for name, cell in cells.items() if cell["type"] == "SB_MAC16"}
    own = found.pop("dut.dsp")
    assert {name: int(own[name], 2) for name in ("A_SIGNED", "B_SIGNED", "PIPELINE_16x16_MULT_REG2", "A_REG")} == {
        "A_SIGNED": 1,
        "B_SIGNED": 0,
        "PIPELINE_16x16_MULT_REG2": 1,
        "A_REG": int(stages > 1),
    }
    assert len(found) == 1, "the product that it finds itself"

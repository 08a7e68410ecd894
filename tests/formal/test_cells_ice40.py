"""Arithmetic in cells of the iCE40 UltraPlus against its plain twin, as yosys' model of SB_MAC16 has it.

The model multiplies bytes: their products, and which shifts they are added with, are the distributive law. No solver
finds that for 16 by 16 bits, so wide products are compared with the same four, and whole products where they are few.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.emission.templates import render
from tests.support.formal import Made, Verdict, cell_model, prove
from tests.support.rounds import long_round

#: Operands of `a` and `b` bits, of which those that are not signed get a zero in front.
OPERANDS = """
module harness (input clk, input [{a}-1:0] a, input [{b}-1:0] b);
    wire [{a}+!{a_signed}-1:0] x = a;
    wire [{b}+!{b_signed}-1:0] y = b;
    wire signed [$bits(x)+$bits(y)-1:0] q;
    cells cells(.clk(clk), .a(x), .b(y), .p(q));
{want}
endmodule
"""

TWIN = """
    wire signed [$bits(q)-1:0] p;
    plain plain(.clk(clk), .a(x), .b(y), .p(p));
    always @* assert (p == q);
"""

#: The four products of bytes, the upper ones signed where their operands are, and what 32 bits of their sum mean.
BYTES = """
    wire signed [15:0] s = $signed(x);
    wire signed [15:0] t = $signed(y);
    wire [15:0] sh = {{{{8{{{a_sign}}}}}, s[15:8]}}, sl = {{8'b0, s[7:0]}};
    wire [15:0] th = {{{{8{{{b_sign}}}}}, t[15:8]}}, tl = {{8'b0, t[7:0]}};
    wire [15:0] hh = sh * th, lh = {{8'b0, sl[7:0]}} * th, hl = sh * {{8'b0, tl[7:0]}}, ll = sl * tl;
    wire [31:0] crossed = {{{{8{{{b_signed} && lh[15]}}}}, lh, 8'b0}} + {{{{8{{{a_signed} && hl[15]}}}}, hl, 8'b0}};
    wire [31:0] sum = {{hh, ll}} + crossed;
    wire signed [32:0] whole = {{({a_signed} || {b_signed}) && sum[31], sum}};
    wire signed [$bits(q)-1:0] p = whole;
    always @* assert (p == q);
"""

ACCUMULATOR = """
module harness (input clk, input first, input [{term}-1:0] term);
    wire [{bits}-1:0] p, q;
    other other(.clk(clk), .first(first), .term(term), .total(p));
    own own(.clk(clk), .first(first), .term(term), .total(q));
    reg begun = 0;
    always @(posedge clk) if (first) begun <= 1;
    always @* if (begun) assert (p == q);
endmodule
"""


def _proven(
    folder: Path, a: str, b: str, stages: int, want: str = TWIN, fault: tuple[str, str] = ("", ""), still: bool = True
) -> Verdict:
    """Of operands such as ``s16`` and ``u8``, what is proven of the cells with a `fault`, a text and its stand-in."""
    text = render("hwprm_cells_ice40.v.j2")
    assert fault[0] in text
    (folder / "plain.v").write_text(text)
    (folder / "cells.v").write_text(text.replace(*fault) if fault[0] else text)
    signs = {"a_signed": int(a[0] == "s"), "b_signed": int(b[0] == "s")}
    bits = {"a": int(a[1:]), "b": int(b[1:])}
    parameters = {
        **{f"{name.upper()}_BITS": bits[name] + (not signs[f"{name}_signed"]) for name in bits},
        **{f"{name.upper()}": value for name, value in signs.items()},
        "STAGES": stages,
    }
    common = {"top": "hwprm_multiplier", "parameters": parameters, "still": still}
    model = cell_model("ice40/cells_sim.v")
    made = [
        Made(name="plain", sources=[folder / "plain.v"], **common),
        Made(name="cells", sources=[folder / "cells.v"], synthesis=True, models=[model], **common),
    ]
    tops = {
        f"{name}_sign": f"{wire}[15]" if signs[f"{name}_signed"] else "1'b0" for name, wire in (("a", "s"), ("b", "t"))
    }
    harness = OPERANDS.format(**bits, **signs, want=want.format(**signs, **tops))
    steps = {} if still else {"steps": stages + 1, "skip": stages}
    return prove(folder, harness, made if want == TWIN else made[1:], **steps)


@pytest.mark.parametrize(
    ("a", "b", "stages"),
    long_round([("s16", "u16", 2), ("s16", "s16", 1), ("u16", "u16", 3), ("u8", "s8", 2), ("u9", "s10", 5)], quick=2),
)
def test_products(tmp_path: Path, a: str, b: str, stages: int) -> None:
    assert _proven(tmp_path, a, b, stages, BYTES) is Verdict.PROVEN


@pytest.mark.parametrize(
    ("a", "b", "fault"),
    long_round(
        [
            ("s16", "s16", (".B_SIGNED(RIGHT)", ".B_SIGNED(1'b0)")),
            ("u16", "u16", ("(LEFT | RIGHT) & z[31]", "z[31]")),
            ("u9", "s10", (".A(x[15:0])", ".A({x[14:0], 1'b0})")),
        ],
        quick=2,
    ),
)
def test_a_wrong_sign_or_bit_is_found(tmp_path: Path, a: str, b: str, fault: tuple[str, str]) -> None:
    assert _proven(tmp_path, a, b, 1, BYTES, fault) is Verdict.REFUTED


@pytest.mark.parametrize(
    ("a", "b", "stages"), long_round([("s3", "s2", 3), ("u3", "s2", 2), ("s3", "u2", 1), ("u3", "u2", 5)], quick=1)
)
def test_products_come_in_their_cycle(tmp_path: Path, a: str, b: str, stages: int) -> None:
    assert _proven(tmp_path, a, b, stages, still=False) is Verdict.PROVEN


@pytest.mark.parametrize("register", long_round(["A_REG(BEFORE)", "PIPELINE_16x16_MULT_REG2(1'b1)"], quick=1))
def test_a_register_too_few_is_found(tmp_path: Path, register: str) -> None:
    fault = (register, register.split("(")[0] + "(1'b0)")
    assert _proven(tmp_path, "s3", "s2", 2, fault=fault, still=False) is Verdict.REFUTED


def _sums(folder: Path, bits: int, term: int, fault: tuple[str, str] = ("", ""), steps: int = 1) -> Verdict:
    """Of the accumulator against the plain twin of the ECP5's, which says what a sum is in other words."""
    text = render("hwprm_cells_ice40.v.j2")
    assert fault[0] in text
    (folder / "other.v").write_text(render("hwprm_cells_ecp5.v.j2"))
    (folder / "own.v").write_text(text.replace(*fault) if fault[0] else text)
    parameters = {"BITS": bits, "TERM_BITS": term}
    made = [
        Made(name=name, top="hwprm_accumulator", sources=[folder / f"{name}.v"], parameters=parameters)
        for name in ("other", "own")
    ]
    return prove(folder, ACCUMULATOR.format(bits=bits, term=term), made, steps=steps)


@pytest.mark.parametrize(("bits", "term"), long_round([(21, 16), (7, 6), (16, 16), (46, 32)], quick=1))
def test_sums(tmp_path: Path, bits: int, term: int) -> None:
    assert _sums(tmp_path, bits, term) is Verdict.PROVEN


def test_a_sum_that_is_not_cleared_is_found(tmp_path: Path) -> None:
    assert _sums(tmp_path, 7, 6, ("first ? term", "first & term[0] ? term"), steps=2) is Verdict.REFUTED

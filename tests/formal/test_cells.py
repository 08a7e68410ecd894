"""Arithmetic in cells of a target against its plain twin: equal for all inputs, as models of the cells have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwprm.emission.templates import render
from hwprm.targets.families import ecp5
from tests.support.formal import Made, Verdict, cell_model, prove
from tests.support.rounds import long_round

ECP5 = Path(ecp5.__file__).parent / "models"

MULTIPLIER = """
module harness (input clk, input [{a}-1:0] a, input [{b}-1:0] b);
    wire [{a}+{b}-1:0] p, q;
    plain plain(.clk(clk), .a(a), .b(b), .p(p));
    cells cells(.clk(clk), .a(a), .b(b), .p(q));
    always @* assert (p == q);
endmodule
"""

ACCUMULATOR = """
module harness (input clk, input first, input [{term}-1:0] term);
    wire [{bits}-1:0] p, q;
    plain plain(.clk(clk), .first(first), .term(term), .total(p));
    cells cells(.clk(clk), .first(first), .term(term), .total(q));
    reg begun = 0;
    always @(posedge clk) if (first) begun <= 1;
    always @* if (begun) assert (p == q);
endmodule
"""

MULTIPLEXER = """
module harness (input [{width}*{count}-1:0] values, input [{bits}-1:0] select);
    wire [{width}-1:0] p, q;
    plain plain(.values(values), .select(select), .chosen(p));
    cells cells(.values(values), .select(select), .chosen(q));
    always @* if (select < {count}) assert (p == q);
endmodule
"""


@pytest.fixture
def twins(tmp_path: Path) -> Callable[..., list[Made]]:
    """Both twins of a module of ECP5's cells, the cells with a `fault`, a text and what stands in its place."""

    def make(top: str, models: list[Path], fault: tuple[str, str] = ("", ""), still=False, **parameters) -> list[Made]:
        text = render("hwprm_cells_ecp5.v.j2")
        assert fault[0] in text
        (tmp_path / "plain.v").write_text(text)
        (tmp_path / "cells.v").write_text(text.replace(*fault) if fault[0] else text)
        common = {"top": top, "parameters": parameters, "still": still}
        return [
            Made(name="plain", sources=[tmp_path / "plain.v"], **common),
            Made(name="cells", sources=[tmp_path / "cells.v"], synthesis=True, models=models, **common),
        ]

    return make


@pytest.mark.parametrize(
    ("a", "b", "stages"), long_round([(18, 17, 2), (18, 18, 1), (3, 17, 3), (8, 8, 4), (9, 16, 1)], quick=1)
)
def test_products(twins, tmp_path: Path, a: int, b: int, stages: int) -> None:
    made = twins("hwprm_multiplier", [ECP5 / "MULT18X18D.v"], still=True, A_BITS=a, B_BITS=b, STAGES=stages)
    assert prove(tmp_path, MULTIPLIER.format(a=a, b=b), made) is Verdict.PROVEN


def test_a_wrong_sign_is_found(twins, tmp_path: Path) -> None:
    made = twins(
        *("hwprm_multiplier", [ECP5 / "MULT18X18D.v"], (".SIGNEDB(1'b1)", ".SIGNEDB(1'b0)")),
        **{"still": True, "A_BITS": 8, "B_BITS": 18, "STAGES": 1},
    )
    assert prove(tmp_path, MULTIPLIER.format(a=8, b=18), made) is Verdict.REFUTED


@pytest.mark.parametrize("stages", long_round([3, 1, 2, 5], quick=1))
def test_products_come_in_their_cycle(twins, tmp_path: Path, stages: int) -> None:
    made = twins("hwprm_multiplier", [ECP5 / "MULT18X18D.v"], A_BITS=3, B_BITS=2, STAGES=stages)
    harness = MULTIPLIER.format(a=3, b=2)
    assert prove(tmp_path, harness, made, steps=stages + 1, skip=stages) is Verdict.PROVEN


def test_a_register_too_few_is_found(twins, tmp_path: Path) -> None:
    fault = ('.REG_PIPELINE_CLK("CLK0")', '.REG_PIPELINE_CLK("NONE")')
    made = twins("hwprm_multiplier", [ECP5 / "MULT18X18D.v"], fault, A_BITS=3, B_BITS=2, STAGES=3)
    assert prove(tmp_path, MULTIPLIER.format(a=3, b=2), made, steps=4, skip=3) is Verdict.REFUTED


def _carries() -> list[Path]:
    return [cell_model(f"lattice/{name}") for name in ("common_sim.vh", "ccu2c_sim.vh")]


@pytest.mark.parametrize(("bits", "term"), long_round([(21, 16), (7, 6), (16, 16), (46, 32)], quick=2))
def test_sums(twins, tmp_path: Path, bits: int, term: int) -> None:
    made = twins("hwprm_accumulator", _carries(), BITS=bits, TERM_BITS=term)
    assert prove(tmp_path, ACCUMULATOR.format(bits=bits, term=term), made) is Verdict.PROVEN


def test_a_sum_that_is_not_cleared_in_every_bit_is_found(twins, tmp_path: Path) -> None:
    made = twins("hwprm_accumulator", _carries(), (".C1(first)", ".C1(1'b0)"), BITS=7, TERM_BITS=6)
    assert prove(tmp_path, ACCUMULATOR.format(bits=7, term=6), made, steps=2) is Verdict.REFUTED


@pytest.mark.parametrize(("width", "count"), long_round([(2, 11), (20, 3), (20, 4), (3, 5), (2, 8), (1, 16)], quick=1))
def test_choices(twins, tmp_path: Path, width: int, count: int) -> None:
    bits = (count - 1).bit_length()
    made = twins("hwprm_multiplexer", _carries()[:1], WIDTH=width, COUNT=count, SELECT_BITS=bits)
    assert prove(tmp_path, MULTIPLEXER.format(width=width, count=count, bits=bits), made) is Verdict.PROVEN


def test_a_wrong_table_is_found(twins, tmp_path: Path) -> None:
    made = twins("hwprm_multiplexer", _carries()[:1], ("CACA", "CAC8"), WIDTH=2, COUNT=5, SELECT_BITS=3)
    assert prove(tmp_path, MULTIPLEXER.format(width=2, count=5, bits=3), made) is Verdict.REFUTED

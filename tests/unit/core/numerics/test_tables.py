"""The worked tables of docs/numerics.md and of the docstrings are recomputed, row by row."""

import re
from pathlib import Path

import numpy as np
import pytest

import hwprm.core.numerics
from hwprm.core.numerics import (
    choose_multiplier,
    fill_table,
    integer_range,
    look_up,
    product_bounds,
    requantize,
    round_shift,
    signed_range,
    signed_width,
    table_codes,
)
from hwprm.graph.rules.functions import Function
from hwprm.quantization.lowering.averages import common_multiple, divided_weights

DOCS = (Path(__file__).parents[4] / "docs" / "numerics.md").read_text()
SOURCE = Path(hwprm.core.numerics.__file__).parent


def rows(name: str) -> list[list[str]]:
    """The cells of the table behind the comment that names it, without head and rule."""
    block = re.search(rf"<!-- table: {name}.*?-->\n((?:\|.*\n)+)", DOCS)
    assert block, name
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block[1].splitlines()[2:]]


@pytest.mark.parametrize("row", rows("rounding"))
def test_rounding(row: list[str]) -> None:
    value, shift, result = map(int, row)
    assert int(round_shift(value, shift)) == result


@pytest.mark.parametrize("row", rows("requantize"))
def test_requantize(row: list[str]) -> None:
    acc, mult, shift, result = map(int, row)
    assert int(requantize(acc, mult, shift, -128, 127)) == result


@pytest.mark.parametrize("row", rows("residual"))
def test_residual(row: list[str]) -> None:
    acc, bias, factor, r, total, mult, shift, result = map(int, row)
    assert acc + bias + factor * r == total
    assert int(requantize(total, mult, shift, -128, 127)) == result


@pytest.mark.parametrize("row", rows("product"))
def test_product(row: list[str]) -> None:
    x, gate, total, mult, shift, result = map(int, row)
    assert x * gate == total
    assert int(requantize(total, mult, shift, -128, 127)) == result


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ([(-128, 127), (0, 255)], (-32640, 32385)),
        ([(-128, 127), (-128, 127)], (-16256, 16384)),
        ([(3, 7), (2, 5)], (0, 35)),
        ([(-7, -3), (2, 5)], (-35, 0)),
        ([(-7, -3)], (-7, 0)),
    ],
)
def test_product_bounds(ends: list[tuple[int, int]], wanted: tuple[int, int]) -> None:
    assert product_bounds(ends) == wanted


@pytest.mark.parametrize("row", rows("look-up"))
def test_look_up(row: list[str]) -> None:
    name, codes, _, results = row[:4]
    code_scale, scale = (1 / int(row[i].removeprefix("1/")) for i in (2, 4))
    places = table_codes(8, codes == "signed")
    table = fill_table(Function(name), places, code_scale, scale, integer_range(8, results == "signed"))
    code, address, result = map(int, row[5:])
    assert table[address] == result and places[address] == code
    assert look_up(table, np.array([code])).tolist() == [result]


@pytest.mark.parametrize("row", rows("operand"))
def test_operand(row: list[str]) -> None:
    """As the gates have it: the top bit of nine is the eighth, unless the entry says unsigned."""
    bits = int(row[0], 2)
    for unsigned, value in enumerate(map(int, row[1:])):
        operand = bits | ((bits >> 7 & ~unsigned) << 8)
        assert operand - (operand >> 8 << 9) == value
        assert integer_range(8, not unsigned)[0] <= value <= integer_range(8, not unsigned)[1]


@pytest.mark.parametrize("row", rows("multiplier"))
def test_multiplier(row: list[str]) -> None:
    assert choose_multiplier(float(row[0])) == (int(row[1]), int(row[2]))


@pytest.mark.parametrize("row", rows("width"))
def test_width(row: list[str]) -> None:
    low, high, bits = map(int, row)
    assert signed_width(low, high) == bits


@pytest.mark.parametrize("row", rows("common multiple"))
def test_common_multiple_of_divisors(row: list[str]) -> None:
    divisors, weights = ([int(n) for n in row[i].split()] for i in (0, 3))
    multiple = common_multiple(divisors, signed_range(int(row[1]))[1])
    assert multiple == int(row[2])
    assert divided_weights(1 / np.array(divisors), multiple).tolist() == weights


def test_docstring_of_rounding() -> None:
    table = re.findall(r"^ *(-?\d+) +(\d+) +(-?\d+)$", (SOURCE / "rounding.py").read_text(), re.MULTILINE)
    assert len(table) == 9
    for value, shift, result in table:
        assert int(round_shift(int(value), int(shift))) == int(result)


def test_docstring_of_requantize() -> None:
    table = re.findall(
        r"^ *(-?\d+) +(-?\d+) +(-?\d+) +\((-?[\d.]+)", (SOURCE / "requantize.py").read_text(), re.MULTILINE
    )
    assert len(table) == 7
    for acc, product, result, real in table:
        assert int(acc) * 40961 == int(product)
        assert int(requantize(int(acc), 40961, 18, -128, 127)) == int(result)
        digits = len(real.partition(".")[2])
        assert round(int(product) / 2**18, digits) == float(real)

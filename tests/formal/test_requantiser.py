"""The requantiser against what it means: a sum, multiplied, divided by a power of two, rounded half up, clamped.

For all sums, parameters and clamps. In the fast pipeline wide sums are multiplied in two parts; what the parts are is
the distributive law, and taken from it here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.back import rtlil

from hwprm.core.numerics import MULT_BITS
from hwprm.gateware.core.requantiser import Requantiser
from hwprm.gateware.primitives.cells import PLAIN
from hwprm.gateware.primitives.layouts import operand_shape
from hwprm.isa import Hardware, param_format
from tests.support.formal import Made, Verdict, prove
from tests.support.hardware import hardware
from tests.support.rounds import long_round

HARNESS = """
module harness (
    input signed [{acc}-1:0] acc, input [{param}-1:0] param, input signed [{operand}-1:0] clamp_low, clamp_high,
    input signed [31:0] wide_low, wide_high
);
    wire [{act}-1:0] result;
    wire signed [31:0] wide;
    dut dut(
        .clk(1'b0), .rst(1'b0), .acc(acc), .param(param), .clamp_low(clamp_low), .clamp_high(clamp_high),
        .wide_low(wide_low), .wide_high(wide_high), .result(result), .wide(wide)
    );
    wire signed [{sum}-1:0] bias = param[{sum}-1:0];
    wire signed [{mult}:0] mult = {{1'b0, param[{sum}+{mult}-1:{sum}]}};
    wire [{shift}-1:0] shift = param[{sum}+{mult}+{shift}-1:{sum}+{mult}];
    wire signed [{sum}-1:0] total = acc + bias;
    wire signed [{sum}+{mult}-1:0] product = {product};
    localparam BITS = {sum} + {mult} + 33;
    wire [6:0] right = shift + {least};
    wire signed [BITS-1:0] half = 1;
    wire signed [BITS-1:0] rounded = (product + (half <<< (right - 1))) >>> right;
    wire signed [BITS-1:0] stored = rounded < clamp_low ? clamp_low : rounded > clamp_high ? clamp_high : rounded;
    wire signed [BITS-1:0] sent = rounded < wide_low ? wide_low : rounded > wide_high ? wide_high : rounded;
    always @* begin
        assert (result == stored[{act}-1:0]);
        assert (wide == sent[31:0]);
    end
endmodule
"""


def _harness(hw: Hardware) -> str:
    product = "total * mult"
    part = PLAIN.unsigned
    if hw.fast and hw.sum_bits > PLAIN.signed:
        low, high = f"$signed({{1'b0, total[{part - 1}:0]}})", f"$signed(total[{hw.sum_bits - 1}:{part}])"
        product = f"(({high} * mult) <<< {part}) + {low} * mult"
    form = param_format(hw)
    return HARNESS.format(
        **{"acc": hw.acc_bits, "sum": hw.sum_bits, "act": hw.act_bits, "operand": operand_shape(hw).width},
        **{"param": form.width, "mult": MULT_BITS, "shift": _shift_bits(hw)},
        **{"least": hw.shift_min, "product": product},
    )


def _shift_bits(hw: Hardware) -> int:
    return next(field.width for field in param_format(hw).fields if field.name == "shift")


def _verdict(folder: Path, hw: Hardware, dut: Requantiser) -> Verdict:
    (folder / "dut.il").write_text(rtlil.convert(dut, name="requantiser", emit_src=False))
    made = Made(name="dut", top="requantiser", sources=[folder / "dut.il"], still=True)
    shifts = [{"shift": shift} for shift in range(1 << _shift_bits(hw))]
    return prove(folder, _harness(hw), [made], cases=shifts)


#: Widths and shifts; both kinds of tensors.
SMALL = {"acc_bits": 6, "act_bits": 4, "shift_min": 5, "shift_max": 8}
KINDS = (
    SMALL | {"pipeline": "short"},
    SMALL | {"pipeline": "fast", "unsigned": True},
    {"acc_bits": 24, "act_bits": 8, "shift_min": 9, "shift_max": 24, "pipeline": "short"},
    {"acc_bits": 12, "act_bits": 16, "shift_min": 1, "shift_max": 2, "pipeline": "short"},
)


@pytest.mark.parametrize("parameters", long_round(KINDS, quick=2), ids=lambda kind: "-".join(map(str, kind.values())))
def test_results_are_those_of_the_formula(parameters: dict[str, int | str | bool], tmp_path: Path) -> None:
    hw = hardware(**parameters)
    assert _verdict(tmp_path, hw, Requantiser(hw, wide=True)) is Verdict.PROVEN


class _Early(Requantiser):
    """Its wide clamp ends one too early."""

    def _clamp(self, m, value, low, high, name):
        return super()._clamp(m, value, low, high - 1 if name == "wide" else high, name)


def test_a_clamp_that_is_off_by_one_is_found(tmp_path: Path) -> None:
    hw = hardware(**SMALL)
    assert _verdict(tmp_path, hw, _Early(hw, wide=True)) is Verdict.REFUTED

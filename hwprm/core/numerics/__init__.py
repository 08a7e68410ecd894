"""The one definition of rounding, saturation and widths. Everything else calls it or is tested against it."""

from hwprm.core.numerics.requantize import MULT_BITS, SHIFT_MAX, SHIFT_MIN, choose_multiplier, requantize
from hwprm.core.numerics.rounding import integer_range, quantize, round_half_up, round_shift, saturate, signed_range
from hwprm.core.numerics.table import fill_table, look_up, table_codes
from hwprm.core.numerics.widths import (
    ACC_BITS_MAX,
    RESIDUAL_BITS_MAX,
    WIDE_BITS,
    accumulator_bounds,
    filter_bounds,
    product_bounds,
    signed_width,
)

__all__ = [
    "ACC_BITS_MAX",
    "MULT_BITS",
    "RESIDUAL_BITS_MAX",
    "SHIFT_MAX",
    "SHIFT_MIN",
    "WIDE_BITS",
    "accumulator_bounds",
    "choose_multiplier",
    "fill_table",
    "filter_bounds",
    "integer_range",
    "look_up",
    "product_bounds",
    "quantize",
    "requantize",
    "round_half_up",
    "round_shift",
    "saturate",
    "signed_range",
    "signed_width",
    "table_codes",
]

"""The table of latencies: its sums by hand for one design, and the copy of it in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.isa.latencies import (
    LATENCIES,
    VECTOR_WRITE,
    Depth,
    done_to_issue,
    issue_to_memory,
    issue_to_result,
    issue_to_vector,
    operand_to_sum,
    setup_to_issue,
    tag_to_sum,
)
from tests.support.hardware import hardware

DOCUMENT = Path(__file__).parents[3] / "docs" / "hardware.md"


def test_sums_of_a_plain_design() -> None:
    hw = hardware(rows=5, cols=3, multiplier_stages=1)
    assert operand_to_sum(hw) == 3
    assert tag_to_sum(hw) == 1
    assert issue_to_result(hw) == 4 + 3 + 1 + 4
    assert issue_to_vector(hw) == issue_to_result(hw) + 4
    assert setup_to_issue(hw) == 9


def test_what_a_design_adds() -> None:
    plain = hardware(rows=2, cols=17, multiplier_stages=3)
    assert plain.mux_levels == 2
    assert operand_to_sum(plain) == 5
    assert operand_to_sum(hardware(multiplier_stages=3, pooling=True)) == 6
    assert tag_to_sum(hardware(residual_bits=4)) == 2
    assert issue_to_result(plain) == 4 + 5 + 2 + 4
    assert [hardware(cols=cols).mux_levels for cols in (1, 2, 16, 17, 256, 257)] == [1, 1, 1, 2, 2, 3]


def test_sums_of_a_fast_design() -> None:
    hw = hardware(rows=5, cols=3, multiplier_stages=1, pipeline="fast")
    assert tag_to_sum(hw) == 2
    assert issue_to_result(hw) == 12 + 3 + 1 + 9
    assert issue_to_vector(hw) == issue_to_result(hw) + 4
    assert setup_to_issue(hw) == 15
    assert tag_to_sum(hardware(residual_bits=4, pipeline="fast")) == 4
    assert [hardware(cols=cols, pipeline="fast").mux_levels for cols in (1, 8, 9, 64, 65)] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("pipeline", ["short", "fast"])
def test_a_layer_reads_what_the_one_before_it_wrote(pipeline: str) -> None:
    hw = hardware(pipeline=pipeline)
    assert done_to_issue(hw) + issue_to_memory(hw) >= VECTOR_WRITE


def test_the_documentation_has_the_same_table() -> None:
    rows = []
    for name, one in LATENCIES.items():
        short, fast = (one.short, one.fast) if isinstance(one, Depth) else (int(one), int(one))
        rows.append(f"| `{name}` | {short} | {fast} | {one.block} | {one.path} |")
    documented = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `") and line[3:4].isupper()]
    assert documented == rows

"""Every latency of `hwprm.isa.latencies`, measured: each block alone on the simulator, cycles counted from input on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hwprm.isa.latencies import LATENCIES, Depth
from tests.support.latencies import array, issue, memories, results
from tests.support.latencies.measure import Block, Late

MEASURED = (*issue.MEASURED, *memories.MEASURED, *array.MEASURED, *results.MEASURED)
IDS = [measure.__name__ for _, measure in MEASURED]
#: Distances between two events at one output, which a register behind it delays alike.
DISTANCES = (issue.lane_step, results.spacing)


def tabled(name: str, pipeline: str) -> int:
    """What the table says of a design with that pipeline."""
    value = LATENCIES[name]
    return value.of(pipeline) if isinstance(value, Depth) else value


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize(("name", "measure"), MEASURED, ids=IDS)
def test_the_table_is_what_is_measured(name: str, measure: Callable[[Block, str], int], pipeline: str) -> None:
    assert measure(lambda dut, port: dut, pipeline) == tabled(name, pipeline)


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize(("name", "measure"), MEASURED, ids=IDS)
def test_a_register_too_many_is_seen(name: str, measure: Callable[[Block, str], int], pipeline: str) -> None:
    if measure is array.drain_level:
        with pytest.raises(ValueError, match="unpack"):  # one register is half a level of the wide array
            measure(Late, pipeline)
    else:
        assert measure(Late, pipeline) == tabled(name, pipeline) + (measure not in DISTANCES)


def test_every_latency_is_measured() -> None:
    assert {name for name, _ in MEASURED} == LATENCIES.keys()

"""A measured point says what the verbs say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprm import api
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, EmitConfig, ExploreConfig, MemoryConfig, Settings
from hwprm.exploration.measure import measure, measure_all
from tests.support.networks import small_lenet

ARRAYS = (
    ArrayConfig(rows=3, cols=5),
    ArrayConfig(rows=4, cols=4, pipeline="fast", batch=3),
    ArrayConfig(rows=4, cols=2, weights="axi", axi_burst=4),
)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.rows}x{array.cols}")
def test_values_are_the_compilers(array: ArrayConfig) -> None:
    net, memory = small_lenet(), MemoryConfig(latency=400)
    values = measure(net, replace(Settings(), array=array, memory=memory, explore=ExploreConfig(clock=50.0)))
    report = api.estimate(net, array, memory=memory)
    program = compile_network(net, array)
    cycles = (program.cycles.total + sum(report.stalls)) / array.batch
    assert values["cycles"] == cycles
    assert values["onchip_bits"] == sum(program.onchip.values())
    assert values["images_per_second"] == round(50e6 / cycles, 1)
    assert values["multipliers"] == array.rows * array.cols
    stalled = sum(report.stalls) > 0
    assert stalled == (array.weights == "axi")
    if not stalled:
        assert values["utilisation"] == pytest.approx(report.utilisation, abs=1e-6)
    assert values["bound"] <= values["cycles"]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.rows}x{array.cols}")
def test_a_device_changes_no_other_value(array: ArrayConfig) -> None:
    """Its model wants the tables' contents, so the network is compiled further."""
    bare = replace(Settings(), array=array, memory=MemoryConfig(latency=400))
    sized = replace(bare, explore=ExploreConfig(target="ecp5-85k"))
    plain, more = measure(small_lenet(), bare), measure(small_lenet(), sized)
    assert {name: more[name] for name in plain} == plain
    resources = api.size(small_lenet(), array, target="ecp5-85k", emit=EmitConfig(target="ecp5"))
    assert {name: more[name] for name in more if name not in plain} == {
        name: resources.used[name] for name in ("lut4", "ff", "dsp", "bram")
    }


def test_what_does_not_fit_is_refused_and_the_rest_measured() -> None:
    small = Settings(explore=ExploreConfig(target="ecp5-12k"))
    arrays = (ArrayConfig(rows=2, cols=2), ArrayConfig(rows=16, cols=16), ArrayConfig(rows=2, cols=2, onchip_bits=100))
    fits, large, budget = measure_all(small_lenet(), [replace(small, array=array) for array in arrays])
    assert fits.values["dsp"] >= 4 and not fits.refused
    assert "does not fit ecp5-12k: needs" in large.refused and "DSP" in large.refused and not large.values
    assert "array.onchip_bits is 100" in budget.refused


def test_a_host_is_counted_with_the_design() -> None:
    small = Settings(array=ArrayConfig(rows=2, cols=2), explore=ExploreConfig(target="ecp5-12k"))
    plain, octets = (
        measure_all(small_lenet(), [replace(small, emit=EmitConfig(host=host))])[0].values
        for host in ("axi", "stream8")
    )
    assert octets["cycles"] == plain["cycles"] and octets["ff"] < plain["ff"] and octets["lut4"] < plain["lut4"]

"""Designs as their sizes are counted: the tables behind the requantisers, and the gates of products."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprm import api
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork
from hwprm.targets.sizes.design import Design
from hwprm.targets.sizes.registers import registers
from tests.support.random_networks import random_products
from tests.support.tables import tabled_network


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize("weights", ["rom", "axi"])
@pytest.mark.parametrize("net", [tabled_network(), random_products(1)], ids=["tables", "products"])
def test_sized_as_others_are(net: IntegerNetwork, pipeline: str, weights: str) -> None:
    array = ArrayConfig(rows=3, cols=2, pipeline=pipeline, weights=weights)
    used = api.size(net, array, target="ecp5-85k").used
    assert used["lut4"] > 0
    assert used["ff"] > used["lut4"] / 4


@pytest.mark.parametrize("weights", ["rom", "axi"])
def test_every_lane_has_the_tables_to_itself(weights: str) -> None:
    program = compile_network(tabled_network(), ArrayConfig(rows=3, cols=2, weights=weights))
    design = Design.of(program.hardware, program.roms)
    posts = [memory for memory in design.memories if memory.name.startswith("drain.posts")]
    assert [memory.name for memory in posts] == ["drain.posts0", "drain.posts1", "drain.posts2"]
    assert {(memory.depth, memory.width) for memory in posts} == {(2 << 5, 5)}  # two functions of five bits
    assert all(memory.cells.blocks for memory in posts)


def test_gates_wait_in_a_register_a_column() -> None:
    program = compile_network(random_products(1), ArrayConfig(rows=3, cols=2))
    design, hw = Design.of(program.hardware, program.roms), program.hardware
    assert hw.gates
    without = registers(replace(hw, gates=False), design.contents, "any")
    found = registers(hw, design.contents, "any")
    assert found["array"] - without["array"] == hw.rows * hw.cols * hw.operand_bits

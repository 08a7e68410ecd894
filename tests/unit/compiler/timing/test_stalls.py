"""Stalls computed in bulk are those of the plain recurrence, event by event; the gateware's tests simulate them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.compiler.encoding.external import boot_bursts
from hwprm.compiler.timing.stalls import LATE, MemoryModel
from hwprm.config import MemoryConfig
from tests.support.networks import compiled, lenet
from tests.support.random_networks import random_inputs, random_products, random_residuals
from tests.unit.compiler.timing.plain_stalls import PlainModel

BANDWIDTHS = ("1", "1/2", "3/4", "2/7")


@pytest.mark.parametrize("seed", range(24))
def test_events_in_bulk_are_those_of_the_plain_recurrence(seed: int) -> None:
    """Short and long lists, rings of any size, rows of several words and of several beats."""
    rng = np.random.default_rng(seed)
    kinds = (random_inputs, random_residuals, lambda _: lenet((3, 4, 9, 5), pruned=0.5))
    net = kinds[seed % 3](seed) if seed < 18 else random_products(seed - 18)
    rows, cols = (int(v) for v in rng.integers(1, 20, 2))
    options = {
        "axi_data_bits": int(rng.choice([64, 128, 512])),
        "axi_burst": int(rng.choice([2, 8, 64])),
        "axi_outstanding": int(rng.choice([1, 2, 8])),
    }
    program = compiled(net, rows, cols, weights="axi", **options)
    hw = program.hardware
    rings = replace(hw.external, entry_rows=hw.external.entry_rows * int(rng.choice([1, 4])))
    hw = replace(hw, external=rings)
    memory = MemoryConfig(latency=int(rng.integers(1, 100)), bandwidth=BANDWIDTHS[int(rng.integers(4))])
    cycles, first = [layer.cycles for layer in program.cycles.layers], int(rng.integers(0, 50))
    plain, bulk = (kind(program.tiles, cycles, hw, memory, first) for kind in (PlainModel, MemoryModel))
    start = LATE if seed % 2 else first
    for _ in range(4):
        wanted = plain.image(start)
        assert bulk.image(start) == wanted
        assert bulk.unpacked_last == plain.unpacked_last
        start = wanted.end


@pytest.mark.parametrize("seed", range(4))
def test_tables_are_counted_as_they_are_written(seed: int) -> None:
    program = compiled(random_residuals(seed), 3, 5, weights="axi", axi_data_bits=64, axi_burst=2)
    external = program.hardware.external
    assert boot_bursts(program.hardware, external) == external.boot_bursts == program.external.boot_bursts > 0

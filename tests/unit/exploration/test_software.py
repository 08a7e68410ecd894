"""What points share of pruning: whatever does not change what it counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwprm import api
from hwprm.config import AdmmConfig, ArrayConfig, DataConfig, QuantizeConfig, Settings, ShrinkConfig
from hwprm.config.run import RunConfig
from hwprm.exploration.software import pruning_settings
from hwprm.model import Model, Stage
from tests.conftest import tiny_graph

BITS = QuantizeConfig(weight_bits=5, act_bits=6, layer_bits={"conv": 3})


def settings(count: str, quantize: QuantizeConfig, array: ArrayConfig | None = None) -> Settings:
    shrink = ShrinkConfig(count=count, compression=2.0)
    return Settings(run=RunConfig(method="shrink"), shrink=shrink, array=array or ArrayConfig(), quantize=quantize)


def test_points_that_differ_in_bits_share_what_is_pruned_by_cycles() -> None:
    usual = QuantizeConfig()
    assert pruning_settings(settings("cycles", BITS)) == pruning_settings(settings("cycles", usual))
    limited = AdmmConfig(limits={"cycles": 99.0})
    admm = replace(settings("all_weights", BITS), run=RunConfig(method="admm"), admm=limited)
    assert pruning_settings(admm) == pruning_settings(replace(admm, quantize=usual))
    finer = settings("cycles", replace(usual, weight_bits=12))
    assert pruning_settings(finer) != pruning_settings(settings("cycles", usual)), "fewer weights are zero"
    other = replace(usual, images=7)  # another calibration: other widths of sums, other factors
    assert pruning_settings(settings("cycles", other)) != pruning_settings(settings("cycles", usual))


def test_not_what_bits_change() -> None:
    usual, beyond = QuantizeConfig(), ArrayConfig(weights="axi")
    assert pruning_settings(settings("onchip_bits", BITS)) != pruning_settings(settings("onchip_bits", usual))
    assert pruning_settings(settings("cycles", BITS, beyond)) != pruning_settings(settings("cycles", usual, beyond))
    narrow = pruning_settings(settings("cycles", BITS, ArrayConfig(cols=2)))
    assert narrow != pruning_settings(settings("cycles", BITS)), "each array has its own cycles"
    assert pruning_settings(settings("all_weights", BITS, beyond)) == pruning_settings(settings("all_weights", usual))


@pytest.mark.parametrize("batch", [1, 2])
def test_fewer_bits_take_no_more_cycles(batch: int, tiny_data: Path) -> None:
    array = ArrayConfig(rows=4, cols=2, batch=batch)
    model, data = Model(graph=tiny_graph(), stage=Stage.DENSE), DataConfig(name=str(tiny_data))

    def cycles(weight_bits: int, act_bits: int) -> int:
        quantize = QuantizeConfig(weight_bits=weight_bits, act_bits=act_bits)
        return api.estimate(api.quantize(model, data, quantize), array).total

    assert cycles(8, 8) == cycles(8, 4) == cycles(8, 12)
    assert cycles(3, 8) < cycles(5, 8) < cycles(8, 8)

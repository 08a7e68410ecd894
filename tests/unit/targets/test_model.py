"""The size model against stored figures of synthesis, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprm.core.errors import ConfigError, UnsupportedError
from hwprm.intnet import Term
from hwprm.isa import Hardware
from hwprm.targets.model import dsp_blocks, predict
from tests.support.networks import Spec, compiled, network, seeded_weights


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    terms = (Term(source="image", weight=seeded_weights(2, 1, 3, 3)),)
    return compiled(network((1, 3, 3), (Spec(name="fc", terms=terms, wide=True),)), 2, 3).hardware


def test_multipliers_as_synthesis_found_them(hardware: Hardware) -> None:
    found = {("short", 18): 1, ("short", 19): 1, ("short", 20): 2, ("fast", 18): 1, ("fast", 19): 2, ("fast", 32): 2}
    for (pipeline, bits), lane in found.items():
        assert dsp_blocks(replace(hardware, pipeline=pipeline, sum_bits=bits, residual_bits=0)) == 2 * (3 + lane)


def test_unknown_device_and_family_without_model(hardware: Hardware) -> None:
    assert predict(hardware, "ecp5-85k").used["lut4"] > 0
    with pytest.raises(ConfigError, match="ecp5-85k"):
        predict(hardware, "ecp5-85")
    with pytest.raises(UnsupportedError, match="no size model for the family ice40"):
        predict(hardware, "ice40-hx8k")

"""What a family tells its tools."""

from __future__ import annotations

import pytest

from hwprm.targets.catalogue import find_target


@pytest.mark.parametrize(
    ("used", "crowded"),
    [
        ({"dsp": 140, "bram": 187, "lut4": 83_000}, False),
        ({"dsp": 141}, True),
        ({"bram": 188}, True),
        ({}, False),
    ],
)
def test_a_crowded_design_gets_the_router_that_ends(used: dict[str, int], crowded: bool) -> None:
    target = find_target("ecp5-85k")
    assert target.family.placer is not None
    arguments = target.family.placer.arguments_for(used, target.device)
    assert arguments[:1] == ("--lpf-allow-unconstrained",)
    assert ("router2" in arguments) == crowded


def test_a_device_without_multipliers_is_not_full_of_them() -> None:
    target = find_target("ice40-hx8k")
    assert target.family.placer is not None
    assert target.family.placer.arguments_for({"dsp": 0, "bram": 3}, target.device) == target.family.placer.arguments

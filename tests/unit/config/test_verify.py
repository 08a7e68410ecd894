"""Options of verification: ranges, and how many images each mode runs."""

from __future__ import annotations

import pytest

from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"images": 0}, "verify.images must be a whole number in 1..1000000 or none, not 0"),
        ({"icarus_images": -1}, "verify.icarus_images must be a whole number in 1..1000000, not -1"),
        ({"protocol_images": 1.5}, "verify.protocol_images must be a whole number in 1..1000000 or none, not 1.5"),
        ({"sim": "vcs"}, "verify.sim must be one of verilator, icarus, both, not 'vcs'"),
        ({"modes": ()}, r"verify.modes must be a list of one or more, each one of protocol, bulk, layers, not \(\)"),
        ({"modes": ("bulk", "fast")}, "verify.modes must be a list of one or more, each one of protocol, bulk, layers"),
        ({"seed": -1}, "verify.seed must be a whole number in 0..2147483647, not -1"),
        ({"timeout": 0}, "verify.timeout must be a number above 0 and at most 10000000 seconds, not 0"),
        ({"wave": "5"}, "verify.wave must be FROM:TO in clock cycles, such as 0:20000, not '5'"),
        ({"wave": "9:5"}, "verify.wave must be FROM:TO"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        VerifyConfig(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_options() -> None:
    assert VerifyConfig().wave_window is None
    assert VerifyConfig(wave="10:500").wave_window == (10, 500)
    assert VerifyConfig(sim="both").simulators == ("verilator", "icarus")
    assert VerifyConfig(sim="icarus").simulators == ("icarus",)


@pytest.mark.parametrize(
    ("options", "simulator", "images"),
    [
        ({}, "verilator", 100),
        ({"images": 7}, "verilator", 7),
        ({"sim": "icarus"}, "icarus", 2),
        ({"sim": "icarus", "images": 7}, "icarus", 7),
        ({"sim": "both", "images": 7}, "icarus", 2),
        ({"sim": "both", "images": 1}, "icarus", 1),
        ({"sim": "both", "images": 7}, "verilator", 7),
    ],
    ids=str,
)
def test_images_of_the_bulk_mode(options: dict[str, object], simulator: str, images: int) -> None:
    assert VerifyConfig(**options).bulk_images(simulator) == images  # type: ignore[arg-type]  # options of any field


@pytest.mark.parametrize(
    ("options", "protocol", "layers"),
    [
        ({}, 2, 1),
        ({"images": 3}, 2, 1),
        ({"images": 3, "modes": ("layers",)}, 2, 3),
        ({"images": 3, "modes": ("protocol",)}, 3, 1),
        ({"images": 3, "modes": ("layers", "bulk")}, 2, 1),
        ({"images": 3, "modes": ("layers",), "layer_images": 2}, 2, 2),
        ({"protocol_images": 5, "images": 3, "modes": ("protocol",)}, 5, 1),
    ],
    ids=str,
)
def test_images_of_the_other_modes(options: dict[str, object], protocol: int, layers: int) -> None:
    config = VerifyConfig(**options)  # type: ignore[arg-type]  # options of any field
    assert (config.protocol_count, config.layer_count) == (protocol, layers)

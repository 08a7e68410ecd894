"""`hwprm estimate` with a device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwprm.cli.app import app, register
from tests.support.silicon import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("estimate") / "bundle", target="ecp5")


def _estimate(bundle: Path, *words: str) -> Result:
    register()
    return CliRunner().invoke(app, ["estimate", str(bundle), "--quiet", *words])


def test_cycles_alone_where_no_device_is_named(bundle: Path) -> None:
    assert "size" not in json.loads(_estimate(bundle, "--json").stdout)


def test_size_and_speed(bundle: Path) -> None:
    facts = json.loads(_estimate(bundle, "--json", "--clock", "100").stdout)
    size = facts["size"]
    assert (size["target"], size["fits"], size["clock_mhz"]) == ("ecp5-85k", True, 100)
    assert size["images_per_second"] == round(100e6 / facts["cycles"]["predicted"], 2)
    assert {key: size["resources"][key]["used"] for key in ("dsp", "bram")} == {"dsp": 2, "bram": 4}
    assert size["resources"]["ff"]["available"] == 83640


def test_cells_are_the_bundles_own_or_those_asked_for(bundle: Path) -> None:
    """Plain Verilog has a register behind the product that a multiplier's cell holds itself."""
    own, plain = (
        json.loads(_estimate(bundle, "--json", "--target", "ecp5-25k", *words).stdout)["size"]["resources"]["ff"][
            "used"
        ]
        for words in ((), ("--emit-target", "any"))
    )
    assert plain - own == 16


def test_too_large_is_exit_2_and_says_what_fits(bundle: Path) -> None:
    result = _estimate(bundle, "--json", "--target", "ecp5-12k", "--rows", "6", "--cols", "6")
    assert result.exit_code == 2
    assert not json.loads(result.stdout)["size"]["fits"]
    assert "the largest array that fits is" in result.stderr


def test_table(bundle: Path) -> None:
    register()
    shown = CliRunner().invoke(app, ["estimate", str(bundle), "--target", "ecp5-85k", "--clock", "50"]).stdout
    assert "By the size model: ecp5-85k (LFE5U-85F-6BG381)" in shown
    assert "images per second at 50 MHz" in shown

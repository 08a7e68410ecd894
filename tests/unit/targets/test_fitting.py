"""Designs that are too large, and the arrays that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwprm import api
from hwprm.compiler import draft
from hwprm.config import ArrayConfig, EmitConfig
from hwprm.core.errors import InputError
from hwprm.intnet import IntegerNetwork, Term
from hwprm.targets.fitting import fitting_array, sized
from tests.support.networks import Spec, network, seeded_weights


@pytest.fixture(scope="module")
def net() -> IntegerNetwork:
    terms = (Term(source="image", weight=seeded_weights(9, 1, 3, 3)),)
    return network((1, 8, 8), (Spec(name="conv", terms=terms, wide=True),))


def test_the_largest_array_fits_and_no_larger_one_does(net: IntegerNetwork) -> None:
    program = draft(net, ArrayConfig(rows=4, cols=8))
    found = sized(program, "ecp5-12k")
    assert found.too_large is not None
    rows, cols = fitting_array(program, "ecp5-12k") or (0, 0)
    said = "4 x 8 needs 36 DSP (MULT18X18D) of 28 (1.29 times) by the size model; the largest array that fits is"
    assert f"{said} {rows} x {cols};" in str(found.too_large)
    assert sized(draft(net, ArrayConfig(rows=rows, cols=cols)), "ecp5-12k").too_large is None
    for r in range(1, 5):
        for c in range(1, 9):
            if r * c > rows * cols:
                assert predicted(net, r, c)["dsp"] > 28


def predicted(net: IntegerNetwork, rows: int, cols: int) -> dict[str, int]:
    return dict(sized(draft(net, ArrayConfig(rows=rows, cols=cols)), "ecp5-85k").used)


def test_what_fits_has_nothing_wrong(net: IntegerNetwork) -> None:
    assert sized(draft(net, ArrayConfig(rows=2, cols=2)), "ecp5-12k").too_large is None


def test_nothing_smaller_fits(net: IntegerNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    program = draft(net, ArrayConfig(rows=2, cols=2))
    device = sized(program, "ecp5-12k").device
    tiny = replace(device, available=dict(device.available) | {"ff": 10})
    monkeypatch.setattr("hwprm.targets.model.find_target", lambda name: _Target(tiny))
    assert "no smaller array fits; or take a larger device" in str(sized(program, "ecp5-12k").too_large)


class _Target:
    def __init__(self, device: object) -> None:
        from hwprm.targets.families.ecp5 import FAMILY

        self.family, self.device = FAMILY, device


def test_compile_refuses_before_it_writes(net: IntegerNetwork, tmp_path: Path, tiny_data: Path) -> None:
    out, array = tmp_path / "bundle", ArrayConfig(rows=4, cols=8)
    with pytest.raises(InputError, match=r"does not fit ecp5-12k .*the largest array that fits is"):
        api.compile(net, str(tiny_data), out=out, array=array, emit=EmitConfig(device="ecp5-12k"))
    assert not out.exists()

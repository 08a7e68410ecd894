"""The record of a compiled program: the same out of a folder as into it, and what is no record is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwprm.compiler import ProgramRecord
from tests.support.networks import SEVERAL_INPUTS, compiled, small_lenet
from tests.support.random_networks import random_residuals

RECORDS = {
    "roms": lambda: compiled(small_lenet(), 3, 4).record,
    "axi": lambda: compiled(small_lenet(), 3, 4, weights="axi").record,
    "residuals": lambda: compiled(random_residuals(3), 3, 4).record,
    "inputs": lambda: compiled(SEVERAL_INPUTS["sum"](), 3, 4).record,
}


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, name: str) -> None:
    record = RECORDS[name]()
    record.save(tmp_path)
    text = (tmp_path / "program.json").read_bytes()
    loaded = ProgramRecord.load(tmp_path)
    assert loaded == record
    loaded.save(tmp_path)
    assert (tmp_path / "program.json").read_bytes() == text


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda plain: plain.pop("tiles"), KeyError),
        (lambda plain: plain["hardware"].pop("rows"), ValueError),
        (lambda plain: plain["hardware"].update(speed=3), ValueError),
        (lambda plain: plain["tiles"][0].update(colour=3), ValueError),
    ],
)
def test_another_version_is_refused(tmp_path: Path, change: object, error: type[Exception]) -> None:
    RECORDS["roms"]().save(tmp_path)
    plain = json.loads((tmp_path / "program.json").read_text())
    change(plain)
    (tmp_path / "program.json").write_text(json.dumps(plain))
    with pytest.raises(error):
        ProgramRecord.load(tmp_path)

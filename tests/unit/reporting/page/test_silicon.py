"""The section about devices: from folders beside the bundle, of the same design."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwprm.bundle import Bundle
from hwprm.core.errors import InputError
from hwprm.reporting.page import write_page
from hwprm.reporting.page.parts import Dial
from hwprm.reporting.page.silicon import read_silicon, silicon_section
from tests.support.silicon import make_bundle, silicon_facts


def _save(folder: Path, facts: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "silicon.json").write_text(json.dumps(facts))


def test_a_page_of_a_bundle_shows_what_lies_beside_it(tmp_path: Path) -> None:
    bundle = Bundle.load(make_bundle(tmp_path / "bundle"))
    page = tmp_path / "page.html"
    write_page(tmp_path / "bundle", page)
    assert 'id="silicon"' not in page.read_text()
    _save(tmp_path / "ecp5", silicon_facts(bundle.manifest.design_hash))
    _save(tmp_path / "other", silicon_facts("of another design", target="ecp5-85k"))
    write_page(tmp_path / "bundle", page)
    text = page.read_text()
    assert 'id="silicon"' in text
    assert "30 of 28" in text
    assert "too few" in text
    assert "ecp5-85k" not in text, "another design's"


def test_images_at_every_clock(tmp_path: Path) -> None:
    (section,) = silicon_section([silicon_facts("x"), silicon_facts("x", target="xc7a35t", fmax_mhz=100.0)])
    rates = next(part for part in section.parts if getattr(part, "caption", "").startswith("Images per second"))
    assert rates.rows == (  # type: ignore[union-attr]  # it is the table
        ("25", "1,250", ""),
        ("48.5", "2,425", "reached by ecp5-25k"),
        ("50", "2,500", ""),
        ("100", "5,000", "reached by xc7a35t"),
        ("150", "7,500", ""),
        ("200", "10,000", ""),
    )


def test_dial_stands_at_the_best_clock(tmp_path: Path) -> None:
    (section,) = silicon_section([silicon_facts("x"), silicon_facts("x", target="xc7a35t", fmax_mhz=120.4)])
    (dial,) = (part for part in section.parts if isinstance(part, Dial))
    assert (dial.cycles, dial.clock, dial.most, dial.rate) == (20_000, 120, 240, "6,000")


def test_synthesis_alone_has_no_clock() -> None:
    facts = {key: value for key, value in silicon_facts("x").items() if key not in ("fmax_mhz", "critical_path")}
    (section,) = silicon_section([facts])
    assert len(section.parts) == 2
    assert "clock" not in section.lead


def test_a_result_that_cannot_be_read(tmp_path: Path) -> None:
    half = {key: value for key, value in silicon_facts("x").items() if key != "blocks"}
    for i, facts in enumerate(({"format": "something"}, {"format": "hwprm-silicon-1"}, half)):
        _save(tmp_path / f"{i}" / "ecp5", facts)
        with pytest.raises(InputError, match=r"silicon\.json cannot be read .*; delete its folder, or make it again"):
            read_silicon(tmp_path / f"{i}", "x")

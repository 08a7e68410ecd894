"""Sensitivity as table and page."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from hwprm.pruning.sensitivity import Cut
from hwprm.reporting.sensitivity import sensitivity_facts, sensitivity_tables, write_sensitivity_page

CUTS = [
    Cut(layer="<conv>", kind="columns", kept=8, of=9, lost=0.25, saved=500),
    Cut(layer="<conv>", kind="filters", kept=2, of=4, lost=-0.5, saved=1000),
    Cut(layer="fc", kind="columns", kept=30, of=36, lost=2.0, saved=0),
]


def test_facts() -> None:
    facts = sensitivity_facts(CUTS, 4, 2)
    assert facts["array"] == {"rows": 4, "cols": 2}
    assert [cut["lost_per_1000_cycles"] for cut in facts["cuts"]] == [0.5, -0.5, None]


def test_table_at_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    for table in sensitivity_tables(sensitivity_facts(CUTS, 4, 2)):
        console.print(table)
    text = console.export_text()
    assert "Sensitivity on 4 x 2" in text and "8 of 9" in text and "1,000" in text and "-0.50" in text


def test_page_escapes_and_repeats(tmp_path: Path) -> None:
    facts = sensitivity_facts(CUTS, 4, 2)
    for name in ("a.html", "b.html"):
        write_sensitivity_page(facts, tmp_path / name)
    text = (tmp_path / "a.html").read_text()
    assert text == (tmp_path / "b.html").read_text()
    assert "&lt;conv&gt;: 8 of 9 columns" in text and "<conv>" not in text
    assert text.count('class="bar"') == 6

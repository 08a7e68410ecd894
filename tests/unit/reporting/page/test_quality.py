"""Quantisation on the page: every layer, the matrix as it was counted, and what is no file of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from hwprm.core.errors import InputError
from hwprm.reporting import describe, tables
from hwprm.reporting.page.content import gather
from hwprm.reporting.page.quality import quality_section
from tests.conftest import Run


def test_layers_and_answers_are_those_of_the_file(finished: Path) -> None:
    facts = json.loads((finished / "stages/quantize/quality.json").read_text())
    layers, answers = quality_section(gather(finished))
    _, table, histograms = layers.parts
    assert [row[0] for row in table.rows] == [row["name"] for row in facts["layers"]]
    assert table.rows[0][1] == f"{facts['layers'][0]['sqnr_db']:.1f}"
    for figure, row in zip(histograms.figures, facts["layers"], strict=True):
        heights = [float(height) for height in re.findall(r"M[\d.]+ 56v-([\d.]+)h", figure.picture)]
        most = max(row["histogram"])
        wanted = [56 * (count / most) ** 0.5 for count in row["histogram"] if count]
        assert heights == pytest.approx(wanted, abs=0.01)
    matrix = facts["confusion"]
    told = re.findall(r"label (\d+), answer (\d+): ([\d,]+)", answers.parts[0].figures[0].picture)
    assert [int(count) for _, _, count in told] == [count for row in matrix for count in row]
    right = sum(matrix[i][i] for i in range(len(matrix)))
    assert answers.lead.startswith(f"{right} of {sum(map(sum, matrix))} test images")


def test_quantize_measures_and_report_shows(tiny_model: Path, tiny_data: Path, tmp_path: Path, run: Run) -> None:
    assert run("quantize", tiny_model, "--data", tiny_data, "--out", tmp_path / "net").exit_code == 0
    facts = describe(tmp_path / "net")
    assert [row["name"] for row in facts["quality"]["layers"]] == ["conv", "fc"]
    assert any("Quantisation" in str(table.title) for table in tables(facts))
    assert [section.id for section in quality_section(gather(tmp_path / "net"))] == ["quality", "confusion"]


def test_a_file_of_something_else_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "stages/quantize", tmp_path / "net")
    (tmp_path / "net/quality.json").write_text('{"format": "hwprm-quality-0"}')
    with pytest.raises(InputError, match=r"quality\.json cannot be read .*run hwprm quantize again"):
        describe(tmp_path / "net")

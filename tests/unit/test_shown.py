"""What a console and a notebook show of the nouns: a line, and a table without anything that is not escaped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hwprm
from hwprm.bundle import Bundle
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.verification.results.report import Case
from tests.unit.verification.results.reports import report


def test_nouns_are_shown_in_a_line_and_take_text_as_a_path(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "model")
    model = Model.load(str(tiny_model))
    model.save(place)
    net = hwprm.quantize(place, str(tiny_data))
    net.save(str(tmp_path / "net"))
    bundle = hwprm.compile(IntegerNetwork.load(str(tmp_path / "net")), str(tiny_data), out=str(tmp_path / "bundle"))
    shown: list[tuple[Any, str]] = [
        (Model.load(place), "<Model "),
        (net, "<IntegerNetwork model: "),
        (Bundle.load(str(bundle.folder)), f"<Bundle {bundle.folder}: model, 8 x 8 array, "),
    ]
    for noun, start in shown:
        assert repr(noun).startswith(start) and len(repr(noun)) < 250
        table = noun._repr_html_()
        assert table.count("<tr>") == 1 + len(net.layers) and table.startswith("<table>")


@pytest.mark.parametrize(("failure", "word"), [(None, "PASS"), ("<b>wrong</b>", "FAIL")])
def test_a_report_says_whether_it_passed(failure: str | None, word: str) -> None:
    case = Case(simulator="icarus", mode="bulk", name="all", values=8, failure=failure)
    shown = replace(report(), cases=(case,), values_compared=1234, mismatches=0)
    assert f": {word}, 1,234 integers compared, 0 mismatches" in repr(shown)
    assert "<b>" not in shown._repr_html_()

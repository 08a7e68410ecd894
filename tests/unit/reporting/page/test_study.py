"""The page of a study: its data for the script, what it says without one, and that text cannot break out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwprm import api
from hwprm.core.errors import InputError
from hwprm.exploration.points import POINTS, Point
from hwprm.exploration.study import Study
from hwprm.reporting import tables
from hwprm.reporting.page import write_page, write_study
from hwprm.reporting.page.study import STATES, study_data, study_page
from tests.support.explored import grid_study
from tests.unit.reporting.page.test_page import Reader


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return grid_study(tmp_path)


def test_columns_hold_every_point_in_order(study: Study) -> None:
    data = study_data(study.to_json())
    assert data["number"] == [point.number for point in study.points]
    assert [d["title"] for d in data["dimensions"]] == ["weight_bits", "rows", "cols"]
    assert [d["values"] for d in data["dimensions"]] == [[7, 8], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5]]
    names = [metric["key"] for metric in data["metrics"]]
    for name, column in zip(names, data["values"], strict=True):
        assert column == [point.values.get(name) for point in study.points]
    assert data["options"][1] == [point.options["array.rows"] for point in study.points]


def test_states_are_those_of_the_study(study: Study) -> None:
    study = replace(study, points=(*study.points[:-1], replace(study.points[-1], final=False)))
    data = study_data(study.to_json())
    states = [STATES[state] for state in data["state"]]
    front = {point.number for point in study.front()}
    expected = [
        "front"
        if point.number in front
        else "refused"
        if point.refused
        else "beyond a limit"
        if study.broken(point)
        else "dominated"
        if point.final
        else "ranked only"
        for point in study.points
    ]
    assert states == expected
    assert {"front", "dominated", "beyond a limit", "refused"} <= set(states)
    assert data["why"] == {str(i): point.refused for i, point in enumerate(study.points) if point.refused}


def test_text_intervals_and_truth_values(study: Study) -> None:
    space = [["array.pipeline", ["short", "fast"]], ["array.order", ["true", "false"]], ["shrink.left", [0.1, 0.5]]]
    given = (("fast", True, 0.25), ("short", False, 0.5))
    points = tuple(
        Point(
            number=i,
            options={"array.pipeline": a, "array.order": b, "shrink.left": c},
            values={"accuracy": 9.0, "cycles": i, "lut4": 1.0},
            final=i > 0,
        )
        for i, (a, b, c) in enumerate(given)
    )
    searched = replace(study, identity={**study.identity, "space": space}, points=points, limits=(), size=None)
    data = study_data(searched.to_json())
    assert [d["values"] for d in data["dimensions"]] == [["short", "fast"], ["true", "false"], None]
    assert data["options"] == [["fast", "short"], ["true", "false"], [0.25, 0.5]]
    assert [STATES[state] for state in data["state"]] == ["ranked only", "front"]
    assert study_page(searched.to_json()).drawn


def test_page_stands_alone_and_names_no_place(study: Study, tmp_path: Path) -> None:
    write_study(study.to_json(), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#|data:)", text) and "http" not in text.replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert str(tmp_path) not in text
    elsewhere = replace(study, folder=tmp_path / "elsewhere")
    write_study(elsewhere.to_json(), tmp_path / "b.html")
    assert (tmp_path / "b.html").read_text() == text
    page = Reader(text)
    assert page.sections == ["trade", "map", "parallel", "importance", "points"]
    assert "Points 60 of 60" in page.text and "LUT4 at most 694" in page.text and "Refused 2" in page.text
    for share in study.to_json()["importance"]["cycles"].values():
        assert f"{100 * share:.1f} %" in page.text
    assert "5 rows and <b>5</b> columns do not go together 2 24" in page.text


@pytest.mark.parametrize("name", ["</script><b>x", "<!--<script>", "a & b", "\u2028line"])
def test_text_cannot_break_out(study: Study, name: str, tmp_path: Path) -> None:
    points = (replace(study.points[0], values={}, refused=name), *study.points[1:])
    hostile = replace(study, about={**study.about, "network": name}, points=points)
    write_study(hostile.to_json(), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("</script>") == 2 and "<b>x" not in text and "<!--" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data and not set("<>&\u2028") & set(data[1])
    assert json.loads(data[1])["why"]["0"] == name


def test_shares_of_searched_points_are_called_indicative(study: Study, tmp_path: Path) -> None:
    write_study(study.to_json(), tmp_path / "grid.html")
    write_study(replace(study, size=None).to_json(), tmp_path / "search.html")
    assert "only indicative" not in (tmp_path / "grid.html").read_text()
    assert "only indicative" in (tmp_path / "search.html").read_text()


def test_one_dimension_has_no_map(study: Study) -> None:
    narrow = replace(study, identity={**study.identity, "space": study.identity["space"][1:2]})
    assert not study_page(narrow.to_json()).mapped and study_page(study.to_json()).mapped


def test_report_of_a_folder(study: Study, tmp_path: Path) -> None:
    study.save_head()
    with pytest.raises(InputError, match=r"no explored.json yet.*run the same `hwprm explore` again"):
        api.report(tmp_path)
    lines = "".join(json.dumps(point.to_json()) + "\n" for point in study.points)
    (tmp_path / POINTS).write_text(lines)
    Study.load(tmp_path).save_tables()
    facts = api.report(tmp_path, html=tmp_path / "again.html")
    assert facts == study.to_json()
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "study.html").read_bytes()
    (table,) = tables(facts)
    assert table.row_count == len(study.front())


def test_tables_of_an_earlier_version_are_refused(study: Study, tmp_path: Path) -> None:
    study.save_head()
    facts = study.to_json()
    del facts["importance"]
    (tmp_path / "explored.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="earlier version"):
        write_page(tmp_path, tmp_path / "page.html")


def test_nothing_measured_is_said(study: Study, tmp_path: Path) -> None:
    points = tuple(Point(number=p.number, options=p.options, refused="too large") for p in study.points)
    write_study(replace(study, points=points).to_json(), tmp_path / "page.html")
    page = Reader((tmp_path / "page.html").read_text())
    assert "too large 60 0" in page.text and "importance" not in page.sections

"""The journal: whatever happens to the file, finished points are there and the rest is computed again."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from hwprm.core.errors import InputError
from hwprm.exploration.points import POINTS, Journal, Point, plain

POINT = Point(number=3, options={"array.rows": 8}, values={"cycles": 100}, final=False)


def test_points_come_back(tmp_path: Path) -> None:
    refused = Point(number=1, options={"array.rows": 9}, refused="too large")
    Journal(tmp_path).add(POINT, refused)
    final = Point(
        number=3, options={"array.rows": 8}, values={"cycles": 99}, ranked={"cycles": 100}, test_accuracy=50.0
    )
    Journal(tmp_path).add(final)
    assert Journal(tmp_path).ordered == [refused, final]
    assert len((tmp_path / POINTS).read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", range(1, 20, 3))
def test_half_a_line_is_dropped_and_overwritten(tmp_path: Path, cut: int) -> None:
    Journal(tmp_path).add(POINT)
    file = tmp_path / POINTS
    whole = file.read_bytes()
    line = json.dumps({"number": 4, "options": {}, "values": {"cycles": 5}}).encode()
    file.write_bytes(whole + line[:cut])
    journal = Journal(tmp_path)
    assert journal.ordered == [POINT]
    journal.add(Point(number=4, options={}, values={"cycles": 6}))
    assert [point.number for point in Journal(tmp_path).ordered] == [3, 4]
    assert file.read_bytes().startswith(whole) and b"5" not in file.read_bytes()[len(whole) :]


@pytest.mark.parametrize("line", ["nothing", "[]", '{"number": 1}', '{"number": 1, "options": {}, "colour": 2}'])
def test_a_line_that_is_no_point_is_named(tmp_path: Path, line: str) -> None:
    Journal(tmp_path).add(POINT)
    with (tmp_path / POINTS).open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=r"points\.jsonl, line 2, is no point .* delete that line"):
        Journal(tmp_path)


def test_a_full_disk_keeps_what_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    journal.add(POINT)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    other = Point(number=4, options={}, values={"cycles": 5})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"cannot keep point 4 .*No space left.* make room"):
            journal.add(other)
    assert set(journal.points) == {3}
    journal.add(other)  # what the first try left of it is written over
    assert Journal(tmp_path).ordered == [POINT, other]
    assert len((tmp_path / POINTS).read_text().splitlines()) == 2


def test_options_as_json() -> None:
    options = {"array.rows": 8, "array.acc_bits": None, "shrink.also": {"macs": 2.0}, "array.order_filters": True}
    assert plain(options) == {
        "array.rows": 8,
        "array.acc_bits": "none",
        "shrink.also": "macs=2",
        "array.order_filters": True,
    }

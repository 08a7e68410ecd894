"""Reading the event log."""

from __future__ import annotations

from pathlib import Path

from hwprm.verification.comparison.events import Section, Store, instability, read_sections, strayed

LOG = """\
O 3 00000009 1
M 1
R 5
P 6 0 0 0 2 0102
R 11
L 12
P 13 0 1 2 2 ff80
L 20
F 30
O 31 00000001 0
L 33
P 34 0 0 0 1 xxxx
O 35 ffffffff 1
F 40
S 99
"""


def sections(tmp_path: Path, text: str) -> list[Section]:
    (tmp_path / "events.log").write_text(text)
    return read_sections(tmp_path / "events.log")


def test_sections_and_frames(tmp_path: Path) -> None:
    first, second = sections(tmp_path, LOG)
    assert (first.mark, [frame.beats for frame in first.frames]) == (0, [[(3, "00000009")]])
    assert (second.mark, second.stuck, len(second.frames)) == (1, True, 2)
    frame, after = second.frames
    assert frame.stores == [Store(13, 0, 1, 2, 2, "ff80")]
    assert (frame.starts, frame.done, frame.complete) == ([12, 20], 30, True)
    assert frame.beats == [(31, "00000001"), (35, "ffffffff")]
    assert (after.starts, after.done, after.complete) == ([33], 40, False)


def test_a_log_cut_short_and_no_log(tmp_path: Path) -> None:
    (section,) = sections(tmp_path, "L 12\nF 30\nO 31 00000001 0\nO 32 0000")
    assert section.frames[0].beats == [(31, "00000001")]
    assert read_sections(tmp_path / "nowhere.log")[0].frames == []


def test_offers_that_do_not_stand_still(tmp_path: Path) -> None:
    log = tmp_path / "events.log"
    log.write_text("R 3\nU 5 0\nM 2\nR 9\nU 11 3\nU 12\n")
    sections = read_sections(log)
    assert [section.unstable for section in sections] == [[(5, 0)], [(11, 3)]]
    said = "does not hold what it offers until it is taken"
    assert instability(sections) == f"m_axis {said}: cycle 5, test 0, and 1 times more"
    assert instability(sections[1:]) == f"m_axi_ar {said}: cycle 11, test 2"
    assert instability([]) is None


def test_addresses_outside_of_the_image(tmp_path: Path) -> None:
    log = tmp_path / "events.log"
    log.write_text("R 3\nM 2\nR 9\nB 11\nB 12\nB\n")
    found = read_sections(log)
    assert strayed(found) == "an address outside of the external image is offered in cycle 11, test 2"
    assert strayed(found[:1]) is None

"""Clock cycles as the event log has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.verification.comparison.events import Frame, Section, read_sections
from hwprm.verification.comparison.timing import compute_cycles, layer_cycles, loading_hidden, room_stalls
from tests.sim.standin import parts
from tests.sim.standin import standin_bundle as make_bundle


def sections(tmp_path: Path, text: str) -> list[Section]:
    (tmp_path / "events.log").write_text(text)
    return read_sections(tmp_path / "events.log")


def test_cycles_of_layers(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "b").manifest
    before, after = Frame(starts=[100, 130]), Frame(starts=[150])
    assert layer_cycles((before, after), manifest) == (("squash", 30), ("score", 20))
    assert layer_cycles((Frame(starts=[100]), after), manifest) == ()
    assert layer_cycles((before, Frame()), manifest) == ()


@pytest.mark.parametrize(("cycles", "hidden"), [(30, False), (31, True)])
def test_when_loading_is_hidden(tmp_path: Path, cycles: int, hidden: bool) -> None:
    assert parts(cycles=cycles).cycles.image == cycles
    assert loading_hidden(make_bundle(tmp_path / "b", cycles=cycles).manifest) is hidden


def test_cycles_lost_to_external_memory_are_told_apart(tmp_path: Path) -> None:
    text = "A 3\nR 4\nA 7\nW 12 0\nL 12\nW 30 8\nL 30\nF 40\nW 50 9\nL 50\n"
    (section,) = sections(tmp_path, text)
    before, after = section.frames
    assert (section.first_accept, before.waited, after.waited) == (7, [0, 8], [9])
    manifest = make_bundle(tmp_path / "bundle").manifest
    assert layer_cycles((before, after), manifest) == (("squash", 10), ("score", 19))
    assert compute_cycles(before, after) == 29


def test_waits_for_room_are_what_outputs_start_late(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "b").manifest
    first = next(entry for entry in manifest.layers if entry.wide)
    assert (first.index, manifest.cycles.layers[0]) == (1, 5)
    frames = [Frame(starts=[100, 105]), Frame(starts=[150, 167]), Frame(starts=[200, 215], waited=[1, 4])]
    assert room_stalls(frames, manifest) == 0 + 12 + 7
    assert room_stalls([*frames, Frame(starts=[300])], manifest) is None
    assert room_stalls([], manifest) is None

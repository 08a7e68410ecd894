"""The trace of fixed lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.verification.modes.trace import read_trace
from tests.sim.standin import standin_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return standin_bundle(tmp_path_factory.mktemp("b") / "bundle")


def line(image: int, cycle: int, layer: str, pixel: int, data: str) -> str:
    """One line of the stand-in's trace: its probes have 2, 2, 4, 2 and 16 bits."""
    return f"{image:08x}{cycle:016x}{layer}0{pixel:x}2{data}\n"


def test_a_trace_is_filed_by_image_and_layer(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    lines = [
        line(0, 7, "0", 0, "ff01"),
        line(1, 30, "0", 2, "0x02"),
        line(0, 8, "0", 4, "7f80"),
        line(0, 9, "x", 0, "0000"),
    ]
    path.write_text("".join(lines) + lines[0][:-3])
    first, second = read_trace(path, bundle.manifest, 2)
    assert sorted(first) == [-1, 0]
    assert (first[0].cycle.tolist(), first[0].pixel.tolist(), first[0].lanes.tolist()) == ([7, 8], [0, 4], [2, 2])
    values, known = first[0].values(8, signed=True)
    assert (values.tolist(), known.all()) == ([[1, -1], [-128, 127]], True)
    assert first[0].values(8, signed=False)[0].tolist() == [[1, 255], [128, 127]]
    values, known = second[0].values(8, signed=True)
    assert known.tolist() == [[True, False]]
    assert second[0].bits_of(0, 1, 8) == "0000xxxx"


def test_a_trace_that_is_garbled_ends_there(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    good = line(0, 7, "0", 0, "ff01")
    path.write_text(good + good[1:] + good + good)
    assert len(read_trace(path, bundle.manifest, 1)[0][0].cycle) == 1
    assert read_trace(tmp_path / "nothing.txt", bundle.manifest, 2) == [{}, {}]

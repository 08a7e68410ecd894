"""The activation memory as files, and the trace of fixed lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.compiler.layout.memory import MemoryPlan, Placement
from hwprm.verification.comparison.activation_memory import ActivationMemory
from hwprm.verification.comparison.vectors import hex_values
from hwprm.verification.modes.trace import read_trace
from tests.sim.standin import standin_bundle


def memory(bits: int) -> ActivationMemory:
    """Two tensors of (2, 2, 3) at pitch 4, in 3 banks."""
    places = [
        Placement(name=name, base=base, words=6, pitch=4, channel=8, height=2, width=3)
        for name, base in (("a", 0), ("b", 6))
    ]
    return ActivationMemory(plan=MemoryPlan(banks=3, words=12, placements=tuple(places)), bits=bits)


@pytest.mark.parametrize("bits", [2, 8, 11, 16])
def test_tensors_survive_the_memory_and_its_files(bits: int, tmp_path: Path) -> None:
    mem, rng = memory(bits), np.random.default_rng(bits)
    contents = mem.random(1)
    half = 1 << bits - 1
    a, b = (rng.integers(-half, half, (2, 2, 3)) for _ in "ab")
    mem.put(contents, "a", a)
    mem.put(contents, "b", b)
    mem.write(contents, tmp_path)
    for path in tmp_path.glob("bank*.mem"):
        path.rename(path.with_name(path.name.replace("bank", "after")))
    after = mem.read(tmp_path)
    assert after is not None
    assert (after == contents).all()
    assert (mem.take(after, "a", a.shape) == a).all()
    assert (mem.take(after, "b", b.shape) == b).all()


def test_linear_addresses_run_through_the_banks() -> None:
    mem = memory(8)
    contents = np.zeros((3, 12), np.int64)
    mem.put(contents, "b", np.arange(1, 13).reshape(2, 2, 3))
    # Channel 1, row 1, column 2 is 8 + 4 + 2 = 14 behind word 6: bank 2 of word 6 + 4.
    assert contents[2, 10] == 12
    assert contents[0, 6] == 1


def test_what_the_testbench_wrote_may_have_comments_unknown_bits_or_be_cut_short(tmp_path: Path) -> None:
    mem = memory(8)
    assert mem.read(tmp_path) is None
    for b in range(3):
        (tmp_path / f"after{b}.mem").write_text("// 0x00000000\n" + "0f\n" * 11 + "x1\n")
    contents = mem.read(tmp_path)
    assert contents is not None
    assert (contents[:, :11] == 15).all()
    assert (contents[:, 11] == -1).all()
    assert mem.take(np.full((3, 12), -1), "a", (2, 2, 3)).max() < -128
    (tmp_path / "after2.mem").write_text("0f\n" * 11)
    assert mem.read(tmp_path) is None


def test_numbers_with_unknown_digits() -> None:
    text = np.frombuffer(b"00ffx0Ff", np.uint8).reshape(-1, 2)
    assert hex_values(text).tolist() == [0, 255, -1, 255]


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
    values, known = first[0].values(8)
    assert (values.tolist(), known.all()) == ([[1, -1], [-128, 127]], True)
    values, known = second[0].values(8)
    assert known.tolist() == [[True, False]]
    assert second[0].bits_of(0, 1, 8) == "0000xxxx"


def test_a_trace_that_is_garbled_ends_there(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    good = line(0, 7, "0", 0, "ff01")
    path.write_text(good + good[1:] + good + good)
    assert len(read_trace(path, bundle.manifest, 1)[0][0].cycle) == 1
    assert read_trace(tmp_path / "nothing.txt", bundle.manifest, 2) == [{}, {}]

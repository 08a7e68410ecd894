"""The activation memory as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.compiler.layout.memory import MemoryMap, Placement
from hwprm.core.numerics import integer_range
from hwprm.verification.comparison.activation_memory import ActivationMemory


def memory(bits: int) -> ActivationMemory:
    """Two tensors of (2, 2, 3) at pitch 4, in 3 banks."""
    places = [
        Placement(name=name, base=base, words=6, pitch=4, channel=8, height=2, width=3)
        for name, base in (("a", 0), ("b", 6))
    ]
    return ActivationMemory(memory_map=MemoryMap(banks=3, words=12, placements=tuple(places)), bits=bits)


@pytest.mark.parametrize("bits", [2, 8, 11, 16])
def test_tensors_survive_the_memory_and_its_files(bits: int, tmp_path: Path) -> None:
    mem, rng = memory(bits), np.random.default_rng(bits)
    contents = mem.random(1)
    a, b = (rng.integers(*integer_range(bits, signed), (2, 2, 3), endpoint=True) for signed in (True, False))
    mem.put(contents, "a", a)
    mem.put(contents, "b", b)
    mem.write(contents, tmp_path)
    for path in tmp_path.glob("bank*.mem"):
        path.rename(path.with_name(path.name.replace("bank", "after")))
    after = mem.read(tmp_path)
    assert after is not None
    assert (after == contents).all()
    assert (mem.take(after, "a", a.shape, signed=True) == a).all()
    assert (mem.take(after, "b", b.shape, signed=False) == b).all()


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
    assert mem.take(np.full((3, 12), -1), "a", (2, 2, 3), signed=True).max() < -128
    assert mem.take(np.full((3, 12), -1), "a", (2, 2, 3), signed=False).max() < 0
    (tmp_path / "after2.mem").write_text("0f\n" * 11)
    assert mem.read(tmp_path) is None

"""What is said beforehand of number formats that the machine is slow with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.config import TrainConfig
from hwprm.training import devices
from hwprm.training.devices import slow_precision
from tests.conftest import Run


@pytest.mark.parametrize(
    ("says", "slow"),
    [
        ("flags : fpu avx2 avx512f", True),
        ("flags : fpu avx512f avx512_bf16", False),
        ("flags : amx_bf16", False),
        ("Features : fp asimd bf16", False),
        (None, False),
    ],
)
def test_bfloat16_needs_instructions_of_the_processor(
    says: str | None, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")
    if says is not None:
        (tmp_path / "cpuinfo").write_text(says)
    remark = slow_precision(TrainConfig(precision="bfloat16", device="cpu"))
    assert (remark is not None) == slow
    assert slow_precision(TrainConfig(device="cpu")) is None


def test_it_is_said_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, tiny_model: Path, tiny_data: Path
) -> None:
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : fpu")
    result = run("train", tiny_model, data=tiny_data, epochs=1, precision="bfloat16", device="cpu", out=tmp_path / "m")
    assert result.exit_code == 0 and "this processor cannot multiply bfloat16; float32 takes" in result.stderr

"""What the verbs compare on the way: references when a network is quantised, passes when it is compiled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwprm
from hwprm.compiler.passes.rewritten import Rewritten, all_channels
from hwprm.config import ArrayConfig
from hwprm.core.errors import MismatchError, PassError
from hwprm.intnet import IntegerNetwork
from hwprm.quantization.emulate import run_torch
from hwprm.sources import as_network


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch reference adds one to the last pixel of every tensor."""

    def run(net: IntegerNetwork, images: np.ndarray) -> dict[str, np.ndarray]:
        tensors = run_torch(net, images)
        return {name: np.concatenate([x[..., :-1], x[..., -1:] + 1], axis=-1) for name, x in tensors.items()}

    monkeypatch.setattr("hwprm.quantization.compare.run_torch", run)


def test_quantize_compares_both_references(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    net = hwprm.quantize(tiny_model, tiny_data)
    assert net.crosschecked == 4
    net.save(tmp_path / "integer")
    assert hwprm.quantize(tmp_path / "integer").crosschecked == 4
    bundle = hwprm.compile(tmp_path / "integer", tiny_data, out=tmp_path / "bundle")
    checks = bundle.manifest.checks
    assert (checks.crosscheck_images, checks.pass_images) == (4, 8)
    assert checks.passes == ("remove_unneeded", "spread_gates", "split_pools", "order_filters", "split_remainders")


@pytest.mark.usefixtures("faulty")
def test_references_that_differ_are_refused(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"^layer '.*', image 0, channel 0, row 0, "):
        hwprm.quantize(tiny_model, tiny_data)
    with pytest.raises(MismatchError, match=r"^layer '.*', image 0, channel 0, row 0, "):
        hwprm.compile(tiny_model, tiny_data, out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_network_that_was_integers_before_is_not_compared_again(tiny_model: Path, tiny_data: Path) -> None:
    net = as_network(tiny_model, tiny_data, None)
    assert net.crosschecked == 0
    assert hwprm.quantize(net, tiny_data).crosschecked == 0


def test_compile_refuses_what_a_faulty_pass_makes(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(net: IntegerNetwork, _: ArrayConfig) -> Rewritten:
        first, *rest = net.layers
        return Rewritten(
            network=replace(net, layers=(replace(first, bias=first.bias + 9999), *rest)), kept=all_channels(net)
        )

    monkeypatch.setattr("hwprm.compiler.program.PASSES", (faulty,))
    with pytest.raises(PassError, match="^the compiler's pass faulty changed tensor "):
        hwprm.compile(tiny_model, tiny_data, out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()

"""Predicted waits for external memory against what was seen, in designs that do not get far."""

from __future__ import annotations

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.memory import MemoryConfig
from hwprm.emission import emit_bundle
from hwprm.verification.comparison.events import Frame, Section
from hwprm.verification.comparison.external_memory import compare_stalls, waiting_cycles
from tests.support.networks import small_lenet


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    program = compile_network(small_lenet(), ArrayConfig(rows=4, cols=3, weights="axi"))
    images = random_images(1, program.network.image_limits, seed=3)
    return emit_bundle(program, images, None, tmp_path_factory.mktemp("axi") / "bundle")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (Section(0), "no burst was asked for"),
        (Section(0, first_accept=7), "no image was seen to start"),
        (Section(0, first_accept=7, frames=[Frame()]), "image 0 was not seen to start"),
    ],
)
@pytest.mark.parametrize("register", [None, 0])
def test_designs_that_start_no_image(bundle: Bundle, section: Section, words: str, register: int | None) -> None:
    assert compare_stalls(bundle, MemoryConfig(), section, register) == ([] if section.first_accept else (), words)


def test_a_slower_memory_is_waited_for_longer(bundle: Bundle) -> None:
    slow = MemoryConfig(latency=400, bandwidth="1/40")
    assert waiting_cycles(bundle, slow) > waiting_cycles(bundle, MemoryConfig()) > 0

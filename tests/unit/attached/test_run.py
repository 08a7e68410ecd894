"""`hwprm run`: a bundle's images through a board, what is compared and told, and what may be wrong before it begins."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwprm
from hwprm.attached.port import open_port
from hwprm.attached.run import check_bundle, design_of
from hwprm.bundle import Bundle
from hwprm.bundle.driver import pack
from hwprm.bundle.images import random_images
from hwprm.config import BoardConfig
from hwprm.core.errors import ConfigError, MismatchError
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.intnet.reference import logits
from hwprm.isa.hosts import Host
from tests.conftest import Run
from tests.support.board import Board, boarded
from tests.support.networks import Spec, compiled, network, seeded_weights

BAUD = 3_000_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Five classes of images of 8 activations of 12 bits; every image has the class that the network gives it."""
    spec = Spec(name="a", terms=(Term(source="image", weight=seeded_weights(5, 1, 2, 4)),), wide=True)
    program = compiled(network((1, 2, 4), (spec,), act_bits=12), 2, 2)
    images = random_images(12, program.network.image_limits, seed=2)
    labels = logits(program.network, images)["a"].reshape(12, -1).argmax(axis=1)
    labels[0] = (labels[0] + 1) % 5
    host = Host(kind="uart", divider=4, silence=1000, clock=12.0, baud=BAUD)
    return emit_bundle(program, images, labels, tmp_path_factory.mktemp("board") / "bundle", host=host)


def _answer(bundle: Bundle) -> Callable[[bytes], bytes]:
    """What the design answers, image by image, by the bundle's own vectors."""
    golden = bundle.golden("a").reshape(len(bundle.images), -1).astype("<i4")
    known = {pack(bundle.manifest, image): row.tobytes() for image, row in zip(bundle.images, golden, strict=True)}
    return known.__getitem__


def _board(bundle: Bundle, **changed: object) -> Board:
    design = design_of(bundle.manifest, BAUD, BoardConfig().wait)
    own = {"image": design.image, "result": design.result, "hash": design.hash, "answer": _answer(bundle)}
    return Board(**(own | changed))  # type: ignore[arg-type]  # fields of a Board


def test_all_images_of_the_bundle(run: Run, bundle: Bundle) -> None:
    with boarded(_board(bundle)) as name:
        done = run("run", bundle.folder, port=name)  # at the rate that the bundle keeps
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "PASS: 12 images, 60 values compared, 0 wrong"
    assert "91.67%" in done.stdout and "line and layers allow 10,000.0" in done.stdout
    assert done.stderr.splitlines()[-1] == f"next: hwprm report {bundle.folder}"


def test_images_of_a_data_set_and_what_was_lost(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    scale = bundle.network.tensor["image"].scale
    np.savez(tmp_path / "x.npz", x=(bundle.images * scale).astype(np.float32), y=bundle.labels)
    held = iter([b"", b""])  # the first frames are not the greeting
    board = _board(bundle, inward=lambda data: data if data[1] == 1 else next(held, data))
    with boarded(board) as name:
        options = {"data": tmp_path / "x.npz", "port": name, "baud": BAUD, "images": 2, "wait": 0.1}
        done = run("run", bundle.folder, "--json", **options)
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)["board"]
    assert (facts["images"], facts["values_compared"], facts["ok"], facts["accuracy"] is None) == (2, 10, True, False)
    assert (facts["retries"]["again"], facts["retries"]["silences"]) == (2, 1)


def test_a_wrong_value_is_told_and_no_success(run: Run, bundle: Bundle) -> None:
    right, wrong = _answer(bundle), pack(bundle.manifest, bundle.images[7])
    board = _board(bundle, answer=lambda image: bytes(4) + right(image)[4:] if image == wrong else right(image))
    value = int(bundle.golden("a")[7].flat[0])
    with boarded(board) as name:
        done = run("run", bundle.folder, port=name, baud=BAUD)
        assert done.exit_code == 1
        told = f"image 7, word 0: 0 came, {value} is right"
        assert done.stdout.splitlines()[-1] == f"FAIL: 12 images, 60 values compared, 1 wrong; {told}"
        report = hwprm.run(bundle, config=BoardConfig(port=name, baud=BAUD))
        with pytest.raises(MismatchError, match=f"1 of 60 values are wrong; {told}"):
            report.raise_on_failure()


def test_what_cannot_begin(run: Run, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def error(code: int, *words: object, **options: object) -> str:
        done = run("run", *words, **options)
        assert done.exit_code == code, done.stderr
        return done.stderr.splitlines()[-1]

    folder = bundle.folder
    assert "board.port is not given" in error(2, folder)
    assert "there is no serial port /dev/nonesuch; found are:" in error(2, folder, port="/dev/nonesuch")
    assert "/dev/null cannot be used as a serial port" in error(2, folder, port="/dev/null")
    with boarded(_board(bundle, hash="12" * 32)) as name:
        with open_port(name, BAUD, 1):
            assert f"the serial port {name} is in use" in error(3, folder, port=name)
        text = error(2, folder, port=name, baud=BAUD)
        assert "12" * 32 in text and bundle.manifest.design_hash in text
    with boarded(_board(bundle, mute=True)) as name:
        assert "does not answer" in error(3, folder, port=name, baud=BAUD, wait=0.05, retries=0)
    monkeypatch.setitem(sys.modules, "serial", None)
    text = error(3, folder, port="/dev/null")
    assert text == "error: a serial port needs pyserial, which is not installed; pip install 'hwprm[board]'"


def test_only_a_serial_line_is_run(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    spec = Spec(name="a", terms=(Term(source="image", weight=seeded_weights(2, 1, 2, 3)),), wide=True)
    program = compiled(network((1, 2, 3), (spec,)), 1, 2)
    other = emit_bundle(program, random_images(1, program.network.image_limits, seed=1), None, tmp_path / "axi")
    done = run("run", other.folder, port="/dev/null")
    assert done.exit_code == 2 and "talks by axi" in done.stderr and "--emit-host uart" in done.stderr


def test_the_rate_is_the_bundle_s_or_the_one_given(bundle: Bundle) -> None:
    port = BoardConfig(port="/dev/null")
    assert check_bundle(bundle, port) == ("/dev/null", BAUD)
    assert check_bundle(bundle, replace(port, baud=115200)) == ("/dev/null", 115200)
    line = bundle.manifest.serial
    assert line is not None
    older = replace(bundle, manifest=replace(bundle.manifest, serial=replace(line, clock=None, baud=None)))
    with pytest.raises(ConfigError, match=r"does not keep what its emit\.baud was; give --baud, or compile it again"):
        check_bundle(older, port)


def test_a_stop_says_how_far_it_was(run: Run, bundle: Bundle) -> None:
    board, right = _board(bundle), _answer(bundle)

    def stopping(*_: object) -> None:
        raise KeyboardInterrupt

    board.answer = right
    with boarded(board) as name, pytest.raises(KeyboardInterrupt, match="12 of 12 images were through"):
        hwprm.run(bundle, config=BoardConfig(port=name, baud=BAUD), progress=stopping)
    with boarded(_board(bundle)) as name:  # the port was closed
        assert hwprm.run(bundle, config=BoardConfig(port=name, baud=BAUD)).ok

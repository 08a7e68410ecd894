"""Whatever the files of a bundle hold, `hwprm verify` ends with 1, 2 or 3, one clear error, and a red JUnit file."""

from __future__ import annotations

import json
import os
import random
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.emission import emit_bundle
from tests.conftest import Run
from tests.support.networks import small_lenet
from tests.support.rounds import long_round

#: Modes of the bundle with ROMs and of the one with external memory, which has no layer mode.
MODES = {"rom": "protocol,bulk,layers", "axi": "protocol,bulk"}


def emitted(folder: Path, **options: Any) -> Bundle:
    program = compile_network(small_lenet(), ArrayConfig(rows=4, cols=3, **options))
    images = random_images(5, program.network.image_limits, seed=3)
    return emit_bundle(program, images, np.arange(5), folder)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {"rom": emitted(folder / "rom"), "axi": emitted(folder / "axi", weights="axi")}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Icarus, as far as its version goes: it compiles to nothing, and running that makes no results."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {
        "iverilog": 'if [ "$1" = -V ]; then echo "Icarus Verilog version 12.0"; else : > "$2"; fi',
        "vvp": ":",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


Check = Callable[[str, Callable[[Path], None]], str]


@pytest.fixture
def check(bundles: dict[str, Bundle], tools: None, tmp_path: Path, run: Run) -> Check:
    """Verifies a copy of a bundle after a change and returns what standard error says."""
    copies = 0

    def verify(kind: str, change: Callable[[Path], None]) -> str:
        nonlocal copies
        copies += 1
        folder, junit = tmp_path / f"copy{copies}", tmp_path / "junit.xml"
        shutil.copytree(bundles[kind].folder, folder)
        change(folder)
        junit.write_text("<testsuites tests='9' failures='0' errors='0'/>")
        options = {"sim": "icarus", "modes": MODES[kind], "junit": junit, "work": tmp_path / "work", "images": 6}
        result = run("verify", folder, "--allow-edited", "--jobs", "2", **options)
        assert result.exit_code in (1, 2, 3), result.stderr
        assert "Traceback" not in result.stderr
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == (0 if result.exit_code == 1 else 1), result.stderr
        root = ET.parse(junit).getroot()
        assert int(root.get("failures", 0)) + int(root.get("errors", 0)) > 0
        shutil.rmtree(folder)
        return result.stderr

    return verify


def test_the_checks_let_the_whole_bundle_through(check: Check) -> None:
    for kind in MODES:
        assert check(kind, lambda folder: None).startswith("verify: ")


def test_builds_that_nobody_used_for_long_go(bundles: dict[str, Bundle], tools: None, tmp_path: Path, run: Run) -> None:
    old = tmp_path / "work" / "builds" / "old"
    old.mkdir(parents=True)
    (old / "sim").write_bytes(bytes(100))
    os.utime(old, (0, 0))
    options = {"sim": "icarus", "modes": "bulk", "work": tmp_path / "work", "images": 1}
    run("verify", bundles["rom"].folder, cache_gb=2, **options)
    assert old.exists()
    run("verify", bundles["rom"].folder, cache_gb=0, **options)
    assert [path.exists() for path in (old, old.parent)] == [False, True]


CONTENTS = [b"", b"\xff\x00\xfe", b"9" * 5000]
JSON = [b"[]", b"null", b"7", b'"x"', b"{}", b"[" * 100_000]
FILES = (
    *("manifest.json", "network/network.json", "network/weights.safetensors", "program/program.json"),
    *("golden/images.npy", "golden/layer_0.npy", "mem/tiles.mem"),
    *("manifest.sha256", "golden/labels.npy", "golden/layer_3.npy", "mem/stores.mem", "mem/layers.mem"),
    *("rtl/hwprm_top.v", "tb/tb_hwprm.v"),
)


@pytest.mark.parametrize("name", long_round(FILES, quick=7))
def test_files_of_something_else(check: Check, name: str) -> None:
    for content in (*CONTENTS, *(JSON if name.endswith(".json") else ())):
        check("rom", lambda folder, content=content: (folder / name).write_bytes(content) and None)  # type: ignore[misc]  # bound here
    for part in (0.3, 0.9, 0.999):

        def cut(folder: Path, part: float = part) -> None:
            data = (folder / name).read_bytes()
            (folder / name).write_bytes(data[: int(part * len(data))])

        check("rom", cut)
    check("rom", lambda folder: (folder / name).unlink())


VALUES = (
    None,
    -1,
    0,
    1,
    7,
    1 << 31,
    1 << 70,
    1e308,
    float("nan"),
    True,
    "",
    "x" * 1000,
    "a\nb",
    [],
    [[]],
    {},
    [1, 2, 3],
)


def mutate(plain: Any, rng: random.Random) -> str:
    """Change one value anywhere in `plain`; what was done."""
    steps = ""
    while True:
        keys = list(plain) if isinstance(plain, dict) else range(len(plain))
        key = rng.choice(keys)
        steps += f"[{key!r}]"
        inner = plain[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            plain = inner
            continue
        if rng.random() < 0.15:
            del plain[key]
            return f"without {steps}"
        plain[key] = rng.choice(VALUES)
        return f"{steps} = {str(plain[key])[:30]}"


@pytest.mark.parametrize("kind", ["rom", "axi"])
@pytest.mark.parametrize("name", ["manifest.json", "program/program.json", "network/network.json"])
@pytest.mark.parametrize("times", long_round([8, 60], quick=1))
def test_values_of_another_kind(check: Check, kind: str, name: str, times: int) -> None:
    rng = random.Random(f"{kind} {name} {times}")
    for _ in range(times):
        done = ""

        def change(folder: Path) -> None:
            nonlocal done
            plain = json.loads((folder / name).read_text())
            done = mutate(plain, rng)
            (folder / name).write_text(json.dumps(plain))

        try:
            check(kind, change)
        except AssertionError as error:
            raise AssertionError(f"{name}: {done}") from error


ARRAYS = {
    "empty": np.zeros((0, 4, 1, 1), np.int32),
    "no axis": np.array(3),
    "fewer": np.zeros((2, 4, 1, 1), np.int32),
    "wrong": np.zeros((5, 1, 1, 4), np.int32),
    "floats": np.full((5, 4, 1, 1), np.nan),
    "fields": np.zeros((5, 4, 1, 1), [("a", "i4")]),
    "objects": np.full((5, 4, 1, 1), None),
    "texts": np.full((5, 4, 1, 1), "x"),
    "large": np.full((5, 4, 1, 1), 1 << 62),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("name", ["images", "labels", "layer_0", "layer_3"])
def test_golden_arrays(check: Check, name: str, array: np.ndarray) -> None:
    check("rom", lambda folder: np.save(folder / "golden" / f"{name}.npy", array, allow_pickle=True))


def test_a_header_that_promises_too_much(check: Check) -> None:
    def promise(folder: Path) -> None:
        header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000000,), }\n"
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        (folder / "golden" / "images.npy").write_bytes(data)

    assert "golden/images.npy cannot be read" in check("rom", promise)


def test_pickles_are_not_advised(check: Check) -> None:
    words = check("rom", lambda folder: np.save(folder / "golden" / "images.npy", np.array([{}]), allow_pickle=True))
    assert "golden/images.npy cannot be read" in words
    assert "allow_pickle" not in words


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("images", v) for v in ("0", "-1", "x", "1e9", str(10**12), str(10**30))],
        *[("timeout", v) for v in ("nan", "inf", "1e300", "0", "-1", "x")],
        *[("seed", str(1 << 31)), ("modes", ""), ("modes", "x"), ("wave", "5:1"), ("wave", f"0:{10**20}")],
        *[("jobs", "0"), ("layers", "nope"), ("work", "/dev/null"), ("work", "/proc/x"), ("trace_images", "-1")],
    ],
)
def test_options(check: Check, bundles: dict[str, Bundle], tmp_path: Path, run: Run, option: str, value: str) -> None:
    junit = tmp_path / "junit.xml"
    given = {"sim": "icarus", "modes": "layers", "work": tmp_path / "work", "junit": junit, option: value}
    result = run("verify", bundles["rom"].folder, **given)
    assert result.exit_code == 2, result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert ET.parse(junit).getroot().get("errors") == "1"

"""The drivers of a bundle, in C, C++ and Python, against its Verilated design; its description for FuseSoC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.driver import Driver
from hwprm.bundle.images import random_images
from hwprm.compiler import Program
from hwprm.core.errors import BundleError, ConfigError
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.intnet.reference import logits
from hwprm.verification.simulators.model import STRICT, build_model
from hwprm.verification.simulators.tools import find_simulator
from tests.support.networks import Spec, compiled, network, seeded_weights

pytestmark = pytest.mark.sim
IMAGES = 12


def program(**array: object) -> Program:
    """A convolution and an output, 3 x 4 pixels."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(2, 3, 2, 3)),), wide=True),
    )
    return compiled(network((1, 3, 4), layers), 2, 2, **array)


def emitted(folder: Path, **array: object) -> Bundle:
    """A bundle, beside images and results as the C++ program reads them."""
    made = program(**array)
    images = random_images(IMAGES, made.network.image_limits, seed=3)
    bundle = emit_bundle(made, images, None, folder / "bundle")
    results = logits(bundle.network, images)
    words = [results[e.name].reshape(IMAGES, -1) for e in bundle.manifest.layers if e.wide]
    images.astype("<i4").tofile(folder / "images.bin")
    np.concatenate(words, axis=1).astype("<i4").tofile(folder / "results.bin")
    return bundle


def soak(bundle: Bundle, model: Path, count: int, seed: int = 1) -> subprocess.CompletedProcess[str]:
    files = [str(bundle.folder.parent / f"{name}.bin") for name in ("images", "results")]
    command = [str(model), "soak", *files, str(count), str(seed)]
    return subprocess.run(command, cwd=bundle.folder, check=False, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return emitted(tmp_path_factory.mktemp("driven"))


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Path:
    """Compiling it also holds the C code against every warning."""
    return build_model(bundle, bundle.folder.parent / "model")


class Pipe:
    """The C++ program as a bus, one command a line."""

    def __init__(self, bundle: Bundle, model: Path) -> None:
        command = [str(model), "serve", str(bundle.folder.parent / "images.bin")]
        self.process = subprocess.Popen(
            command, cwd=bundle.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: object) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def read32(self, offset: int, /) -> int:
        return int(self.ask("read", offset))

    def write32(self, offset: int, value: int, /) -> None:
        self.ask("write", offset, value)


@pytest.fixture
def pipe(bundle: Bundle, model: Path) -> Iterator[Pipe]:
    made = Pipe(bundle, model)
    yield made
    made.process.communicate(timeout=60)


def test_random_traffic_and_resets(bundle: Bundle, model: Path) -> None:
    done = soak(bundle, model, 60)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["results"] >= 60
    assert facts["resets"] > 5
    assert facts["dropped"] > 0


def test_a_wrong_word_is_found(bundle: Bundle, model: Path, tmp_path: Path) -> None:
    results = np.fromfile(bundle.folder.parent / "results.bin", "<i4")
    results[-1] += 1
    results.tofile(tmp_path / "results.bin")
    shutil.copyfile(bundle.folder.parent / "images.bin", tmp_path / "images.bin")
    command = [str(model), "soak", str(tmp_path / "images.bin"), str(tmp_path / "results.bin"), "200", "1"]
    done = subprocess.run(command, cwd=bundle.folder, check=False, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"a result is wrong: episode \d+, result \d+, cycle \d+\n", done.stderr)


def test_the_python_driver_makes_the_same_calls(bundle: Bundle, pipe: Pipe) -> None:
    driver = Driver(manifest=bundle.manifest, bus=pipe)
    driver.check()
    driver.set_control(run=False)
    pipe.ask("send", 3)
    pipe.ask("tick", 500)
    assert (driver.read("FRAMES_IN"), driver.read("FRAMES_OUT"), pipe.ask("take")) == (1, 0, "")
    with pytest.raises(TimeoutError, match="1 images were not computed within 5 polls"):
        driver.wait(1, polls=5)
    driver.set_control()
    driver.wait(1, polls=1000)
    pipe.ask("tick", 100)
    want = logits(bundle.network, bundle.images[3:4])["b"].reshape(-1)
    assert [int(word) for word in pipe.ask("take").split()] == want.tolist()
    assert driver.read("CYCLES") == bundle.manifest.cycles.image
    driver.wait(2**32 - 5, polls=1)  # counters wrap: that is behind
    driver.flush()
    driver.clear_status()
    assert driver.read("STATUS") == 0
    with pytest.raises(ConfigError, match="in ROMs, there is no base"):
        driver.set_base(0)


class Words:
    """Registers that read what the manifest says, but for some."""

    def __init__(self, bundle: Bundle, **changed: int) -> None:
        self.words = {entry.offset: changed.get(entry.name, entry.value or 0) for entry in bundle.manifest.registers}
        self.written: list[tuple[int, int]] = []

    def read32(self, offset: int, /) -> int:
        return self.words[offset]

    def write32(self, offset: int, value: int, /) -> None:
        self.written.append((offset, value))


def test_another_design_is_refused(bundle: Bundle) -> None:
    Driver(manifest=bundle.manifest, bus=Words(bundle)).check()
    with pytest.raises(BundleError, match="register ID reads 0x00000000, that of this bundle 0x48575052"):
        Driver(manifest=bundle.manifest, bus=Words(bundle, ID=0)).check()
    with pytest.raises(BundleError, match="register HASH7 reads 0x00000005"):
        Driver(manifest=bundle.manifest, bus=Words(bundle, HASH7=5)).check()
    with pytest.raises(RuntimeError, match="external memory answered with an error"):
        Driver(manifest=bundle.manifest, bus=Words(bundle, STATUS=8)).wait(1, polls=2)


def test_images_are_packed_as_the_stream_has_them(bundle: Bundle) -> None:
    driver = Driver(manifest=bundle.manifest, bus=Words(bundle))
    image = np.array([0, 1, -1, 127, -128, *range(7)], np.int64).reshape(1, 3, 4)
    assert driver.pack(image) == bytes([0, 1, 255, 127, 128, *range(7)])
    with pytest.raises(ConfigError, match=r"an image of this design is \(1, 3, 4\), integers from -128 to 127"):
        driver.pack(image + 1)


#: Tries what needs no device: packing, classes, and what the header says. It prints what it found.
C_PROGRAM = """
#include <stdio.h>
#include "hwprm_driver.h"
static uint32_t words[64];
static uint32_t get(void *context, uint32_t offset) { (void)context; return words[offset / 4u]; }
static void put(void *context, uint32_t offset, uint32_t value) { (void)context; words[offset / 4u] = value; }
int main(void)
{
    const hwprm_device other = {0, get, put};
    const hwprm_device mapped = {words, hwprm_mmio_read32, hwprm_mmio_write32};
    const int32_t scores[4] = {-5, 7, 7, 2};
    int32_t image[HWPRM_IMAGE_BEATS];
    uint8_t beats[HWPRM_IMAGE_BEATS * HWPRM_BEAT_BYTES];
    const uint32_t hash[8] = {HWPRM_IS_HASH0, HWPRM_IS_HASH1, HWPRM_IS_HASH2, HWPRM_IS_HASH3,
                              HWPRM_IS_HASH4, HWPRM_IS_HASH5, HWPRM_IS_HASH6, HWPRM_IS_HASH7};
    printf("%d ", hwprm_check(&other));
    words[0] = HWPRM_IS_ID;
    printf("%d ", hwprm_check(&other));
    words[HWPRM_REG_VERSION / 4u] = HWPRM_IS_VERSION;
    printf("%d ", hwprm_check(&other));
    for (uint32_t i = 0; i < 8; i++) words[HWPRM_REG_HASH0 / 4u + i] = hash[i];
    printf("%d ", hwprm_check(&mapped));
    hwprm_set_control(&mapped, 1, 1);
    printf("%u ", (unsigned)words[HWPRM_REG_CONTROL / 4u]);
    words[HWPRM_REG_FRAMES_OUT / 4u] = 3;
    printf("%d %d ", hwprm_wait(&mapped, 3, 1), hwprm_wait(&mapped, 4, 2));
    words[HWPRM_REG_STATUS / 4u] = HWPRM_STATUS_MEMORY_ERROR;
    printf("%d ", hwprm_wait(&mapped, 4, 2));
    printf("%d %d ", hwprm_set_base(&mapped, 4097), hwprm_set_base(&mapped, 0x123456000ull));
    printf("%u\\n", (unsigned)hwprm_top_class(scores, 4));
    for (uint32_t i = 0; i < HWPRM_IMAGE_BEATS; i++) image[i] = -(int32_t)i;
    hwprm_pack_image(image, beats);
    for (uint32_t i = 0; i < sizeof beats; i++) printf("%u ", (unsigned)beats[i]);
    printf("\\n%u %u %d %d\\n", (unsigned)HWPRM_RESULT_WORDS, (unsigned)HWPRM_OUTPUT0_WORDS, HWPRM_INPUT0_MIN,
           HWPRM_INPUT0_MAX);
    return 0;
}
"""


def compiled_c(bundle: Bundle, folder: Path) -> list[str]:
    """Lines that the C program prints with the driver of `bundle`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None
    (folder / "try.c").write_text(C_PROGRAM)
    driver = bundle.folder / "driver"
    command = [compiler, *STRICT, f"-I{driver}", "try.c", str(driver / "hwprm_driver.c"), "-o", "try"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return subprocess.run([folder / "try"], check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


def test_the_c_driver_without_a_device(bundle: Bundle, tmp_path: Path) -> None:
    outcomes, beats, numbers = compiled_c(bundle, tmp_path)
    # ID, VERSION, HASH, then all right; CONTROL; there, late, memory error; no external memory twice; first of equals
    assert outcomes.split() == ["-1", "-2", "-3", "0", "3", "0", "-4", "-5", "-6", "-6", "1"]
    assert beats.split() == [str(-i & 255) for i in range(12)]
    assert numbers == "2 2 -128 127"


def test_the_c_driver_of_wide_activations_and_external_memory(tmp_path: Path) -> None:
    bundle = emitted(tmp_path, weights="axi")
    outcomes = compiled_c(bundle, tmp_path)[0].split()
    assert outcomes[8:10] == ["-6", "0"], "an address that is no multiple, one that is"


@pytest.mark.slow
@pytest.mark.parametrize("array", [{"weights": "axi"}, {"batch": 3}], ids=["external", "batch"])
def test_random_traffic_of_other_designs(array: dict[str, object], tmp_path: Path) -> None:
    bundle = emitted(tmp_path, **array)
    done = soak(bundle, build_model(bundle, tmp_path / "model"), 200)
    assert done.returncode == 0, done.stderr


def test_the_description_for_fusesoc_names_what_is_there(bundle: Bundle) -> None:
    text = (bundle.folder / "hwprm.core").read_text()
    named = set(re.findall(r"^ +- ((?:rtl|mem|tb|golden)/\S+)", text, re.MULTILINE))
    there = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    assert named == {name for name in there if re.match(r"rtl/|mem/|tb/|golden/.*\.mem", name)}
    assert "hwprm.core" in bundle.manifest.files
    assert {name for name in bundle.manifest.files if name.startswith("driver/")} == {
        "driver/hwprm_design.h",
        "driver/hwprm_driver.c",
        "driver/hwprm_driver.h",
    }


@pytest.mark.parametrize("target", ["lint", "sim"])
def test_fusesoc_runs_it(target: str, bundle: Bundle, tmp_path: Path) -> None:
    simulator = find_simulator("verilator")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "verilator").write_text(f'#!/bin/sh\nexec "{simulator.executable}" "$@"\n')
    (tools / "verilator").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = simulator.full_environment() | {"PATH": path, "HOME": str(tmp_path)}
    name = re.search(r"^name: (\S+)", (bundle.folder / "hwprm.core").read_text(), re.MULTILINE)
    assert name is not None
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(bundle.folder), "run", f"--target={target}"]
    done = subprocess.run(
        [*command, name[1]], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True, timeout=600
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    if target == "sim":
        assert re.search(r"hwprm: 1 of 1 images done after \d+ cycles", said), said

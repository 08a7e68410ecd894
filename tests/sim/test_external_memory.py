"""A bundle whose program lies in external memory: equal on two simulators, exact stalls, faults found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import BundleError, ConfigError
from hwprm.emission import emit_bundle
from hwprm.sources import array_of
from hwprm.verification import VerifyReport, verify_bundle
from hwprm.verification.simulators.tools import find_simulator
from tests.support.networks import small_lenet

pytestmark = pytest.mark.sim

ARRAY = ArrayConfig(rows=4, cols=3, weights="axi", axi_data_bits=64, axi_burst=4)
SLOW = MemoryConfig(latency=10, bandwidth="1/8")
IMAGE = "mem/external.bin"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    program = compile_network(small_lenet(), ARRAY)
    images = random_images(3, program.network.image_limits, seed=3)
    return emit_bundle(program, images, np.arange(3), tmp_path_factory.mktemp("external") / "bundle")


def bulk(folder: Path, work: Path, memory: MemoryConfig = SLOW) -> VerifyReport:
    config = VerifyConfig(sim="icarus", icarus_images=3, work=work, allow_edited=True, modes=("bulk",))
    return verify_bundle(folder, config, memory=memory)


def stalls(report: VerifyReport) -> dict[str, str]:
    """Of the memory that was given, not of the one that starves every layer."""
    return dict(next(case for case in report.cases if (case.mode, case.name) == ("bulk", "memory stalls")).properties)


def compute_stalls(bundle: Bundle) -> tuple[int, ...]:
    """At steady state."""
    return compile_network(bundle.network, array_of(bundle)).stalls(SLOW)


def edited(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, tmp_path / "edited"))


@pytest.mark.slow
def test_equal_on_both_simulators(bundle: Bundle, work: Path) -> None:
    config = VerifyConfig(sim="both", images=20, icarus_images=3, work=work, optimise=False)
    report = verify_bundle(bundle.folder, config, memory=SLOW)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted
    assert report.layer_cycles_simulated == report.layer_cycles_predicted
    steady = sum(compute_stalls(bundle))
    assert stalls(report)["stalls_predicted"] == stalls(report)["stalls_register"] == str(steady) != "0"


@pytest.mark.slow
def test_another_memory(bundle: Bundle, work: Path) -> None:
    """The same build; the time of the first burst shows at this latency."""
    report = bulk(bundle.folder, work, MemoryConfig(latency=300, bandwidth="2/3"))
    report.raise_on_failure()
    assert int(stalls(report)["stalls_predicted"]) > 0


def test_bundle_is_complete(bundle: Bundle) -> None:
    """No ROM image is left, and the array can be made again from the manifest."""
    assert [path.name for path in sorted((bundle.folder / "mem").iterdir())] == ["external.bin"]
    assert not (bundle.folder / "rtl" / "hwprm_rom.v").exists()
    again = compile_network(bundle.network, array_of(bundle))
    assert again.design_hash == bundle.manifest.design_hash
    assert again.external is not None
    assert again.external.data.tobytes() == (bundle.folder / IMAGE).read_bytes()
    assert f"{again.external.bytes} bytes" in (bundle.folder / "README.md").read_text()


def test_linters(bundle: Bundle, tmp_path: Path) -> None:
    verilator = find_simulator("verilator")
    sources = [str(path) for path in bundle.sources()]
    command = [str(verilator.executable), "--lint-only", "-Wno-WIDTH", "--top-module", "hwprm_top", *sources]
    done = subprocess.run(command, env=verilator.full_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, "%Warning" in done.stdout + done.stderr) == (0, False), done.stderr
    command = ["iverilog", "-g2005", "-Wall", "-s", "hwprm_top", "-o", str(tmp_path / "x.vvp"), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_flipped_byte(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    folder = edited(bundle, tmp_path)
    image = bytearray((folder / IMAGE).read_bytes())
    at = max(i for i, byte in enumerate(image) if byte)
    image[at] ^= 0x40
    (folder / IMAGE).write_bytes(image)
    with pytest.raises(BundleError, match=rf"{IMAGE} was edited"):
        Bundle.load(folder)
    report = bulk(folder, work)
    assert report.mismatches > 0
    assert re.match(r"image \d, layer 'fc2', channel ", report.failures[0].failure or "")


def test_short_image_file(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    folder = edited(bundle, tmp_path)
    (folder / IMAGE).write_bytes((folder / IMAGE).read_bytes()[:-1])
    assert "cannot read all of the external image" in (bulk(folder, work).failures[0].failure or "")


def test_wrong_prediction_is_found(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    """A bundle that promises more bursts on their way than its reader asks for."""
    folder = edited(bundle, tmp_path)
    path = folder / "program" / "program.json"
    plain = json.loads(path.read_text())
    plain["hardware"]["external"]["outstanding"] *= 2
    path.write_text(json.dumps(plain))
    (failed,) = bulk(folder, work, MemoryConfig(latency=300)).failures
    assert failed.name == "memory stalls"
    assert " starts in cycle " in (failed.failure or "")


def test_layer_mode_is_refused(bundle: Bundle, work: Path) -> None:
    with pytest.raises(ConfigError, match=r"layer mode cuts ROM images.*--modes bulk --trace-images 1"):
        verify_bundle(bundle.folder, VerifyConfig(sim="icarus", work=work, modes=("layers",)))


@pytest.mark.slow
def test_every_layer_in_bulk_mode(bundle: Bundle, work: Path) -> None:
    config = VerifyConfig(sim="icarus", icarus_images=2, work=work, modes=("bulk",), trace_images=2)
    report = verify_bundle(bundle.folder, config, memory=SLOW)
    report.raise_on_failure()
    layers = [case for case in report.cases if case.name.startswith("layer ") and case.mode == "bulk"]
    assert len(layers) == len(bundle.manifest.layers)
    assert all(dict(case.properties)["cycles_simulated"] not in ("0", "None") for case in layers)

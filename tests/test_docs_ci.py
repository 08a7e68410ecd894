"""The workflow for users runs as it stands: without torch, with kept simulators, red when it must be."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.conftest import Run

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "verify.yml").read_text())
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["verify"]["steps"]


def _step(name: str) -> dict[str, Any]:
    return next(step for step in STEPS if step.get("name") == name)


def test_it_keeps_the_simulators_and_publishes_whatever_happened() -> None:
    kept, verify, publish = _step("kept simulators"), _step("verify"), _step("publish")
    assert kept["with"]["path"] == "~/.cache/hwprm"
    assert "hashFiles('bundle/manifest.sha256')" in kept["with"]["key"]
    assert publish["if"] == "always()"
    assert f"--junit {publish['with']['path']}" in verify["run"]
    assert STEPS.index(kept) < STEPS.index(verify) < STEPS.index(publish)


def test_the_container_has_every_program_that_is_needed_and_verifies() -> None:
    text = (ROOT / "examples" / "ci" / "Containerfile").read_text().replace("\\\n", " ")
    lines = dict(line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#"))
    needed = re.findall(r"^#tool ([\w+]+)>=", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert set(needed) == {"python", "c++", "make", "perl"}
    packages = re.search(r"apt-get install (.*)", text)
    assert packages and {"python3", "libpython3-dev", "g++", "make", "perl"} <= set(packages[1].split())
    command = [*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])]
    assert command == _step("verify")["run"].replace("--images 20 ", "").split()


@pytest.fixture
def runner(tmp_path: Path, work: Path, run: Run, tiny_model: Path, tiny_data: Path) -> Iterator[dict[str, str]]:
    """A checkout with a bundle and a wheel, and the environment of a fresh Python that has no torch."""
    checkout, venv, home = tmp_path / "checkout", tmp_path / "venv", tmp_path / "home"
    checkout.mkdir()
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(checkout), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    options = {"data": tiny_data, "rows": 2, "cols": 2}
    assert run("compile", tiny_model, "-o", checkout / "bundle", **options).exit_code == 0
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    site = next((venv / "lib").glob("python*/site-packages"))
    # Dependencies come from ours, so that no network is needed; torch does not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "torch.py").write_text("raise ModuleNotFoundError('no torch here', name='torch')\n")
    (home / ".cache").mkdir(parents=True)
    (home / ".cache" / "hwprm").symlink_to(work)
    left = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "HOME": str(home)}
    paths = {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "CHECKOUT": str(checkout)}
    yield left | offline | paths | WORKFLOW["env"]
    shutil.rmtree(venv)


@pytest.mark.sim
@pytest.mark.slow
def test_its_steps_run(runner: dict[str, str], work: Path) -> None:
    checkout = Path(runner["CHECKOUT"])
    assert [step["name"] for step in STEPS if "run" in step] == ["install", "verify"]
    _good(runner, _step("install")["run"])
    _good(runner, _step("verify")["run"])
    cases = list(ElementTree.parse(checkout / "junit.xml").iter("testcase"))
    assert cases and not [case for case in cases if case.find("failure") is not None or case.find("error") is not None]

    built = {path: path.stat().st_mtime_ns for path in (work / "builds").glob("*/*") if path.is_file()}
    _good(runner, _step("verify")["run"])
    again = {path for path in (work / "builds").glob("*/*") if path.is_file()}
    assert built and again == set(built), "the second run builds nothing"

    rom = next((checkout / "bundle" / "mem").glob("weights*.mem"))
    rom.write_text(rom.read_text().replace("1", "2"))
    done = _shell(runner, _step("verify")["run"])
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error" in {item.tag for item in ElementTree.parse(checkout / "junit.xml").iter()}


def _good(runner: dict[str, str], command: str) -> None:
    done = _shell(runner, command)
    assert done.returncode == 0, done.stdout + done.stderr


def _shell(runner: dict[str, str], command: str) -> subprocess.CompletedProcess[str]:
    """As GitHub runs a step: bash, stopping at the first failure."""
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command]
    return subprocess.run(words, cwd=runner["CHECKOUT"], env=runner, capture_output=True, text=True, check=False)

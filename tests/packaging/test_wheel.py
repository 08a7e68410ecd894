"""The wheel in a clean environment outside the checkout: complete, and able to compile and simulate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from hwprm.model import Model, Stage
from tests.conftest import tiny_graph

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("hwprm-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel; its dependencies come from ours, so that no network is needed."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    executable = venv / "bin" / "python"
    install = [str(executable), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    site = next((venv / "lib").glob("python*/site-packages"))
    # The wheel's folder comes first on the path, and the editable checkout's finder is not in a .pth of ours.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executable


def _run(python: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    command = [str(python), "-m", "hwprm.cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_wheel_carries_what_is_not_python(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("rtl_templates", "sim"):
        files = (path for path in (ROOT / kind).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        beside = {path.relative_to(ROOT).as_posix() for path in files}
        assert beside, kind
        assert {f"hwprm/_data/{name}" for name in beside} <= names
    assert "hwprm/_data/constraints.txt" in names
    assert "hwprm/data/embedded/mnist_subset.gz" in names
    assert {"hwprm/reporting/page/page.html.j2", "hwprm/reporting/page/page.css"} <= names
    assert all(name.startswith(("hwprm/", "hwprm-")) for name in names), "the wheel installs something else too"


@pytest.mark.sim
@pytest.mark.slow
def test_compile_and_simulate(python: Path, tmp_path: Path, tiny_data: Path) -> None:
    where = subprocess.run(
        [str(python), "-c", "import hwprm; print(hwprm.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(python.parent.parent) in where.stdout, "the checkout was imported, not the wheel"
    Model(graph=tiny_graph(), stage=Stage.DENSE).save(tmp_path / "tiny")
    options = ("--data", tiny_data, "--rows", 3, "--cols", 2)
    made = _run(python, tmp_path, "compile", "tiny", *options, "-o", "bundle", "--json")
    assert made.returncode == 0, made.stderr
    done = _run(python, tmp_path, "verify", "bundle", "--images", 4, "--json", "--work", tmp_path / "work")
    assert done.returncode == 0, done.stderr + done.stdout
    facts = json.loads(done.stdout)["verify"]
    assert facts["mismatches"] == 0
    assert facts["values_compared"] > 0
    drawn = _run(python, tmp_path, "report", "bundle", "--html", "page.html", "--quiet")
    assert drawn.returncode == 0, drawn.stderr
    assert "<h2>Memory map</h2>" in (tmp_path / "page.html").read_text()


USER = """
import hwprm
from hwprm.config import ArrayConfig, DataConfig

model = hwprm.prune(hwprm.train("lenet5", "mnist"), "mnist", hwprm.PruneOptions(stop_after="compact"))
net: hwprm.IntegerNetwork = hwprm.quantize(model, DataConfig(name="x.npz"), hwprm.QuantizeConfig(weight_bits=6))
array = ArrayConfig(rows=4, cols=4, weights="axi", axi_burst=16)
cycles: int = hwprm.estimate(net, array).total
bundle = hwprm.compile(net, out="bundle", array=array)
good: bool = hwprm.verify(bundle, hwprm.VerifyConfig(images=10)).ok
"""
#: Each line is wrong.
WRONG = """
hwprm.estimate(net, (8, 8))
ArrayConfig(pipeline="fats")
hwprm.TrainConfig(optimiser="adam", epochs=2)
hwprm.TrainConfig(epoch=2)
cycles = hwprm.verify(bundle).net
"""


@pytest.mark.slow
def test_types_that_users_see(python: Path, tmp_path: Path) -> None:
    """mypy finds the types of the installed package, says nothing about a good program, and each fault of another."""
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "wrong.py").write_text(USER + WRONG)
    # What torch and matplotlib look like takes mypy minutes, and says nothing about the package.
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-torch.*,matplotlib.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--python-executable", str(python), "user.py", "wrong.py"]
    left = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(command, cwd=tmp_path, env=left, capture_output=True, text=True, check=False)
    first = USER.count("\n") + 1
    lines = [line.split(":")[:2] for line in done.stdout.splitlines() if ": error:" in line]
    assert lines == [["wrong.py", str(first + i)] for i in range(1, WRONG.count("\n"))], done.stdout + done.stderr

"""Public names are few, sorted, documented, and really there."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import hwprm
from hwprm.cli.app import VERBS

PACKAGE = Path(hwprm.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py" and "_data" not in path.parts
)


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as ruff's RUF022 sorts."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_true(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    names = getattr(module, "__all__", [])
    assert list(names) == sorted(names, key=_rank)
    assert all(hasattr(module, item) for item in names)


def test_verbs_are_callable_even_behind_folders_of_the_same_name() -> None:
    code = "import hwprm.intnet.reference, hwprm; hwprm.intnet.reference.run; assert callable(hwprm.verify)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", VERBS)
def test_verbs_are_documented_functions(name: str) -> None:
    from hwprm import api, exploration, pipeline

    place = {"demo": pipeline, "repro": pipeline, "explore": exploration}.get(name, api)
    assert callable(getattr(hwprm, name))
    assert inspect.signature(getattr(hwprm, name)) == inspect.signature(getattr(place, name))
    assert getattr(place, name).__doc__


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match=r"^module 'hwprm' has no attribute 'purne'$"):
        _ = hwprm.purne


def test_import_is_light() -> None:
    code = "import sys, hwprm; sys.exit(bool({'numpy', 'torch', 'amaranth', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_is_light() -> None:
    code = "import sys; from hwprm.cli.app import register; register(); "
    code += "sys.exit(bool({'numpy', 'torch', 'amaranth', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_api_stands_below_the_pipeline() -> None:
    code = "".join(path.read_text() for path in (PACKAGE / "api").glob("*.py"))
    assert "import pipeline" not in code and "hwprm.pipeline import" not in code, "the pipeline imports the api"

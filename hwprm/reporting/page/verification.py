"""The JUnit results that lie beside a bundle, if they are of this bundle."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprm.core.errors import InputError

__all__ = ["RESULTS", "Results", "Suite", "read_results"]

#: Name of the file, as the main job writes it.
RESULTS = "junit.xml"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One simulator in one mode: test cases, integers compared, and how many of each were wrong."""

    simulator: str
    mode: str
    tests: int
    values: int
    wrong: int
    seconds: float
    #: ``test: message`` of each failed case.
    failures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Results:
    """A verification as JUnit keeps it. Simulated cycles are None, or lack layers, where no case counted them."""

    simulators: str
    images: int
    seed: int
    suites: tuple[Suite, ...]
    cycles: int | None
    layer_cycles: Mapping[str, int]

    def facts(self) -> dict[str, Any]:
        """The ``verify`` part of a report (docs/report.md)."""
        values, wrong = (sum(getattr(suite, key) for suite in self.suites) for key in ("values", "wrong"))
        failures = [
            {"simulator": suite.simulator, "mode": suite.mode, "failure": text}
            for suite in self.suites
            for text in suite.failures
        ]
        return {
            "simulator": self.simulators,
            "images": self.images,
            "values_compared": values,
            "mismatches": wrong,
            "failures": failures,
            "seed": self.seed,
            "ok": values > 0 and wrong == 0 and not failures,
        }


def read_results(path: Path, design_hash: str) -> Results | None:
    """What `hwprm verify --junit` wrote to `path`; None when there is nothing, or it is of another design.

    Raises InputError when the file cannot be understood.
    """
    if not path.is_file():
        return None
    try:
        suites = ET.parse(path).getroot().findall("testsuite")
        if not suites or _properties(suites[0]).get("design_hash") != design_hash:
            return None
        return _results(suites)
    except (OSError, ET.ParseError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); verify the bundle again, or move the file away") from error


def _results(suites: list[ET.Element]) -> Results:
    origin = _properties(suites[0])
    cycles: int | None = None
    layers: dict[str, int] = {}
    for case in (case for suite in suites for case in suite.findall("testcase")):
        simulated = _properties(case).get("cycles_simulated", "None")
        if simulated == "None":
            continue
        name = case.attrib["name"]
        if name.startswith("layer "):
            layers[name.removeprefix("layer ")] = int(simulated)
        else:
            cycles = int(simulated)
    return Results(
        simulators=origin["simulators"],
        images=int(origin["images"]),
        seed=int(origin["seed"]),
        suites=tuple(_suite(suite) for suite in suites),
        cycles=cycles,
        layer_cycles=layers,
    )


def _suite(suite: ET.Element) -> Suite:
    _, simulator, mode = suite.attrib["name"].rsplit(".", 2)
    cases = [(case, _properties(case), case.find("failure")) for case in suite.findall("testcase")]
    return Suite(
        simulator=simulator,
        mode=mode,
        tests=len(cases),
        values=sum(int(properties["values"]) for _, properties, _ in cases),
        wrong=sum(int(properties["wrong"]) for _, properties, _ in cases),
        seconds=float(suite.attrib["time"]),
        failures=tuple(
            f"{case.attrib['name']}: {failure.attrib['message']}" for case, _, failure in cases if failure is not None
        ),
    )


def _properties(element: ET.Element) -> dict[str, str]:
    return {entry.attrib["name"]: entry.attrib["value"] for entry in element.findall("properties/property")}

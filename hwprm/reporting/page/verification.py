"""The JUnit results that lie beside a bundle, if they are of this bundle."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprm.core.errors import InputError
from hwprm.reporting.facts.facts import coverage_of

__all__ = ["NETLIST_RESULTS", "RESULTS", "Results", "Suite", "read_results"]

#: Name of the file, as the main job writes it; and of one about the netlist that was made of the bundle.
RESULTS, NETLIST_RESULTS = "junit.xml", "junit-netlist.xml"
#: What a suite of coverage is called behind the network's name.
COVERAGE = "reference.coverage"


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
    #: Which goals the images reached, layer by layer; none where the file does not say.
    coverage: tuple[dict[str, Any], ...] = ()
    #: Of whose cells the netlist is that was simulated, if it was one.
    netlist: str | None = None

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
            **({"coverage": coverage_of(list(self.coverage))} if self.coverage else {}),
            "ok": values > 0 and wrong == 0 and not failures,
        }


def read_results(path: Path, design_hash: str, *, netlist: bool = False) -> Results | None:
    """What `hwprm verify --junit` wrote to `path`; None when there is nothing, or it is of another design, or is not of
    a `netlist` where one is wanted, or the other way round.

    Raises InputError when the file cannot be understood.
    """
    if not path.is_file():
        return None
    try:
        suites = ET.parse(path).getroot().findall("testsuite")
        origin = _properties(suites[0]) if suites else {}
        if origin.get("design_hash") != design_hash or ("netlist" in origin) != netlist:
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
        suites=tuple(_suite(suite) for suite in suites if not suite.attrib["name"].endswith(f".{COVERAGE}")),
        cycles=cycles,
        layer_cycles=layers,
        coverage=tuple(
            _coverage(case)
            for suite in suites
            if suite.attrib["name"].endswith(f".{COVERAGE}")
            for case in suite.findall("testcase")
        ),
        netlist=origin.get("netlist"),
    )


def _coverage(case: ET.Element) -> dict[str, Any]:
    """What `hwprm.reporting.facts.facts.coverage_facts` says of a layer."""
    found = _properties(case)
    filters = {}
    for name, text in found.items():
        if name.startswith("filters "):
            reached, of, unreachable = (int(word) for word in text.replace(",", "").split() if word.isdecimal())
            filters[name.removeprefix("filters ")] = {"of": of, "reached": reached, "unreachable": unreachable}
    return {
        "name": case.attrib["name"].removeprefix("layer "),
        **{key: int(found[key]) for key in ("goals", "reached", "compared")},
        "unreachable": int(found["ruled_out"]),
        "open": int(found["left"]),
        "names": {key: found[key].split("; ") if found[key] else [] for key in ("unreachable", "open")},
        "filters": filters,
    }


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

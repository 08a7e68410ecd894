"""JUnit XML of a verification."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from hwprm.core.files import write_file
from hwprm.verification.results.report import VerifyReport

__all__ = ["write_junit"]

#: Characters that XML 1.0 cannot hold, such as what a crashing simulator prints.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


def write_junit(report: VerifyReport, path: Path) -> None:
    """Write one test suite per simulator and mode, one test case per layer and image set.

    Raises InputError when `path` cannot be written.
    """
    root = ET.Element("testsuites", name=f"hwprm verify {report.net}")
    suites: dict[str, ET.Element] = {}
    for case in report.cases:
        name = f"{report.net}.{case.simulator}.{case.mode}"
        suite = suites.get(name)
        if suite is None:
            suite = suites[name] = ET.SubElement(root, "testsuite", name=name)
            _properties(suite, _origin(report))
        element = ET.SubElement(suite, "testcase", classname=name, name=case.name, time=f"{case.seconds:.3f}")
        counts = (("values", str(case.values)), ("wrong", str(case.wrong)))
        _properties(element, (("seed", str(report.seed)), *counts, *case.properties))
        if case.failure:
            text = FORBIDDEN.sub("?", case.failure)
            failure = ET.SubElement(element, "failure", message=text.splitlines()[0])
            failure.text = text
    for suite in suites.values():
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
        suite.set("errors", "0")
        suite.set("skipped", "0")
        suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, 0)) for suite in suites.values())))
    ET.indent(root)
    write_file(path, ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _origin(report: VerifyReport) -> tuple[tuple[str, str], ...]:
    """What was verified, with what: each suite can stand alone."""
    return (
        ("seed", str(report.seed)),
        ("simulators", ", ".join(report.simulators)),
        ("images", str(report.images)),
        ("design_hash", report.design_hash),
    )


def _properties(parent: ET.Element, pairs: tuple[tuple[str, str], ...]) -> None:
    element = ET.SubElement(parent, "properties")
    for name, value in pairs:
        ET.SubElement(element, "property", name=name, value=value)

"""JUnit XML of a verification, however it ends.

The file is red from the first moment: before anything else happens an error case, "not finished", takes the place of
whatever an earlier run left, so that a run that is killed cannot be taken for a green one. The end replaces it.
"""

from __future__ import annotations

import re
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from hwprm.core.errors import HwprmError
from hwprm.core.files import write_file
from hwprm.verification.results.report import Case, VerifyReport

__all__ = ["write_error", "write_junit", "write_unfinished"]

#: Characters that XML 1.0 cannot hold, such as what a crashing simulator prints.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")

NOTHING = "nothing was compared"


def write_junit(report: VerifyReport, path: Path) -> None:
    """Write one test suite per simulator and mode, one test case per layer and image set.

    Raises InputError when `path` cannot be written.
    """
    root = ET.Element("testsuites", name=_clean(f"hwprm verify {report.net}"))
    cases = report.cases
    if not report.ok and not report.failures:  # no case says why
        cases = (*cases, Case(simulator="verdict", mode="verify", name="values compared", failure=NOTHING))
    suites: dict[str, ET.Element] = {}
    for case in (*cases, *_coverage(report)):
        name = _clean(f"{report.net}.{case.simulator}.{case.mode}")
        suite = suites.get(name)
        if suite is None:
            suite = suites[name] = ET.SubElement(root, "testsuite", name=name)
            _properties(suite, _origin(report))
        element = ET.SubElement(suite, "testcase", classname=name, name=_clean(case.name), time=f"{case.seconds:.3f}")
        counts = (("values", str(case.values)), ("wrong", str(case.wrong)))
        _properties(element, (("seed", str(report.seed)), *counts, *case.properties))
        if case.failure:
            _add(element, "failure", case.failure)
    _write(root, path)


def write_unfinished(net: str, path: Path) -> None:
    """Write what stands in `path` while the verification of `net` runs, and for good when it is killed."""
    _write_one(net, "not finished: the verification is at work, or was killed", "unfinished", path)


def _coverage(report: VerifyReport) -> Iterator[Case]:
    """A case for each input and layer, none of which fails: what no image reached is told, and no fault."""
    for layer in report.coverage:
        filters = [
            (f"filters {count.kind}", f"{count.reached} of {count.filters}, {count.unreachable} unreachable")
            for count in layer.filters
        ]
        counts = [("goals", layer.goals), ("reached", layer.reached), ("compared", layer.compared)]
        counts += [("ruled_out", layer.ruled_out), ("left", layer.left)]
        names = [("unreachable", "; ".join(layer.unreachable)), ("open", "; ".join(layer.open))]
        yield Case(
            simulator="reference",
            mode="coverage",
            name=f"layer {layer.name}",
            properties=(*((name, str(count)) for name, count in counts), *names, *filters),
        )


def write_error(net: str, error: BaseException, path: Path) -> None:
    """Write that the verification of `net` ended with `error` instead of a report."""
    if isinstance(error, HwprmError):
        text = str(error)
    elif isinstance(error, KeyboardInterrupt):
        text = "interrupted"
    else:
        lines = "".join(traceback.format_exception(error))
        text = f"a fault in hwprm itself: {type(error).__name__}: {error}\n{lines}"
    _write_one(net, text, type(error).__name__, path)


def _write_one(net: str, text: str, kind: str, path: Path) -> None:
    root = ET.Element("testsuites", name=_clean(f"hwprm verify {net}"))
    name = _clean(f"{net}.verify")
    suite = ET.SubElement(root, "testsuite", name=name)
    case = ET.SubElement(suite, "testcase", classname=name, name="verify", time="0")
    _add(case, "error", text).set("type", _clean(kind.lstrip("_")))
    _write(root, path)


def _write(root: ET.Element, path: Path) -> None:
    """Add the counts to `root` and write it."""
    for suite in root.findall("testsuite"):
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        for kind in ("failure", "error"):
            suite.set(f"{kind}s", str(sum(case.find(kind) is not None for case in cases)))
        suite.set("skipped", "0")
        suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, 0)) for suite in root.findall("testsuite"))))
    ET.indent(root)
    write_file(path, ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _add(case: ET.Element, kind: str, text: str) -> ET.Element:
    """A failure or error of `case`, the first line of `text` being its message."""
    text = _clean(text)
    element = ET.SubElement(case, kind, message=(text.splitlines() or [""])[0])
    element.text = text
    return element


def _clean(text: str) -> str:
    return FORBIDDEN.sub("?", text)


def _origin(report: VerifyReport) -> tuple[tuple[str, str], ...]:
    """What was verified, with what: each suite can stand alone."""
    return (
        ("seed", str(report.seed)),
        ("simulators", ", ".join(report.simulators)),
        ("images", str(report.images)),
        ("design_hash", report.design_hash),
        *((("netlist", report.netlist),) if report.netlist else ()),
    )


def _properties(parent: ET.Element, pairs: tuple[tuple[str, str], ...]) -> None:
    element = ET.SubElement(parent, "properties")
    for name, value in pairs:
        ET.SubElement(element, "property", name=_clean(name), value=_clean(value))

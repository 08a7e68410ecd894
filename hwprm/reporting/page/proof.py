"""How far the proof of a build reaches: float model, integers, program, RTL, netlist, and what joins them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hwprm.reporting.page.content import Content
from hwprm.reporting.page.parts import Column, Section, Table
from hwprm.reporting.page.verification import NETLIST_RESULTS, Results

__all__ = ["coverage_tables", "proof_section"]

Facts = Mapping[str, Any]
Row = tuple[str, str, str]
#: What stands where nobody showed anything.
NOTHING = "not shown"


def proof_section(content: Content) -> Iterator[Section]:
    """A row for each link: whether it was shown, and by which step or command. Nothing where there is no design."""
    if content.bundle is None:
        return
    columns = tuple(Column(title=title, numeric=False) for title in ("Link", "Shown", "By"))
    rows = (_integers(content), _program(content), _rtl(content), _netlist(content))
    lead = (
        "Each link by itself: a later one says nothing about those before it. A comparison holds for the images that "
        "were compared, integer by integer, without tolerance; floats and integers differ, and how much is measured."
    )
    table = Table(caption="From the float model to the netlist", columns=columns, rows=rows)
    yield Section(id="proof", title="How far the proof reaches", lead=lead, parts=(table,))


def _integers(content: Content) -> Row:
    bundle = content.bundle
    assert bundle
    found, by = [], []
    if quality := content.quality:
        last = quality["layers"][-1]
        ratio = "no noise" if last["sqnr_db"] is None else f"{last['sqnr_db']:.1f} dB signal to noise"
        found.append(f"measured, not equal: {ratio} at the output, {quality['images']:,} test images")
        by.append("quantisation")
    accuracy = content.facts.get("accuracy", {})
    if "integer" in accuracy and len(accuracy) > 1:
        before = list(accuracy)[-2]
        found.append(f"accuracy {accuracy[before]:.2f} % {before}, {accuracy['integer']:.2f} % integer")
    if images := bundle.manifest.checks.crosscheck_images:
        if not found:
            found.append("how much they differ is not kept in a bundle")
        found.append(f"the integers computed twice, in torch and in numpy, equal on {images} images")
        by.append("the quantiser, before the bundle was made")
    return ("float model → integers", "; ".join(found) or NOTHING, _by(content, "quantize", by, "hwprm quantize"))


def _program(content: Content) -> Row:
    assert content.bundle
    checks = content.bundle.manifest.checks
    link = "integers → program"
    if not checks.passes:
        return (link, "no pass of the compiler was compared", _by(content, "compile", [], "hwprm compile"))
    found = f"equal in every integer behind {', '.join(checks.passes)}, {checks.pass_images} sample images"
    return (link, found, _by(content, "compile", ["the compiler, before it wrote the bundle"], ""))


def _rtl(content: Content) -> Row:
    link, verify = "program → RTL", content.facts.get("verify")
    if not verify:
        return (link, NOTHING, "hwprm verify BUNDLE --junit junit.xml, beside the bundle, would")
    return (link, _compared(verify), _by(content, "verify", [f"hwprm verify, seed {verify['seed']}"], ""))


def _netlist(content: Content) -> Row:
    assert content.bundle
    manifest, link = content.bundle.manifest, "RTL → netlist"
    results: Results | None = content.results if manifest.netlist else content.netlist_results
    if results:
        by = f"hwprm verify of the netlist in {manifest.target if manifest.netlist else results.netlist} cells"
        return (link, _compared(results.facts()), f"{by}, seed {results.seed}")
    if manifest.netlist:
        return (link, NOTHING, "hwprm verify BUNDLE --junit junit.xml, beside the bundle, would")
    return (
        link,
        NOTHING,
        f"hwprm synth BUNDLE --netlist NETLIST, then hwprm verify NETLIST --junit {NETLIST_RESULTS}, beside it, would",
    )


def _compared(verify: Facts) -> str:
    """What a verification found, in a sentence."""
    verdict = "equal in every integer" if verify["ok"] else "NOT equal"
    words = f"{verdict}: {verify['values_compared']:,} integers of {verify['images']:,} images, {verify['simulator']}"
    if coverage := verify.get("coverage"):
        words += (
            f"; {coverage['reached']:,} of {coverage['goals']:,} goals reached, "
            f"{coverage['unreachable']:,} unreachable, {coverage['open']:,} open"
        )
    return words


def _by(content: Content, step: str, otherwise: Sequence[str], would: str) -> str:
    """Who showed a link: the step of this run, or `otherwise`; what would where nobody did."""
    seconds = content.facts.get("seconds", {}).get(step)
    if seconds is not None or "options" in content.facts:
        took = "" if seconds is None else f", {seconds:.1f} s"
        return f"step {step} of this run{took}"
    return "; ".join(otherwise) or f"{would} would"


def coverage_tables(coverage: Facts) -> Iterator[Table]:
    """What the images reached: a row a layer; and every goal that they did not, folded."""
    heads = ("Goals", "Reached", "... where every layer is compared", "Unreachable", "Open")
    keys = ("goals", "reached", "compared", "unreachable", "open")
    clamps = {"below": "Filters clamped below", "above": "Filters clamped above"}
    rows = [
        (
            row["name"],
            *(f"{row[key]:,}" for key in keys),
            *(_filters(row["filters"].get(kind)) for kind in clamps),
        )
        for row in coverage["layers"]
    ]
    rows.append(("all", *(f"{coverage[key]:,}" for key in keys), "", ""))
    columns = (Column(title="Layer", numeric=False), *(Column(title=head) for head in (*heads, *clamps.values())))
    caption = "What the images reach: clamps, ends of ranges, rounding, pool decisions, codes of tables, signs"
    yield Table(caption=caption, columns=columns, rows=tuple(rows), total=True)
    missed = tuple(
        (row["name"], "; ".join(row["names"]["unreachable"]), "; ".join(row["names"]["open"]))
        for row in coverage["layers"]
        if row["unreachable"] or row["open"]
    )
    if missed:
        titles = ("Layer", "Unreachable by the bound", "Open")
        columns = tuple(Column(title=title, numeric=False) for title in titles)
        yield Table(caption="Goals that no image reached", columns=columns, rows=missed, folded=True)


def _filters(count: Facts | None) -> str:
    if count is None:
        return ""
    out = f", {count['unreachable']:,} cannot" if count["unreachable"] else ""
    return f"{count['reached']:,} of {count['of']:,}{out}"

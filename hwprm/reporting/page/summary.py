"""The frame of a page: the figures at its top, the verification, how the run was made, and the order of sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwprm.bundle.manifest import ChecksEntry
from hwprm.reporting.page.content import Content
from hwprm.reporting.page.hardware import cycles_section, memory_section, rom_section
from hwprm.reporting.page.parts import Column, Section, Table, Tile
from hwprm.reporting.page.proof import coverage_tables, proof_section
from hwprm.reporting.page.pruning import (
    accuracy_section,
    matrices_section,
    network_section,
    removals_section,
    waterfall_section,
)
from hwprm.reporting.page.quality import quality_section
from hwprm.reporting.page.silicon import silicon_section
from hwprm.reporting.page.training import training_section

__all__ = ["Page", "curves_page", "page_of"]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, ready for the template."""

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    footer: str


def page_of(content: Content) -> Page:
    """Every section that `content` has something for."""
    makers = (
        network_section,
        matrices_section,
        waterfall_section,
        removals_section,
        accuracy_section,
        training_section,
        quality_section,
        cycles_section,
        memory_section,
        rom_section,
        _silicon,
        verification_section,
        proof_section,
        run_section,
    )
    design = content.bundle.manifest.design_hash if content.bundle else ""
    return Page(
        title=content.facts["net"],
        subtitle=_subtitle(content),
        tiles=tuple(_tiles(content)),
        sections=tuple(section for make in makers for section in make(content)),
        footer=f"design {design}" if design else "",
    )


def _silicon(content: Content) -> Iterator[Section]:
    yield from silicon_section(content.silicon)


def curves_page(content: Content) -> Page:
    """The curves of `content` alone."""
    return Page(
        title=content.facts["net"],
        subtitle=_subtitle(content),
        tiles=(),
        sections=tuple(training_section(content)),
        footer="",
    )


def _subtitle(content: Content) -> str:
    facts = content.facts
    words = []
    if array := facts.get("array"):
        words.append(f"{array['rows']} × {array['cols']} array")
        words.append(f"{array['weight_bits']}-bit weights, {array['act_bits']}-bit activations")
    elif content.network:
        words.append(f"{content.network.weight_bits}-bit weights, {content.network.act_bits}-bit activations")
    if data := facts.get("data"):
        counts = f": {data['train']:,} training and {data['test']:,} test images" if "train" in data else ""
        words.append(data["name"] + counts)
    if "seed" in facts:
        words.append(f"seed {facts['seed']}")
    if stage := facts.get("stage"):
        words.append(f"float network, stage {stage}")
    return " · ".join(words)


def _tiles(content: Content) -> Iterator[Tile]:
    facts = content.facts
    if verify := facts.get("verify"):
        text = f"of {verify['values_compared']:,} integers, {verify['images']:,} images"
        count = f"{verify['mismatches']:,}" if verify["ok"] or verify["mismatches"] else "failed"
        yield Tile(label="Mismatches", value=count, note=text, state="good" if verify["ok"] else "bad")
    if accuracy := facts.get("accuracy"):
        (first, dense), (last, percent) = next(iter(accuracy.items())), list(accuracy.items())[-1]
        note = f"{last}; {dense:.2f} {first}" if first != last else first
        yield Tile(label="Accuracy", value=f"{percent:.2f} %", note=note)
    if compression := facts.get("compression"):
        conv, weights, bits = (compression[key] for key in ("conv_only", "all_weights", "stored_bits"))
        yield Tile(label="Fewer weights", value=f"{weights['ratio']:.1f}×", note=f"convolutions {conv['ratio']:.1f}×")
        yield Tile(label="Fewer stored bits", value=f"{bits['ratio']:.1f}×", note=f"{bits['left']:,} bits")
    if cycles := facts.get("cycles"):
        note = f"{cycles['predicted'] / cycles['bound']:.2f}× the ideal bound"
        if dense_cycles := cycles.get("dense"):
            note = f"{dense_cycles['image'] / cycles['predicted']:.1f}× faster than dense"
        value = f"{cycles['per_image']:,.1f}" if "batch" in cycles else f"{cycles['predicted']:,}"
        yield Tile(label="Cycles per image", value=value, note=note)
    elif "seed" in facts:
        yield Tile(label="Cycles per image", value=f"{facts['predicted']['image']:,}", note="predicted")


def _compared_before(content: Content) -> Iterator[tuple[str, str]]:
    """What the compiler and the quantiser compared before anything was simulated, as the bundle's manifest says."""
    checks = content.bundle.manifest.checks if content.bundle else ChecksEntry()
    if checks.passes:
        yield "Compiler passes that changed no integer", f"{', '.join(checks.passes)}; {checks.pass_images} images"
    if checks.crosscheck_images:
        yield "References in torch and numpy equal", f"{checks.crosscheck_images} images"


def verification_section(content: Content) -> Iterator[Section]:
    """Simulators, images, integers compared, mismatches, cycles; then each simulator and mode."""
    verify = content.facts.get("verify")
    if not verify:
        return
    cycles = content.facts["cycles"]
    simulated = cycles["simulated"]
    whole = f"batch of {cycles['batch']}" if "batch" in cycles else "image"
    rows = (
        ("Verdict", "equal in every integer" if verify["ok"] else "NOT equal"),
        ("Simulators", verify["simulator"]),
        ("Images at full speed", f"{verify['images']:,}"),
        ("Integers compared", f"{verify['values_compared']:,}"),
        ("Mismatches", f"{verify['mismatches']:,}"),
        (f"Cycles per {whole}, predicted", f"{cycles['predicted']:,}"),
        (f"Cycles per {whole}, simulated", "not counted" if simulated is None else f"{simulated:,}"),
        ("Seed of gaps and back-pressure", str(verify["seed"])),
        *_compared_before(content),
    )
    columns = (Column(title="What", numeric=False), Column(title="Value", numeric=False))
    parts = [Table(caption="Result", columns=columns, rows=rows)]
    if coverage := verify.get("coverage"):
        parts += coverage_tables(coverage)
    if content.results:
        parts.append(_suites(content))
    if verify["failures"]:
        titles = ("Simulator", "Mode", "Failure")
        failed = tuple((case["simulator"], case["mode"], case["failure"]) for case in verify["failures"])
        heads = tuple(Column(title=title, numeric=False) for title in titles)
        parts.append(Table(caption="Failed", columns=heads, rows=failed))
    lead = "The emitted Verilog in a simulator against the integer reference, integer by integer, without tolerance."
    yield Section(id="verification", title="Verification", lead=lead, parts=tuple(parts))


def _suites(content: Content) -> Table:
    assert content.results
    rows = tuple(
        (
            f"{suite.simulator}, {suite.mode}",
            str(suite.tests),
            str(len(suite.failures)),
            f"{suite.values:,}",
            f"{suite.wrong:,}",
        )
        for suite in content.results.suites
    )
    titles = ("Tests", "Failed", "Integers", "Mismatches")
    columns = (Column(title="Suite", numeric=False), *(Column(title=title) for title in titles))
    return Table(caption="Test suites", columns=columns, rows=rows)


def run_section(content: Content) -> Iterator[Section]:
    """Times and options of the run, folded."""
    tables = []
    if seconds := content.facts.get("seconds"):
        rows = [(stage, f"{value:.1f}") for stage, value in seconds.items()]
        rows.append(("all", f"{sum(seconds.values()):.1f}"))
        columns = (Column(title="Stage", numeric=False), Column(title="Seconds"))
        tables.append(Table(caption="Time", columns=columns, rows=tuple(rows), total=True, folded=True))
    if options := content.facts.get("options"):
        pairs = tuple((f"{section}.{key}", value) for section, keys in options.items() for key, value in keys.items())
        columns = (Column(title="Option", numeric=False), Column(title="Value", numeric=False))
        tables.append(Table(caption="Options", columns=columns, rows=pairs, folded=True))
    if tables:
        lead = "With these options the same command makes the same design."
        yield Section(id="run", title="Run", lead=lead if options else "", parts=tuple(tables))

"""Writes the tables of measured numbers from benchmarks/results/ into benchmarks/README.md and two pages of docs/.

What: one row per target, and the rows of the papers' tables, each between its marks; nothing is measured here.
How: reads the JSON files that the benchmarks left. --check only compares, and fails when a file is out of date.
Target: every row says "met".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import summary_rows as rows
from common import HERE, RESULTS, markdown, parser
from repro_tables import methods_of, rows_in_full, rows_in_short, steps_of

ROOT = HERE.parent
END = "<!-- end -->"


def main() -> None:
    """Print the table of targets; write all tables, or compare them with what is there."""
    made = parser(__doc__ or "")
    made.add_argument("--check", action="store_true", help="compare only; exit code 1 when a file differs")
    args = made.parse_args()
    print(table(args.results))
    for file, new in written(args.results).items():
        if args.check and new != file.read_text(encoding="utf-8"):
            raise SystemExit(f"{file.name} is not what the results say; run python benchmarks/summary.py")
        if not args.check:
            file.write_text(new, encoding="utf-8")


def written(results: Path = RESULTS) -> dict[Path, str]:
    """Every file that holds tables, with what should be in it."""
    tables: dict[Path, dict[str, Callable[[], str]]] = {
        HERE / "README.md": {
            "targets": lambda: table(results),
            "coverage": lambda: _stops(_read(results, "coverage")),
            "noise": lambda: _noises(_read(results, "noise")),
        },
        ROOT / "docs" / "results.md": {"rows": lambda: rows_in_short(_read(results, "repro"))},
        ROOT / "docs" / "hardware.md": {
            "features": lambda: _features(_read(results, "features")),
            "utilisation": lambda: _utilisation(_read(results, "utilisation")),
        },
        ROOT / "docs" / "methods.md": {"methods": lambda: methods_of(_read(results, "methods"))},
        ROOT / "docs" / "compression.md": {
            "rows": lambda: rows_in_full(_read(results, "repro")),
            "steps": lambda: steps_of(_read(results, "repro")),
        },
    }
    texts = {}
    for file, made in tables.items():
        text = file.read_text(encoding="utf-8")
        for name, make in made.items():
            text = with_table(text, name, make())
        texts[file] = text
    return texts


def with_table(text: str, name: str, made: str) -> str:
    """`text` with the table between the marks of `name` replaced. Raises ValueError when a mark is missing."""
    begin = f"<!-- begin: benchmarks/summary.py {name} -->"
    head, rest = text.split(begin)
    _, tail = rest.split(END, 1)
    return f"{head}{begin}\n\n{made}\n\n{END}{tail}"


def _read(results: Path, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def table(results: Path = RESULTS) -> str:
    """Every target with what was measured."""

    def read(name: str) -> dict[str, Any]:
        return _read(results, name)

    found = [
        *rows.cycles(read("cycles")),
        *rows.reference_cycles(read("reference_cycles")),
        rows.fuzz(read("fuzz")),
        rows.fuzz_files(read("fuzz_files")),
        rows.mutation(read("mutation")),
        *rows.external(read("external_memory")),
        *rows.emission(read("emission")),
        *rows.proof(read("proof")),
        *rows.speed(read("simulation_speed")),
        *rows.scale(read("scale")),
        rows.mnist(read("mnist_rtl")),
        *rows.accuracy(read("accuracy"), "accuracy.py"),
        rows.demo(read("demo")),
        *rows.irregular(read("irregular")),
        *rows.repro(read("repro")),
        rows.pruned_for_array(read("pruned_for_array")),
        *rows.explored(read("explore")),
        *rows.training(read("training")),
        rows.distilled(read("distilled")),
        *rows.widths(read("widths")),
        *rows.signs(read("signs")),
        rows.coverage(read("coverage")),
        rows.noise(read("noise")),
        *rows.quantised(read("quantised")),
    ]
    return markdown(("benchmark", "target", "measured", ""), found)


def _stops(facts: dict[str, Any]) -> str:
    rows = [[cause["what"], cause["stops"], cause["alone"], cause["example"]] for cause in facts["causes"]]
    whole = [
        [
            e["name"],
            "x".join(map(str, v["shape"])),
            v["layers"],
            f"{v['simulated']:,}",
            f"{v['predicted']:,}",
            v["state"],
            v["seconds"],
        ]
        for e in facts["networks"]
        if "shape" in (v := e.get("verify", {}))
    ]
    header = ("simulated whole, on 8 x 8", "image", "layers", "cycles", "predicted", "words and cycles", "seconds")
    return "\n\n".join(
        [markdown(("what stops networks", "how many", "alone", "for example"), rows), markdown(header, whole)]
    )


def _noises(facts: dict[str, Any]) -> str:
    keys = ("integers", "stored", "affine", "read")
    shown = [
        [e["name"], "x".join(map(str, e["shape"])), *(f"{e[key]:.1f}" for key in keys), e["cpu_seconds"]]
        for e in facts["networks"]
    ]
    header = ("signal to noise, dB", "image", "hwprm", "fake: stored", "with zero points", "only what is read", "CPU s")
    return markdown(header, shown)


def _features(facts: dict[str, Any]) -> str:
    keys = ("memory_bits", "tile_words", "lut4", "ff", "dsp", "bram")
    header = (
        "design",
        "variant",
        "cycles an image",
        "busy, %",
        "memory bits",
        "tiles",
        "LUT4",
        "FF",
        "DSP",
        "block RAM",
    )
    shown = [
        (
            f"{e['network']}, {e['rows']} x {e['cols']}",
            *(e["variant"], round(e["cycles"]), round(100 * e["utilisation"], 1), *(e[key] for key in keys)),
        )
        for e in facts["rows"]
    ]
    return markdown(header, shown)


def _utilisation(facts: dict[str, Any]) -> str:
    header = (
        "network",
        "array",
        "batch",
        "plain",
        "cycles",
        "split",
        "aim",
        "busy, %",
        "x bound",
        "tiles",
        "memory bits",
    )
    shown = [
        (
            *(e["network"], f"{e['rows']} x {e['cols']}", e["batch"]),
            *(round(e["plain"]), round(e["cycles"]), round(e["split"]), e["reach"]),
            *(round(100 * e["utilisation"], 1), e["over_bound"], e["tile_words"], e["memory_bits"]),
        )
        for e in facts["networks"]
    ]
    return markdown(header, shown)


if __name__ == "__main__":
    main()

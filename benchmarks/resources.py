"""How near the size model comes to synthesis: what drawn designs take of an ECP5, predicted and measured.

What: the relative error of every predicted resource, median and largest, on designs that the fit has not seen.
How: designs are drawn by the seeds ``fit/0`` ..., ``test/0`` ... and others; each is compiled, emitted and synthesised
(half a minute of a processor each; what was synthesised before is in the results file and is not made again). Those
called ``tables/`` all have activation tables or products of two tensors, ``last/`` and those below it in `COUNTS` what
comes, the others none of them. The coefficients of LUTs and carry cells are fitted by least squares of relative errors
to all but the designs ``verdict/``, which were drawn when the model was finished: each coefficient is held to the
number that it should be by `SPREAD`, and written where `hwprm.targets.model` reads it; all else is counted and has
nothing to fit.
Errors are told of the fitted designs; of the same, each by a fit to four fifths of the others; and of those that were
never fitted to, among them whole networks (``real/``, by --bundles).
Target: DSPs and block RAMs exact, LUTs and flip-flops within 5 per cent, median 2, on 24 designs.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, parser, say, write_results
from numpy.typing import NDArray
from resources_draw import design_of, drawn, measured, measured_bundle

from hwprm.targets.catalogue import find_target
from hwprm.targets.model import COEFFICIENTS, FITTED, Resources, features, is_wrapped, predict

TARGET = "ecp5-85k"
KEYS = ("lut4", "ff", "carry", "comb", "dsp", "bram", "lutram")
#: Designs that are drawn, of each kind, and what names of those begin with that are fitted to; parts of a cross-check.
COUNTS = {
    "fit": 29,
    "test": 24,
    "unseen": 16,
    "final": 24,
    "tables": 18,
    "last": 24,
    "closing": 24,
    "sealed": 24,
    "witness": 24,
    "verdict": 24,
}
SEEN, PARTS = ("fit/", "test/", "unseen/", "final/", "tables/", "last/", "closing/", "sealed/", "witness/"), 5
#: Most processing elements of a draw, of every sixth, and of every twelfth of some: synthesis takes a second each.
MOST, LARGE, EVERY = 48, 96, 6
LARGEST, LAST = 256, ("final", "last", "closing", "sealed", "witness", "verdict")
#: What a design's relative error is thought to be off by, and a coefficient by resource; and those of logic that is the
#: same in every netlist.
ERROR, SPREAD, SPREAD_SURE = 0.015, {"lut4": 0.2, "carry": 0.4}, 0.06
SURE = (
    *("barrel", "cleared", "chosen", "chosen plain", "queued", "outputs", "memories", "addresses turned"),
    *("data turned", "stores turned", "summed", "left", "sums", "pooled sums", "rounded", "cycles", "registers"),
    *("result", "words", "words fast", "x", "x fast", "y", "y fast", "posted"),
)
#: Sweeps of the coordinate descent.
SWEEPS = 1500

Row = dict[str, Any]
Array = NDArray[np.float64]


def main() -> None:
    """Draw what is missing, fit, print and write."""
    made = parser(__doc__ or "")
    for kind, count in COUNTS.items():
        made.add_argument(f"--{kind}", type=int, default=count, help=f"designs {kind}/ (default: %(default)s)")
    made.add_argument("--bundles", nargs="*", default=(), type=Path, help="bundles to measure as well, as real/NAME")
    args = vars(made.parse_args())
    file = args["results"] / "resources.json"
    rows = json.loads(file.read_text())["designs"] if file.is_file() else []
    wanted: dict[str, Path | None] = {f"{kind}/{i}": None for kind in COUNTS for i in range(args[kind])}
    wanted |= {f"real/{folder.name}": folder for folder in args["bundles"]}
    for name, folder in wanted.items():
        if name not in {row["name"] for row in rows}:
            say(f"{name}: synthesis")
            rows.append({"name": name} | (_measure(name) if folder is None else measured_bundle(folder, TARGET)))
            write_results("resources", {"target": TARGET, "designs": rows}, args["results"])
    fitted = [row for row in rows if is_fitted(row)]
    model = {"tool": fitted[0]["tool"], "keys": {key: _fit(fitted, key) for key in FITTED}}
    COEFFICIENTS.write_text(json.dumps(model, indent=1) + "\n")
    print(table(rows))


def is_fitted(row: Row) -> bool:
    """Whether the coefficients are fitted to that design."""
    return str(row["name"]).startswith(SEEN)


def _measure(name: str) -> Row:
    kind, number = name.split("/")
    most = MOST if int(number) % EVERY else LARGEST if kind in LAST and int(number) % (2 * EVERY) == 0 else LARGE
    with tempfile.TemporaryDirectory() as work:
        return measured(*drawn(name, most), TARGET, Path(work))


def _fit(rows: list[Row], key: str) -> dict[str, dict[str, float]]:
    """Coefficients by block and feature, of relative errors."""
    device = find_target(TARGET).device
    designs = [design_of(row) for row in rows]
    counted = [features(each, key, wrapped=is_wrapped(each.hardware, device)) for each in designs]
    names = sorted({(block, name) for each in counted for block, terms in each.items() for name in terms})
    a = np.array([[float(each.get(block, {}).get(name, 0)) for block, name in names] for each in counted])
    a /= np.array([row["used"][key] for row in rows])[:, None]
    spread = np.array([SPREAD_SURE if name in SURE else SPREAD[key] for _, name in names])
    values = _nonnegative(a / ERROR, np.ones(len(rows)) / ERROR, np.ones(len(names)), spread)
    found: dict[str, dict[str, float]] = {}
    for (block, name), value in zip(names, values, strict=True):
        found.setdefault(block, {})[name] = round(float(value), 4)
    return found


def _nonnegative(a: Array, b: Array, usual: Array, spread: Array) -> Array:
    """The x >= 0 of the least ``|a x - b|^2 + |(x - usual) / spread|^2``, by coordinate descent."""
    weight = 1 / spread**2
    square, right, x = a.T @ a + np.diag(weight), a.T @ b + weight * usual, usual.copy()
    for _ in range(SWEEPS):
        for j in range(len(x)):
            x[j] = max(0.0, x[j] - (square[j] @ x - right[j]) / square[j, j])
    return x


def table(rows: list[Row]) -> str:
    """Errors by resource: of fitted designs, of the same where a fit left them out, and of others."""
    fitted, others = [row for row in rows if is_fitted(row)], [row for row in rows if not is_fitted(row)]
    lines = []
    for kind, chosen, guesses in (
        ("fitted", fitted, [predict(design_of(row), TARGET) for row in fitted]),
        ("left out of a fit", fitted, _left_out(fitted)),
        ("never fitted to", others, [predict(design_of(row), TARGET) for row in others]),
    ):
        for key in KEYS:
            errors = [
                100 * abs(guess.used[key] - row["used"][key]) / max(1, row["used"][key])
                for guess, row in zip(guesses, chosen, strict=True)
            ]
            if errors:
                lines.append((kind, key, len(errors), float(np.median(errors)), max(errors)))
    return markdown(("designs", "resource", "count", "median error, %", "largest error, %"), lines)


def _left_out(rows: list[Row]) -> list[Resources]:
    """What is predicted of each design by coefficients fitted to the other parts."""
    found: dict[int, Resources] = {}
    for part in range(PARTS):
        others = [row for i, row in enumerate(rows) if i % PARTS != part]
        keys = {key: _fit(others, key) for key in FITTED}
        found |= {i: predict(design_of(row), TARGET, keys) for i, row in enumerate(rows) if i % PARTS == part}
    return [found[i] for i in range(len(rows))]


if __name__ == "__main__":
    main()

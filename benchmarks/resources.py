"""How near the size model comes to synthesis: LUTs, flip-flops and DSPs of drawn designs.

What: the relative error of every predicted resource, median and largest, on designs that the fit never saw.
How: designs are drawn by the seeds ``fit/0`` ... and ``test/0`` ...; each is compiled, emitted and synthesised
(minutes of a processor in all; what was synthesised before is in the results file and is not made again). The
coefficients of each block are fitted by non-negative least squares of relative errors to the designs ``fit/``, and
written where `hwprm.targets.model` reads them; the errors are those of the designs ``test/``.
Target: DSPs exact, LUTs and flip-flops within 5 per cent, median 2, on 24 designs.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, parser, say, write_results
from numpy.typing import NDArray
from resources_draw import drawn, measured

from hwprm.isa import ExternalMemory, Hardware, InputGeometry
from hwprm.targets.features import features
from hwprm.targets.model import COEFFICIENTS, predict

TARGET, FAMILY, FITTED = "ecp5-85k", "ecp5", ("lut4", "ff", "comb")
#: Blocks of a netlist that the model takes together.
GROUPS = {"registers": "host", "ingress": "host", "egress": "host", "between blocks": "glue"}
#: Most processing elements of a draw, and of every sixth: synthesis takes a second for each.
MOST, LARGE, EVERY = 48, 96, 6
#: Sweeps of the coordinate descent.
SWEEPS = 3000

Row = dict[str, Any]


def main() -> None:
    """Draw what is missing, fit, print and write."""
    made = parser(__doc__ or "")
    made.add_argument("--fit", type=int, default=16, help="designs to fit to (default: %(default)s)")
    made.add_argument("--test", type=int, default=24, help="designs to test on (default: %(default)s)")
    args = made.parse_args()
    file = args.results / "resources.json"
    rows = json.loads(file.read_text())["designs"] if file.is_file() else []
    for name in (*(f"fit/{i}" for i in range(args.fit)), *(f"test/{i}" for i in range(args.test))):
        if name not in {row["name"] for row in rows}:
            say(f"{name}: synthesis")
            rows.append({"name": name} | _measure(name))
            write_results("resources", {"target": TARGET, "designs": rows}, args.results)
    fitted = [row for row in rows if row["name"].startswith("fit/")]
    model = {"tool": fitted[0]["tool"], "keys": {key: _fit(fitted, key) for key in FITTED}}
    COEFFICIENTS.write_text(json.dumps({FAMILY: model}, indent=1) + "\n")
    print(_table(rows))


def _measure(name: str) -> Row:
    most = MOST if int(name.split("/")[1]) % EVERY else LARGE
    with tempfile.TemporaryDirectory() as work:
        return measured(*drawn(name, most), TARGET, Path(work))


def hardware_of(facts: Row) -> Hardware:
    """The `Hardware` of a design's row."""
    made: Row = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    made["inputs"] = tuple(InputGeometry(**part | {"shape": tuple(part["shape"])}) for part in facts["inputs"])
    made["external"] = ExternalMemory(**facts["external"]) if facts["external"] else None
    return Hardware(**made)


def _fit(rows: list[Row], key: str) -> dict[str, dict[str, float]]:
    """Coefficients of every block, of relative errors: a design weighs by what it takes in all."""
    found = {}
    counted = [features(hardware_of(row["hardware"]), row["cells"]) for row in rows]
    for block in sorted({name for each in counted for name in each}):
        have = [i for i, each in enumerate(counted) if block in each]
        names = list(counted[have[0]][block])
        weight = np.array([1 / rows[i]["used"][key] for i in have])
        a = np.array([[float(counted[i][block][name]) for name in names] for i in have]) * weight[:, None]
        b = np.array([_of_block(rows[i], block, key) for i in have]) * weight
        scale = np.maximum(np.abs(a).max(axis=0), 1e-12)
        values = _nonnegative(a / scale, b) / scale
        found[block] = {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}
    return found


def _of_block(row: Row, block: str, key: str) -> int:
    """What a block takes; tables in ROMs are one."""
    named = {name: GROUPS.get(name, "roms" if name.startswith("rom_") else name) for name in row["blocks"]}
    return sum(used[key] for name, used in row["blocks"].items() if named[name] == block)


def _nonnegative(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x >= 0 of the least ``|a x - b|``, by coordinate descent."""
    x, square, right = np.zeros(a.shape[1]), a.T @ a + 1e-6 * np.eye(a.shape[1]), a.T @ b
    for _ in range(SWEEPS):
        for j in range(len(x)):
            x[j] = max(0.0, x[j] - (square[j] @ x - right[j]) / square[j, j])
    return x


def _table(rows: list[Row]) -> str:
    lines = []
    for kind in ("fit", "test"):
        chosen = [row for row in rows if row["name"].startswith(kind)]
        guesses = [predict(hardware_of(row["hardware"]), TARGET, cells=row["cells"]).used for row in chosen]
        for key in (*FITTED, "dsp"):
            errors = [100 * abs(guess[key] / row["used"][key] - 1) for guess, row in zip(guesses, chosen, strict=True)]
            lines.append((kind, key, len(errors), float(np.median(errors)), max(errors)))
    return markdown(("designs", "resource", "count", "median error, %", "largest error, %"), lines)


if __name__ == "__main__":
    main()

"""Ten thousand images through Verilated designs, with random resets, back-pressure and images that are too long.

What: small designs (the bundles of `mutation.py`) run as C++ programs (`sim/driver/`) whose registers are driven by the
C code that every bundle has. Episodes begin with a reset, a third of them ends in the middle of an image; images have
gaps, results are not taken at once, external memory answers late, some images are too short or too long. Every word is
compared with the integer reference, every counter and the cycles with what is predicted.
How: `--count` results of each design, `--seed` for another run.
Target: no wrong word, no lost image, no cycle off.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, parser, say, stopwatch, verdict, write_results
from mutation_bundles import BUNDLES, make_bundle

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.intnet.reference import logits
from hwprm.verification.simulators.model import build_model

#: Different images; every episode draws from them.
IMAGES = 500


def main() -> None:
    """Run, print and write."""
    made = parser(__doc__ or "")
    made.add_argument("--count", type=int, default=10_000, help="results of each design (default: %(default)s)")
    made.add_argument("--seed", type=int, default=1, help="of images and traffic (default: %(default)s)")
    args = made.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name in BUNDLES:
            rows.append(_soak(name, Path(work) / name, args))
            say(f"{name}: {rows[-1]}")
    met = all(not row["failure"] for row in rows)
    table = [[row[key] for key in ("design", "results", "resets", "dropped", "cycles")] for row in rows]
    print(markdown(("design", "results compared", "resets", "images dropped", "clock cycles"), table))
    print(verdict(met))
    facts = {"target": "no wrong word, no lost image, no cycle off", "met": met, "count": args.count, "rows": rows}
    say(f"written: {write_results('soak', facts, args.results)}")
    if not met:
        raise SystemExit("; ".join(f"{row['design']}: {row['failure']}" for row in rows if row["failure"]))


def _soak(name: str, work: Path, args: Any) -> dict[str, Any]:
    """What one design did; `failure` is empty where all was right."""
    make_bundle(name, work / "bundle")
    bundle = Bundle.load(work / "bundle")
    images = random_images(IMAGES, bundle.manifest.image_limits, args.seed)
    results = logits(bundle.network, images)
    words = [results[entry.name].reshape(IMAGES, -1) for entry in bundle.manifest.layers if entry.wide]
    images.astype("<i4").tofile(work / "images.bin")
    np.concatenate(words, axis=1).astype("<i4").tofile(work / "results.bin")
    model = build_model(bundle, work / "model", optimise=True)
    files = [str(work / f"{what}.bin") for what in ("images", "results")]
    command = [str(model), "soak", *files, str(args.count), str(args.seed)]
    with stopwatch() as clock:
        done = subprocess.run(command, cwd=bundle.folder, check=False, capture_output=True, text=True)
    found = (
        json.loads(done.stdout) if done.returncode == 0 else dict.fromkeys(("results", "resets", "dropped", "cycles"))
    )
    return {"design": name, **found, "seconds": round(clock.wall), "failure": done.stderr.strip()}


if __name__ == "__main__":
    main()

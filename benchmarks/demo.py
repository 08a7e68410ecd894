"""The main job from nothing: `hwprm demo` with the embedded data.

What: wall and CPU seconds and peak memory of the command in a fresh output folder with no kept simulation builds, and
what it reached. CPU includes the C++ compiler; memory is the largest of its processes.
How: a child process; its report.json gives stages, accuracy, compression, cycles and what was compared.
Target: under 5 minutes on two idle cores; at least 100 images verified, no mismatch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import markdown, measure, parser, say, verdict, write_results

LIMIT_SECONDS = 300.0
IMAGES = 100


def main() -> None:
    """Run the demo once, print and write."""
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        out = args.out or Path(folder) / "demo"
        work = Path(folder) / "builds"
        command = [sys.executable, "-m", "hwprm.cli", "demo", "--out", out, "--work", work, "--json"]
        # The embedded data, whatever the caller has set.
        plain = {key: value for key, value in os.environ.items() if key != "HWPRM_DATA"}
        say("hwprm demo")
        usage, text = measure(command, env=plain)
    report = json.loads(text)
    facts = _facts(report) | {"usage": usage.as_dict()}
    facts["met"] = usage.wall_seconds < LIMIT_SECONDS and facts["verified"]
    print(_table(facts))
    say(f"written: {write_results('demo', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("the target was missed")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--out", type=Path, help="keep the run in this new folder (default: a temporary one)")
    return made.parse_args()


def _facts(report: dict[str, Any]) -> dict[str, Any]:
    verify = report["verify"]
    return {
        "data": {key: report["data"][key] for key in ("name", "train", "test")},
        "accuracy_per_cent": report["accuracy"],
        "compression": report["compression"],
        "cycles": {key: report["cycles"][key] for key in ("predicted", "simulated", "promise", "limit", "bound")},
        "verify": {key: verify[key] for key in ("simulator", "images", "values_compared", "mismatches")},
        "verified": verify["ok"] and verify["mismatches"] == 0 and verify["images"] >= IMAGES,
        "stage_wall_seconds": report["seconds"],
    }


def _table(facts: dict[str, Any]) -> str:
    usage, cycles, verify = facts["usage"], facts["cycles"], facts["verify"]
    rows: list[tuple[str, object]] = [
        ("wall seconds", usage["wall_seconds"]),
        ("CPU seconds", usage["cpu_seconds"]),
        ("peak memory, MiB", usage["peak_mib"]),
        *((f"wall seconds of {name}", value) for name, value in facts["stage_wall_seconds"].items()),
        *((f"accuracy {name}, per cent", f"{value:.2f}") for name, value in facts["accuracy_per_cent"].items()),
        *((f"compression {name}", f"{count['ratio']:.2f}x") for name, count in facts["compression"].items()),
        ("cycles per image, predicted", cycles["predicted"]),
        ("cycles per image, simulated", cycles["simulated"]),
        ("images verified", verify["images"]),
        ("integers compared", verify["values_compared"]),
        ("mismatches", verify["mismatches"]),
        (f"under {LIMIT_SECONDS:.0f} s, {IMAGES} images equal", verdict(facts["met"])),
    ]
    return markdown(("hwprm demo", ""), rows)


if __name__ == "__main__":
    main()

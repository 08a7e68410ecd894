"""Files of every format, damaged at random: what the command line makes of them.

What: a model, a plan with its weights, an integer network, a bundle, a data set (`.npz`), options and a recipe
(`.toml`), a traced program (`.pt2`) and an ONNX file are made once, small; then bytes are flipped, cut out, doubled or
dropped, and in text and JSON values, keys and brackets are changed; the digests beside are made to fit, or not. Each
copy is given to a verb that reads it: `verify --allow-edited` simulates damaged Verilog and memory files too.
How: `--seed` and `--count` name the cases, so a failure is repeated by ``--seed N --count 1``.
Target: exit codes 0 to 4 alone, no traceback, one error line on failure, and no output but a whole one.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from common import markdown, parser, say, verdict, write_results
from fuzz_files_cases import FORMATS, damaged, make_files, run_case


def main() -> None:
    """Run, print and write."""
    made = parser(__doc__ or "")
    made.add_argument("--seed", type=int, default=0, help="first seed (default: %(default)s)")
    made.add_argument("--count", type=int, default=1000, help="files (default: %(default)s)")
    args = made.parse_args()
    cases = []
    with tempfile.TemporaryDirectory() as work:
        whole = Path(work) / "whole"
        make_files(whole)
        seeds = list(range(args.seed, args.seed + args.count))
        while seeds:
            # A process of its own: a damaged file may end it, which is a failure to be counted.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                try:
                    while seeds:
                        cases.append(pool.submit(one, seeds[0], whole, Path(work) / "case").result())
                        seeds.pop(0)
                except BrokenProcessPool:
                    cases.append({"seed": seeds.pop(0), "format": "?", "exit": None, "failure": "the process ended"})
            if cases[-1]["failure"]:
                say(f"seed {cases[-1]['seed']}: {cases[-1]['failure']}")
    facts = _facts(cases)
    print(_table(facts))
    say(f"written: {write_results('fuzz_files', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("\n".join(f"seed {case['seed']}: {case['failure']}" for case in cases if case["failure"]))


def one(seed: int, whole: Path, case: Path) -> dict[str, Any]:
    """What became of the file of `seed`."""
    rng = random.Random(seed)
    kind = rng.choice(list(FORMATS))
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(whole, case)
    try:
        target = damaged(case, kind, rng)
        code, failure = run_case(case, kind)
    finally:
        shutil.rmtree(case, ignore_errors=True)
    what = f"{target}: {failure}" if failure else ""
    return {"seed": seed, "format": kind, "exit": code, "failure": what}


def _facts(cases: list[dict[str, Any]]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for kind in (*FORMATS, "?"):
        mine = [case for case in cases if case["format"] == kind]
        codes: Mapping[Any, int] = Counter(case["exit"] for case in mine)
        if mine:
            read, failures = codes.get(0, 0), sum(bool(case["failure"]) for case in mine)
            rows.append({"format": kind, "files": len(mine), "read": read, "failures": failures})
    failures = sum(row["failures"] for row in rows)
    target = "exit codes 0 to 4, no traceback, nothing half-written"
    return {"target": target, "met": failures == 0, "files": len(cases), "failures": failures, "rows": rows}


def _table(facts: dict[str, Any]) -> str:
    head = ("format", "files", "read all the same", "failures")
    rows = [(row["format"], row["files"], row["read"], row["failures"]) for row in facts["rows"]]
    return f"{markdown(head, rows)}\n{verdict(facts['met'])}"


if __name__ == "__main__":
    main()

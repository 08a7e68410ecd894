"""Random networks from torch to RTL, hundreds of them: how many fail.

What: networks of every operator in random arrangements, odd sizes, 1..40 channels, one or two inputs and outputs,
filters, columns or weights pruned at random, 2..16 bits, signed and unsigned tensors, arrays from 1x1 to 12x12,
programs in ROMs or in external memory of random speed. Each goes from the float module to the float graph, to integers
in torch, to integers in numpy, to RTL under Icarus, every tenth under Verilator too; every tensor is compared, and
cycles and stalls with the prediction.
How: `--seed` and `--count` name the cases, so a failure is repeated by ``--seed N --count 1``. Cases that are done are
kept in `--out` and not run again.
Target: no failure; a quarter of the networks mixes signed and unsigned tensors.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from common import RUNS, markdown, parser, say, stopwatch, verdict, write_results
from fuzz_cases import run_case


def main() -> None:
    """Run, print and write."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = range(args.seed, args.seed + args.count)
    done = {seed: _kept(args.out, seed) for seed in seeds}
    left = [seed for seed in seeds if done[seed] is None]
    say(f"{len(left)} of {len(seeds)} networks to run")
    with stopwatch() as clock:
        _run(left, args, done)
    cases = [case for case in done.values() if case is not None]
    failures = [case for case in cases if case["failure"]]
    for case in failures:
        print(f"seed {case['seed']}: {case['failure']}\n{case['network']}\n")
    print(_table(cases, failures))
    mixed = sum(case.get("signs") == "mixed" for case in cases)
    facts = {
        "target": "no failure, a quarter mixes signed and unsigned tensors",
        "met": not failures and 4 * mixed >= len(cases),
        "first_seed": args.seed,
        "count": len(cases),
        "failures": [case["seed"] for case in failures],
        "values": sum(case["values"] for case in cases),
        "cycles": sum(case["cycles"] for case in cases),
        "layers": sum(case["layers"] for case in cases),
        "axi": sum(case["weights"] == "axi" for case in cases),
        "mixed": mixed,
        "seconds": round(sum(case["seconds"] for case in cases)),
    }
    say(f"written: {write_results('fuzz', facts, args.results)}; {clock.wall:.0f} s")
    if failures:
        raise SystemExit(f"{len(failures)} networks fail")
    if not facts["met"]:
        raise SystemExit(f"only {mixed} of {len(cases)} networks mix signed and unsigned tensors")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--seed", type=int, default=0, help="first seed (default: %(default)s)")
    made.add_argument("--count", type=int, default=200, help="networks (default: %(default)s)")
    made.add_argument("--verilator-every", type=int, default=10, help="0 for never (default: %(default)s)")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    made.add_argument("--out", type=Path, default=RUNS / "fuzz", help="finished cases (default: %(default)s)")
    return made.parse_args()


def _kept(folder: Path, seed: int) -> dict[str, Any] | None:
    path = folder / f"{seed}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _run(seeds: list[int], args: Any, done: dict[int, Any]) -> None:
    # Spawned: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, context) as pool, tempfile.TemporaryDirectory() as work:
        waiting = {}
        for seed in seeds:
            both = args.verilator_every and seed % args.verilator_every == 0
            waiting[pool.submit(run_case, seed, "both" if both else "icarus", Path(work))] = seed
        for future in as_completed(waiting):
            seed = waiting[future]
            case = done[seed] = future.result().as_dict()
            (args.out / f"{seed}.json").write_text(json.dumps(case, indent=1))
            say(f"seed {seed}: {case['failure'] or 'equal'}, {case['cycles']} cycles, {case['seconds']} s")


def _table(cases: list[dict[str, Any]], failures: list[dict[str, Any]]) -> str:
    kinds = Counter(case["weights"] for case in cases)
    row = (
        *(len(cases), kinds["axi"], sum(case["layers"] for case in cases), sum(case["values"] for case in cases)),
        *(sum(case["cycles"] for case in cases), len(failures), verdict(not failures)),
    )
    return markdown(("networks", "over AXI", "layers", "values compared", "cycles", "failures", ""), [row])


if __name__ == "__main__":
    main()

"""Twenty random networks of every operator, from the float module to RTL on both simulators."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SEEDS = range(1000, 1020)
#: Small ones, so that twenty take no longer than they must.
MOST_CYCLES = 1500

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def test_twenty_networks(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    run_case = importlib.import_module("fuzz_cases").run_case
    # Spawned: torch's threads do not survive a fork. The children find `fuzz_cases` where this process does.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(run_case, seed, "both", work, most_cycles=MOST_CYCLES) for seed in SEEDS]
        outcomes = [future.result() for future in waiting]
    sys.modules.pop("fuzz_cases", None)
    failures = [f"seed {case.seed}: {case.failure}\n{case.network}" for case in outcomes if case.failure]
    assert not failures, "\n\n".join(failures)
    assert all(case.values and case.cycles for case in outcomes)
    kinds = Counter(case.weights for case in outcomes)
    assert min(kinds["rom"], kinds["axi"]) >= 5
    signs = Counter(case.signs for case in outcomes)
    assert signs["mixed"] >= 5 and signs.keys() <= {"mixed", "signed", "unsigned"}
    text = "\n".join(case.network for case in outcomes)
    assert all(word in text for word in ("1 = input", "sum of", "concat of", "upsample", "AvgPool2d", "shuffle"))

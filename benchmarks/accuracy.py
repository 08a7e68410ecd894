"""Accuracy and compression of LeNet-5 after every stage, on full MNIST.

What: test accuracy (per cent) of the dense, the ADMM-pruned, the purified and the integer network; what is left of the
weights in three counts (convolutions only, all weights, stored bits) after every step; CPU seconds of every step.
How: the main job's own steps (train, admm, purify, compact, quantize) with the main job's options; with --data-dir on
the full set, 5,000 validation images and 8 epochs of dense training. Without it, the embedded subset. One thread.
An interrupted run goes on where it was; the run folder keeps every stage for the other benchmarks:
    python benchmarks/cycles.py --model RUN/stages/quantize
The rows of the papers' tables are those of repro.py.
Target: none is set for accuracy. To compare: the P-RM paper's LeNet-5 has 99.17 per cent dense and 98.48 per cent at
231.82x, counted on convolutions alone. int8 should cost less than 0.1 points.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import RUNS, markdown, parser, say, write_results

from hwprm.config import Settings
from hwprm.config.settings import load_settings
from hwprm.core.files import write_file
from hwprm.core.progress import Progress
from hwprm.model import Model
from hwprm.pipeline import demo_settings
from hwprm.pipeline.flow import FLOW
from hwprm.pipeline.run import main_job
from hwprm.pipeline.step import Run, run_steps, start_run
from hwprm.reporting.facts.facts import in_order
from hwprm.sources import Split, as_split

STEPS = tuple(step for step in FLOW if step.name not in ("compile", "verify"))
#: On the full set, which has six times as many images: held out, and passes of dense training.
VALIDATION_FULL, EPOCHS_FULL = 5000, 8
SECONDS_BETWEEN_LINES = 20


@dataclass
class Stopwatch:
    """A listener that prints a line now and then and keeps the CPU seconds of every stage in a file of the run."""

    file: Path
    cpu: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.exists():
            self.cpu = json.loads(self.file.read_text())

    def say(self, text: str) -> None:
        """A line of progress."""
        say(text)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """A ticker for the stage `name`, whose CPU seconds are counted; those of an interrupted attempt too."""
        last = 0.0

        def tick(what: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            nonlocal last
            if time.monotonic() - last > SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                say(f"{name}: {what} {done}/{total} " + " ".join(f"{k} {v:.4g}" for k, v in metrics.items()))

        start = time.process_time()
        try:
            yield tick
        finally:
            self.cpu[name] = round(self.cpu.get(name, 0.0) + time.process_time() - start, 1)
            write_file(self.file, json.dumps(self.cpu) + "\n")


def main() -> None:
    """Run the stages, print and write what they reached."""
    args = _arguments()
    base = demo_settings()
    if args.data_dir:
        full = replace(base.data, data_dir=args.data_dir, validation=VALIDATION_FULL)
        base = replace(base, data=full, train=replace(base.train, epochs=EPOCHS_FULL))
    settings = load_settings(args.config, base=base)
    split = as_split(settings.data)
    start_run(args.out)
    watch = Stopwatch(args.out / "cpu.json")
    # The full set in another folder is the same set: no path goes into the key.
    data = f"{split.dataset.name} {len(split.dataset.y_train)}"
    run = main_job(args.out, settings, split, data)
    run_steps(run, STEPS, watch)
    facts = _facts(run, split, settings, watch.cpu)
    print(_tables(facts))
    say(f"written: {write_results(args.name, facts, args.results)}")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--data-dir", help="folder of the full sets; without it the embedded subset is used")
    made.add_argument("--out", type=Path, default=RUNS / "mnist", help="run folder (default: %(default)s)")
    made.add_argument("--config", type=Path, help="TOML file of options, on top of the main job's")
    made.add_argument("--name", default="accuracy", help="name of the result file (default: %(default)s)")
    return made.parse_args()


def _facts(run: Run, split: Split, settings: Settings, cpu: Mapping[str, float]) -> dict[str, Any]:
    model = Model.load(run.out / "stages" / "finetune")
    accuracy = in_order(model.meta["accuracy"] | run.done["quantize"].facts["accuracy"])
    held_out = 0 if split.y_validation is None else len(split.y_validation)
    return {
        "data": {
            "name": split.dataset.name,
            "train": len(split.dataset.y_train),
            "validation": held_out,
            "test": len(split.dataset.y_test),
        },
        "options": {
            "train.epochs": settings.train.epochs,
            "admm.stages": settings.admm.stages,
            "admm.epochs": settings.admm.epochs,
            "admm.retrain_epochs": settings.admm.retrain_epochs,
            "admm.final_epochs": settings.admm.final_epochs,
            "admm.mode": settings.admm.mode,
            "train.seed": settings.train.seed,
        },
        "accuracy_per_cent": {stage: round(value, 4) for stage, value in accuracy.items()},
        "waterfall": model.meta["waterfall"] + run.done["quantize"].facts["waterfall"],
        "cpu_seconds": {name: cpu.get(name) for name in run.done},
        "cpu_seconds_total": round(sum(cpu.values()), 1),
    }


def _tables(facts: dict[str, Any]) -> str:
    accuracy = facts["accuracy_per_cent"]
    keys = ("conv_only", "all_weights", "stored_bits")
    rows = []
    for row in facts["waterfall"]:
        counts = [f"{row[key]['left']:,} ({row[key]['ratio']:.2f}x)" for key in keys]
        shapes = ", ".join(f"{name} {a}x{b}" for name, (a, b) in row["layers"].items())
        rows.append((row["stage"], *counts, shapes))
    stages = markdown(("stage", "test accuracy, per cent"), [(k, f"{v:.2f}") for k, v in accuracy.items()])
    left = markdown(("after", "conv only", "all weights", "stored bits", "matrices"), rows)
    seconds = markdown(("step", "CPU s"), facts["cpu_seconds"].items())
    return "\n\n".join((stages, left, seconds))


if __name__ == "__main__":
    main()

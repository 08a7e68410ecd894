"""Exploration: points per second, what workers and their deaths cost, and what a joint search finds in half an hour.

What: (1) points per second of hardware-only sweeps of LeNet-5 (pruned 120x) and of a ResNet-18 (random structured mask,
60x), on two worker processes; (2) the same sweep in one process, with two workers, and with two of which one is killed
in the middle: equal points and fronts, and seconds; (3) a joint search over compression, what is counted, bits and
array for LeNet-5 on MNIST, with two workers, its front beside the rows that were made by hand.
How: `--part` runs one of them; the studies stay in runs/explore, and an interrupted search goes on.
Target: 100 points a second for LeNet-5, 10 for ResNet-18; equal points whoever computes them; half an hour for the
search, if it was not interrupted.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import RUNS, markdown, parser, say, stopwatch, verdict, write_results
from networks import MASKS, reference

import hwprm
from hwprm.config import ArrayConfig, DataConfig, ExploreConfig, Settings
from hwprm.config.presets import explore_defaults
from hwprm.exploration import Study, explore
from hwprm.exploration.measure import measure
from hwprm.exploration.software import score
from hwprm.intnet import IntegerNetwork
from hwprm.sources import as_split

HERE = Path(__file__).resolve().parent.parent
STUDIES = RUNS / "explore"
#: Name -> array dimensions and the target in points per second.
SWEEPS = {"lenet5-all-120x": ("2..32", "2..32", 100.0), "resnet18-cifar": ("2..32", "4..32+4", 10.0)}
#: A sweep in a process of its own: workers import the main module again, and this one is heavy.
SWEEP = """
import json, time, hwprm
net = hwprm.IntegerNetwork.load({net!r})
from hwprm import explore
began = time.monotonic()
study = explore(net, hwprm.ExploreConfig(rows={rows!r}, cols={cols!r}, workers=2), out={out!r})
print(json.dumps([len(study.points), time.monotonic() - began]))
"""
#: The space of the joint search. By cycles each array has its own shrinking, two minutes of a processor at this rate:
#: half an hour has time for twelve points on nine arrays.
JOINT = ExploreConfig(
    rows="4..12+4",
    cols="4..12+4",
    weight_bits="8,6,5",
    compression="10..150",
    count="all_weights,cycles",
    target="ecp5-85k",
    objectives=("accuracy", "cycles", "lut4"),
    points=12,
    proposals=7,
    rank_epochs=1,
    workers=2,
)
#: What the search may take.
MINUTES = 30
#: Rows that were made by hand, on the array that they were meant for.
BY_HAND = ("lenet5-all-39x", "lenet5-all-120x", "lenet5-all-232x")
ARRAY = ArrayConfig(rows=8, cols=8)

Facts = dict[str, Any]


def main() -> None:
    """Run the parts, print, write; exit 1 where a target is missed."""
    made = parser(__doc__ or "")
    made.add_argument("--part", choices=("speed", "workers", "joint"), help="one part alone (default: all)")
    made.add_argument("--data-dir", help="folder of full MNIST for the joint search (default: the embedded subset)")
    args = made.parse_args()
    file = args.results / "explore.json"
    facts = json.loads(file.read_text()) if file.is_file() else {}
    parts: dict[str, Callable[[], Facts]] = {
        "speed": _speed,
        "workers": _workers,
        "joint": lambda: _joint(args.data_dir),
    }
    for name in [args.part] if args.part else list(parts):
        facts[name] = parts[name]()
        print(markdown(facts[name]["head"], facts[name]["rows"]) + "\n")
        write_results("explore", facts, args.results)
    sys.exit(not all(part.get("good", True) for part in facts.values() if isinstance(part, dict)))


def _network(name: str) -> IntegerNetwork:
    if name == "resnet18-cifar":
        return reference(name, MASKS[name])
    return hwprm.quantize(HERE / "examples" / "checkpoints" / name)


def _speed() -> Facts:
    rows = []
    for name, (sides, widths, target) in SWEEPS.items():
        place = STUDIES / f"speed-{name}"
        shutil.rmtree(place, ignore_errors=True)
        saved = STUDIES / f"{name}-integers"
        shutil.rmtree(saved, ignore_errors=True)
        saved.parent.mkdir(parents=True, exist_ok=True)
        _network(name).save(saved)
        code = SWEEP.format(net=str(saved), rows=sides, cols=widths, out=str(place))
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        points, wall = json.loads(ran.stdout)
        rows.append((name, points, round(wall, 1), round(points / wall, 1), target, verdict(points / wall >= target)))
    head = ("network", "points", "wall s, start of workers included", "points/s", "target", "")
    return {"head": head, "rows": rows, "good": all(row[3] >= row[4] for row in rows)}


def _workers() -> Facts:
    """A sweep in one process, with two workers, and with one of the two killed."""
    net = _network("lenet5-all-120x")
    space = ExploreConfig(rows="2..24", cols="2..24", clock=100.0)
    found: dict[str, tuple[Study, float]] = {}
    for name, workers in (("one process", 0), ("two workers", 2), ("two, one killed", 2)):
        place = STUDIES / f"workers-{len(found)}"
        shutil.rmtree(place, ignore_errors=True)
        killer = _Killer() if "killed" in name else None
        with stopwatch() as clock:
            study = explore(net, replace(space, workers=workers), out=place, progress=killer)
        assert killer is None or killer.done, "the sweep ended before a worker was killed"
        found[name] = study, clock.wall
    first = found["one process"][0]
    rows = [
        (name, len(study.points), wall, study.points == first.points, study.front() == first.front())
        for name, (study, wall) in found.items()
    ]
    head = ("computed by", "points", "wall s", "same points", "same front")
    return {"head": head, "rows": rows, "good": all(row[3] and row[4] for row in rows)}


class _Killer:
    """Kills one of the worker processes of this one as the first points come in, as a machine that goes away does."""

    done = False

    def __call__(self, stage: str, done: int, total: int, metrics: object) -> None:
        if stage != "points" or not done or self.done:
            return
        listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines()[1:]:
            pid, parent, command = line.split(None, 2)
            if parent == str(os.getpid()) and "spawn_main" in command:
                say(f"killing worker {pid}")
                os.kill(int(pid), signal.SIGKILL)
                self.done = True
                return


def _joint(data_dir: str | None) -> Facts:
    settings = _joint_settings(data_dir)
    dense = STUDIES / "dense"
    STUDIES.mkdir(parents=True, exist_ok=True)
    if not dense.is_dir():
        say("training the dense network")
        model = hwprm.train("lenet5", settings.data, settings.train)
        dense.mkdir()
        model.save(dense)
    began, fresh = time.monotonic(), not (STUDIES / "joint").exists()
    study = explore(dense, JOINT, out=STUDIES / "joint", settings=settings, progress=_tell)
    minutes = round((time.monotonic() - began) / 60, 1) if fresh else None
    say(f"{len(study.points)} points: " + (f"{minutes} of {MINUTES} minutes" if minutes else "not timed, went on"))
    rows: list[tuple[Any, ...]] = [_by_hand(name, settings) for name in BY_HAND]
    for point in sorted(study.front(), key=lambda point: point.values["cycles"]):
        options, values = point.options, point.values
        what = f"{options['shrink.compression']:g}x by {options['shrink.count']}, {options['quantize.weight_bits']} bit"
        array = f"{options['array.rows']} x {options['array.cols']}"
        accuracies = values["accuracy"], point.test_accuracy
        rows.append((f"point {point.number}: {what}", array, *accuracies, values["cycles"], values["lut4"]))
    head = ("network", "array", "accuracy, held out, %", "test split, %", "cycles", "LUT4, model")
    good = minutes is None or minutes <= MINUTES
    return {"head": head, "rows": rows, "minutes": minutes, "points": len(study.points), "good": good}


def _joint_settings(data_dir: str | None) -> Settings:
    base = explore_defaults()
    return replace(
        base,
        data=DataConfig(name="mnist", data_dir=data_dir, validation=5000 if data_dir else 1000),
        train=replace(base.train, epochs=6, batch=256, lr=1.5e-3, precision="bfloat16"),
        shrink=replace(base.shrink, rate=2.0, lr=3e-3, memory=0.98),
        finetune=replace(base.finetune, epochs=10, lr=6e-3, distill=0.5, temperature=2.0),
    )


def _by_hand(name: str, settings: Settings) -> tuple[Any, ...]:
    split = as_split(settings.data)
    net = hwprm.quantize(HERE / "examples" / "checkpoints" / name, settings.data)
    values = measure(net, replace(settings, array=ARRAY, explore=JOINT))
    held = score(net, split, split.x_validation, split.y_validation)
    test = score(net, split, split.dataset.x_test, split.dataset.test_labels)
    return f"{name}, by hand", "8 x 8", held, test, values["cycles"], values["lut4"]


def _tell(stage: str, done: int, total: int, metrics: object) -> None:
    if stage == "points":
        say(f"{done} of {total} points")


if __name__ == "__main__":
    main()

"""What each option of the trainer is worth: a ResNet-18 with a quarter of its filters on CIFAR-10.

What: accuracy on 5,000 images held out and CPU seconds an epoch of a short training with the options that the plans of
the deep rows take, and of the same training with one of them changed.
How: `python benchmarks/trainer.py --data-dir DIR [--epochs 6]`; one thread, one seed, some ten minutes for each change;
what is finished in --out is not run again. The test split is not read.
Target: none, it says what to switch on. With 5,000 images the standard error of an accuracy is 0.5 points, and two
seeds differ as much.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import RUNS, markdown, parser, say, write_results

from hwprm import api
from hwprm.config import DataConfig, TrainConfig
from hwprm.core.files import write_file
from hwprm.nets import reference_network
from hwprm.sources import as_model, as_split

NETWORK, WIDTH, HELD_OUT = "resnet18-cifar", 0.25, 5000
BASE = TrainConfig(
    optimiser="sgd",
    nesterov=True,
    decayed="matrices",
    batch=128,
    lr=0.1,
    lr_end=0.0,
    weight_decay=5e-4,
    warmup=0.2,
    augment="crop_flip",
    clean_share=0.0,
    precision="bfloat16",
    average=0.999,
    recalibrate=4000,
)
#: What is changed -> the options of it.
CHANGES: dict[str, dict[str, Any]] = {
    "as the plans are": {},
    "plain momentum": {"nesterov": False},
    "decay of biases and batch norms too": {"decayed": "all"},
    "no warm-up": {"warmup": 0.0},
    "the rate ends at 1 %": {"lr_end": 0.01},
    "the last weights, not their average": {"average": 0.0},
    "running statistics": {"recalibrate": 0},
    "half of the images as they are": {"clean_share": 0.5},
    "16 copies of the images": {"copies": 16},
    "cutout of 8 pixels": {"cutout": 8},
    "half of the images mixed": {"cutmix": 0.5},
    "labels smoothed by 0.1": {"label_smoothing": 0.1},
    "whitening filters": {"whiten": 5000},
    "AdamW, rate 0.002": {"optimiser": "adamw", "nesterov": False, "lr": 2e-3, "weight_decay": 1e-2},
    "float32": {"precision": "float32"},
    "contiguous memory": {"channels_last": False},
}


def main() -> None:
    """Train, print, write."""
    made = parser(__doc__ or "")
    made.add_argument("--data-dir", help="folder of CIFAR-10")
    made.add_argument("--epochs", type=int, default=6, help="epochs of each training (default: %(default)s)")
    made.add_argument("--out", type=Path, default=RUNS / "trainer", help="what is finished (default: %(default)s)")
    made.add_argument("--collect", action="store_true", help="only gather what --out holds")
    args = made.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for what, change in CHANGES.items():
        file = args.out / f"{re.sub(r'[^a-z0-9]+', '-', what.lower()).strip('-')}-{args.epochs}.json"
        if not file.exists() and not args.collect:
            say(what)
            facts = _trained(replace(BASE, epochs=args.epochs, **change), args.data_dir)
            write_file(file, json.dumps(facts | {"what": what}) + "\n")
        if file.exists():
            rows.append(json.loads(file.read_text()))
    facts = {"epochs": args.epochs, "images": HELD_OUT, "rows": rows}
    print(table(facts))
    say(f"written: {write_results('trainer', facts, args.results)}")


def _trained(config: TrainConfig, data_dir: str | None) -> dict[str, Any]:
    split = as_split(DataConfig(name="cifar10", data_dir=data_dir, validation=HELD_OUT))
    assert split.x_validation is not None and split.y_validation is not None
    data = replace(split.dataset, x_test=split.x_validation, y_test=split.y_validation)
    network = reference_network(NETWORK, width=WIDTH, classes=data.classes).train(False)
    started = time.process_time()
    model = api.train(as_model(network, data.image_shape), data, config)
    seconds = (time.process_time() - started) / config.epochs
    return {"accuracy": round(model.meta["accuracy"]["dense"], 2), "seconds": round(seconds, 1)}


def table(facts: dict[str, Any]) -> str:
    """Changes by what they cost."""
    rows = facts["rows"]
    first = rows[0]["accuracy"] if rows else 0.0
    header = ("changed", "held out, per cent", "points more", "CPU seconds an epoch")
    return markdown(
        header, [(row["what"], row["accuracy"], f"{row['accuracy'] - first:+.1f}", row["seconds"]) for row in rows]
    )


if __name__ == "__main__":
    main()

"""Which images batch norms should take their statistics from after training: those that training saw, or clean ones.

What: accuracy of kept networks on images held out, and on as many training images, unaugmented both, with the
statistics of clean training images and with those of augmented ones.
How: `python benchmarks/recalibration.py --data-dir DIR [MODEL ...]`, models in folders or archives of `staged.py`;
4,000 images give statistics.
Target: none, it says which of the two `recalibrate` should take.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from common import HERE, markdown, parser, say, write_results
from staged import unpack

from hwprm.config import DataConfig
from hwprm.sources import Split, as_model, as_split
from hwprm.training.augment import Augmentation
from hwprm.training.evaluate import accuracy
from hwprm.training.statistics import recalibrated

#: Images that give statistics, and images held out.
IMAGES, HELD_OUT = 4000, 2000
EXAMPLES = HERE.parent / "examples"
#: A dense network and what is left of it after shrinking and fine-tuning.
KEPT = [EXAMPLES / "plans" / "resnet18-cifar-dense.tar.xz", EXAMPLES / "checkpoints" / "resnet18-60x"]
#: Statistics -> share of the images that stays as it is.
WAYS = {"clean": 1.0, "augmented": 0.0}


def main() -> None:
    """Measure, print, write."""
    made = parser(__doc__ or "")
    made.add_argument("stages", type=Path, nargs="*", default=KEPT)
    made.add_argument("--data-dir", help="folder of CIFAR-10")
    args = made.parse_args()
    split = as_split(DataConfig(name="cifar10", data_dir=args.data_dir, validation=HELD_OUT))
    rows = []
    for stage in args.stages:
        say(str(stage))
        rows += _measured(stage, split)
    head = ("network", "statistics of", "held out, %", "training images, %")
    print(markdown(head, rows))
    say(f"written: {write_results('recalibration', {'head': head, 'rows': rows, 'images': IMAGES}, args.results)}")


def _measured(stage: Path, split: Split) -> list[tuple[str, str, float, float]]:
    with tempfile.TemporaryDirectory() as place:
        if stage.is_file():
            unpack(str(stage), Path(place))
            stage = next(Path(place).iterdir())
        graph, name = as_model(str(stage), split.dataset.image_shape).graph, stage.name
    data = split.dataset
    assert split.x_validation is not None and split.y_validation is not None
    some = np.sort(np.random.default_rng(0).permutation(len(data.x_train))[:HELD_OUT])
    sets = ((split.x_validation, split.y_validation), (data.x_train[some], data.y_train[some]))
    rows = []
    for way, share in WAYS.items():
        new = recalibrated(graph, data, IMAGES, 0, Augmentation(kind="crop_flip", clean_share=share))
        held, seen = (round(accuracy(new, x, y, data.input_scale), 2) for x, y in sets)
        rows.append((name, way, held, seen))
    return rows


if __name__ == "__main__":
    main()

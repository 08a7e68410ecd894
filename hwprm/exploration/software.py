"""What changes the network of a point: pruning, fine-tuning, quantisation, each a task that a worker can run alone.

A task gets the network and the data's description and gives back the result: a worker needs the wheel and the data.
What a killed task had finished of its training is taken up where the next one finds it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm import api
from hwprm.config import AdmmConfig, DataConfig, PruneOptions, QuantizeConfig, Settings, ShrinkConfig
from hwprm.config.steps import PruneStep
from hwprm.core.errors import ConfigError, DataError, InputError, ModelError, UnsupportedError
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.quantization import stored_accuracy
from hwprm.sources import Split, as_split
from hwprm.training import Checkpoint
from hwprm.training.devices import threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwprm.graph import Images

#: Errors that are the point's own: its options, or a network of which too little is left. All others are trouble of the
#: machine, or faults, and end the exploration: the point is computed when that is mended.
REFUSALS = (ConfigError, ModelError, UnsupportedError)

__all__ = ["Origin", "prune_task", "pruning_settings", "quantize_task", "quantized", "score", "tune_task"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """Where a worker takes the images from: a `config` that it loads itself, or the `split` that it is sent."""

    fingerprint: str
    config: DataConfig | None = None
    split: Split | None = None

    def open(self) -> Split:
        """The images. Raises DataError when this machine has none, or others."""
        return self.split if self.split is not None else _loaded(self.config or DataConfig(), self.fingerprint)


@cache
def _loaded(config: DataConfig, fingerprint: str) -> Split:
    try:
        split = as_split(config)
    except InputError as error:
        raise DataError(f"a worker cannot read the data set {config.name}: {error}") from error
    if split.dataset.fingerprint != fingerprint:
        raise DataError(
            f"a worker has another data set {config.name} ({split.dataset.source}) than this machine; put the same "
            "files there, or set HWPRM_DATA for the workers"
        )
    return split


def pruning_settings(settings: Settings) -> Settings:
    """`settings` without what does not matter to pruning, so that points that differ in that alone share it."""
    method = settings.run.method
    plain = Settings()
    kept = replace(plain, data=settings.data, train=settings.train, purify=settings.purify)
    kept = replace(kept, run=replace(plain.run, method=method))
    counts: ShrinkConfig | AdmmConfig = settings.admm if method == "admm" else settings.shrink
    if counts.metered:
        kept = replace(kept, array=settings.array, quantize=_counted(settings, counts.metered))
    return replace(kept, admm=settings.admm) if method == "admm" else replace(kept, shrink=settings.shrink)


def _counted(settings: Settings, metered: Sequence[str]) -> QuantizeConfig:
    """The quantisation that what is `metered` is counted with: points of fewer bits share what the usual ones leave.

    Fewer bits make more weights zero and change no cycle otherwise, unless weights come through a bus: what is counted
    with the usual bits is an upper bound, and a point's own cycles are counted when it is measured.
    """
    own, usual = settings.quantize, QuantizeConfig()
    if set(metered) != {"cycles"} or settings.array.weights != "rom":
        return own
    return replace(own, weight_bits=max(own.weight_bits, usual.weight_bits), act_bits=usual.act_bits, layer_bits=None)


def prune_task(dense: Model, origin: Origin, points: Sequence[Settings], work: Path) -> list[Model | str]:
    """Compact models of `dense`, one for each of `points`, or why there is none.

    The points differ in ``shrink.compression`` (or ``left``) alone, from little to much: the epochs of one count for
    all that go further. Finished epochs are kept in `work` where that folder is there, as it is on one machine.
    """
    split = _judged(origin.open())
    made: list[Model | str] = []
    with ExitStack() as ends:
        folder = work if work.parent.is_dir() else Path(ends.enter_context(tempfile.TemporaryDirectory()))
        checkpoint = Checkpoint(folder=folder, resume=True)
        for settings in points:
            options = replace(PruneOptions.of(settings), finetune=None, stop_after=PruneStep.COMPACT)
            try:
                made.append(api.prune(dense, split, options, teacher=_teacher(dense, settings), checkpoint=checkpoint))
            except REFUSALS as error:
                made.append(str(error))
    return made


def _judged(split: Split) -> Split:
    """`split` with the held-out images where the test split stands, which nothing that is chosen by may see."""
    if split.x_validation is None or split.y_validation is None:
        return split
    data = replace(split.dataset, x_test=split.x_validation, y_test=split.y_validation)
    return replace(split, dataset=data)


def _teacher(dense: Model, settings: Settings) -> Model | None:
    """The dense network teaches its own shrinking; ADMM is as in the papers."""
    return dense if settings.run.method == "shrink" else None


def tune_task(compact: Model, dense: Model, origin: Origin, settings: Settings, work: Path) -> Model | str:
    """`compact`, fine-tuned for ``finetune.epochs`` epochs with the `dense` network for a teacher; or why it is not."""
    options = PruneOptions(finetune=settings.finetune, train=settings.train)
    with ExitStack() as ends:
        folder = work if work.parent.is_dir() else Path(ends.enter_context(tempfile.TemporaryDirectory()))
        checkpoint = Checkpoint(folder=folder, resume=True)
        split = _judged(origin.open())
        try:
            return api.prune(compact, split, options, teacher=dense, checkpoint=checkpoint)
        except REFUSALS as error:
            return str(error)


def quantize_task(model: Model, origin: Origin, settings: Settings) -> tuple[IntegerNetwork, float | None] | str:
    """The integer network of `model`, and its accuracy on the images held out, where there are some."""
    split = origin.open()
    try:
        return quantized(model, split, settings)
    except REFUSALS as error:
        return str(error)


def quantized(model: Model, split: Split, settings: Settings) -> tuple[IntegerNetwork, float | None]:
    """`quantize_task` where the images are at hand. Raises what `hwprm.quantize` raises."""
    with threads(settings.train.threads):  # whoever computes it: sums of another order calibrate otherwise
        net = api.quantize(model, split, settings.quantize)
    return net, score(net, split, split.x_validation, split.y_validation)


def score(net: IntegerNetwork, split: Split, x: Images | None, y: NDArray[np.int64] | None) -> float | None:
    """Per cent of the images `x` that `net` puts into their classes `y`; None without images or classes."""
    if x is None or y is None or not len(y) or not split.dataset.classes:
        return None
    return stored_accuracy(net, x, split.dataset.input_scale, y)

"""What everything that trains hands on as one: the options, who is told, where epochs are kept, and the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hwprm.config.train import TrainConfig
from hwprm.core.progress import Progress, silent
from hwprm.graph import Graph, Images
from hwprm.training.checkpoint import Checkpoint

__all__ = ["Context", "Earlier"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """How a run is trained; stages that have options of their own replace those in `config`."""

    config: TrainConfig = field(default_factory=TrainConfig)
    #: Told now and then how far the run is.
    progress: Progress = silent
    #: Keeps every epoch, and gives back the last one where it is to be gone on from.
    checkpoint: Checkpoint | None = None
    #: The network whose outputs are part of the loss, see `hwprm.training.loss.training_loss`.
    teacher: Graph | None = None
    #: Images and labels ``(n,)`` that are held out of training, for ``config.validate``.
    held_out: tuple[Images, NDArray[np.int64]] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Earlier:
    """What came before a run that goes on with a network cut out of a larger one."""

    #: Of every epoch so far; the order of the images and the augmentation go on from there.
    losses: Sequence[float] = ()
    #: State of the optimiser, as `hwprm.training.optimisers.named` gives it; empty starts it anew.
    moments: Mapping[str, Tensor] = field(default_factory=dict)

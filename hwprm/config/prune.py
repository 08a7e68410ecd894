"""The options of the whole of pruning, together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwprm.config.admm import AdmmConfig
from hwprm.config.array import ArrayConfig
from hwprm.config.finetune import FinetuneConfig
from hwprm.config.purify import PurifyConfig
from hwprm.config.quantize import QuantizeConfig
from hwprm.config.settings import Settings
from hwprm.config.shrink import ShrinkConfig
from hwprm.config.steps import METHODS, PruneStep
from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError

__all__ = ["PruneOptions"]


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """What `hwprm.prune` does. A step's options that are left out are its defaults."""

    admm: AdmmConfig | None = None
    #: Where it is given, shrinking is the method, not ADMM.
    shrink: ShrinkConfig | None = None
    purify: PurifyConfig | None = None
    #: Without it, or with no epochs in it, nothing is fine-tuned.
    finetune: FinetuneConfig | None = None
    #: Batch, seed, threads, augmentation and optimiser of every step that trains.
    train: TrainConfig | None = None
    #: What `shrink` and `admm` count cycles on, where they count them, and with which bits; without them the defaults.
    array: ArrayConfig | None = None
    quantize: QuantizeConfig | None = None
    #: The last step, one of `PruneStep`, or its name.
    stop_after: PruneStep | Literal["admm", "shrink", "purify", "compact", "finetune"] = PruneStep.FINETUNE

    def __post_init__(self) -> None:
        if self.stop_after not in list(PruneStep):
            raise ConfigError(f"stop_after must be one of {', '.join(PruneStep)}, not {self.stop_after!r}")
        object.__setattr__(self, "stop_after", PruneStep(self.stop_after))
        if self.stop_after in METHODS and self.stop_after != self.method:
            raise ConfigError(
                f"prune is to stop after {self.stop_after}, but its method is {self.method}; let both be the same"
            )
        if self.admm is not None and self.shrink is not None:
            raise ConfigError("prune has one method: give admm or shrink, not both")

    @classmethod
    def given(cls, options: PruneOptions | None) -> PruneOptions:
        """What `prune` was given; the defaults for None. Raises ConfigError for anything else."""
        if options is not None and not isinstance(options, cls):
            raise ConfigError(
                f"the options of prune are of the class PruneOptions, not {type(options).__name__}; write "
                "hwprm.PruneOptions(admm=hwprm.AdmmConfig(compression=20.0))"
            )
        return cls() if options is None else options

    @property
    def method(self) -> PruneStep:
        """How what goes is chosen."""
        return PruneStep.ADMM if self.shrink is None else PruneStep.SHRINK

    @classmethod
    def of(cls, settings: Settings) -> PruneOptions:
        """Those of the verb `prune`."""
        run = settings.run
        shrinks = PruneStep(run.method) is PruneStep.SHRINK
        return cls(
            admm=None if shrinks else settings.admm,
            shrink=settings.shrink if shrinks else None,
            purify=settings.purify,
            finetune=settings.finetune,
            train=settings.train,
            array=settings.array,
            quantize=settings.quantize,
            stop_after=run.stop_after,
        )

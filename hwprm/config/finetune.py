"""Fine-tuning of the compact network: what differs from the training of the dense one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError

__all__ = ["FinetuneConfig"]


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Training of the compact network, its zero columns kept zero, towards labels and the dense network's outputs."""

    #: Passes over the training images; 0 leaves the network as compaction made it.
    epochs: int = 0
    #: Images per step.
    batch: int = 128
    #: adamw or sgd; none takes `train.optimiser`.
    optimiser: str | None = None
    #: Learning rate at the start.
    lr: float = 3e-3
    #: cosine, constant or step, see `train.schedule`.
    schedule: str = "cosine"
    #: Weight decay.
    weight_decay: float = 0.0
    #: Share of the images left as they are when augmenting: small networks have no room for what is rare.
    clean_share: float = 0.5
    #: Share of the loss that asks for the outputs of the dense network.
    distill: float = 0.7
    #: Temperature at which the outputs are compared.
    temperature: float = 3.0
    #: Weight of the past in the moving average of the weights that the result takes; 0 takes those of the end.
    average: float = 0.0
    #: Training images that batch norms take new statistics from at the end; 0 keeps the running ones.
    recalibrate: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.epochs, int) or isinstance(self.epochs, bool) or not 0 <= self.epochs <= 10_000:
            raise ConfigError(f"finetune.epochs must be a whole number in 0..10000, not {self.epochs!r}")
        try:
            self.over(TrainConfig())
        except ConfigError as error:
            raise ConfigError(str(error).replace("train.", "finetune.")) from None

    def over(self, train: TrainConfig) -> TrainConfig:
        """`train` with these options on top."""
        optimiser = self.optimiser or train.optimiser
        return replace(
            train,
            epochs=max(1, self.epochs),
            optimiser=optimiser,
            nesterov=train.nesterov and optimiser == "sgd",
            average=self.average,
            recalibrate=self.recalibrate,
            batch=self.batch,
            lr=self.lr,
            weight_decay=self.weight_decay,
            clean_share=self.clean_share,
            distill=self.distill,
            temperature=self.temperature,
            schedule=self.schedule,
        )

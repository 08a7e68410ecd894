"""Fine-tuning of the compact network: what differs from the training of the dense one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from annotated_doc import Doc

from hwprm.config.kinds import (
    Average,
    Batch,
    LearningRate,
    MaybeRepeats,
    Optimiser,
    Recalibrate,
    Schedule,
    Share,
    Temperature,
    WeightDecay,
)
from hwprm.config.section import Section
from hwprm.config.train import TrainConfig

__all__ = ["FinetuneConfig"]


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Section, section="finetune"):
    """Training of the compact network, its zero columns kept zero, towards labels and the dense network's outputs."""

    epochs: Annotated[
        MaybeRepeats, Doc("Passes over the training images; 0 leaves the network as compaction made it.")
    ] = 0
    batch: Annotated[Batch, Doc("Images per step.")] = 128
    optimiser: Annotated[Optimiser | None, Doc("adamw or sgd; none takes `train.optimiser`.")] = None
    lr: Annotated[LearningRate, Doc("Learning rate at the start.")] = 3e-3
    schedule: Annotated[Schedule, Doc("cosine, constant or step, see `train.schedule`.")] = "cosine"
    weight_decay: Annotated[WeightDecay, Doc("Weight decay.")] = 0.0
    clean_share: Annotated[
        Share,
        Doc("Share of the images left as they are when augmenting: small networks have no room for what is rare."),
    ] = 0.5
    distill: Annotated[Share, Doc("Share of the loss that asks for the outputs of the dense network.")] = 0.7
    temperature: Annotated[Temperature, Doc("Temperature at which the outputs are compared.")] = 3.0
    average: Annotated[
        Average,
        Doc("Weight of the past in the moving average of the weights that the result takes; 0 takes those of the end."),
    ] = 0.0
    recalibrate: Annotated[
        Recalibrate,
        Doc(
            "Training images, augmented as in training, that batch norms take new statistics from at the end; 0 keeps "
            "the running ones."
        ),
    ] = 0

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

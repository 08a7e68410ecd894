"""Training in integers: what differs from the training of the dense network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from annotated_doc import Doc

from hwprm.config.kinds import (
    Average,
    Batch,
    LearningRate,
    MaybeRepeats,
    Optimiser,
    Schedule,
    Share,
    Temperature,
    WeightDecay,
)
from hwprm.config.quantize import QuantizeConfig
from hwprm.config.section import Section
from hwprm.config.train import TrainConfig

__all__ = ["QatConfig", "QatOptions"]


@dataclass(frozen=True, kw_only=True)
class QatConfig(Section, section="qat"):
    """Quantisation-aware training: the network is trained on through the integers that the hardware computes."""

    epochs: Annotated[
        MaybeRepeats, Doc("Passes over the training images; 0 quantises the network as it was trained in floats.")
    ] = 0
    ranges: Annotated[
        Literal["fixed", "learned"],
        Doc("Ranges of activations: fixed (those of the calibration images) or learned (trained on from there)."),
    ] = "learned"
    batch: Annotated[Batch, Doc("Images per step.")] = 128
    optimiser: Annotated[Optimiser | None, Doc("adamw or sgd; none takes `train.optimiser`.")] = None
    lr: Annotated[LearningRate, Doc("Learning rate at the start.")] = 1e-3
    schedule: Annotated[Schedule, Doc("cosine, constant or step, see `train.schedule`.")] = "cosine"
    weight_decay: Annotated[WeightDecay, Doc("Weight decay.")] = 0.0
    clean_share: Annotated[Share, Doc("Share of the images left as they are when augmenting.")] = 0.5
    distill: Annotated[Share, Doc("Share of the loss that asks for the outputs of the float network.")] = 0.7
    temperature: Annotated[Temperature, Doc("Temperature at which the outputs are compared.")] = 3.0
    average: Annotated[
        Average,
        Doc("Weight of the past in the moving average of the weights that the result takes; 0 takes those of the end."),
    ] = 0.0

    def over(self, train: TrainConfig) -> TrainConfig:
        """`train` with these options on top."""
        optimiser = self.optimiser or train.optimiser
        return replace(
            train,
            epochs=max(1, self.epochs),
            optimiser=optimiser,
            nesterov=train.nesterov and optimiser == "sgd",
            average=self.average,
            recalibrate=0,
            validate=0,
            batch=self.batch,
            lr=self.lr,
            weight_decay=self.weight_decay,
            clean_share=self.clean_share,
            distill=self.distill,
            temperature=self.temperature,
            schedule=self.schedule,
        )


@dataclass(frozen=True, kw_only=True)
class QatOptions:
    """What `hwprm.qat` does. Sections that are left out are their defaults."""

    #: How the network is trained on; with no epochs in it they are one.
    qat: QatConfig = field(default_factory=QatConfig)
    #: In which integers.
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    #: Seed, threads, augmentation and the rest.
    train: TrainConfig = field(default_factory=TrainConfig)

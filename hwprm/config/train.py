"""How a network is trained; dense training, ADMM, masked retraining and fine-tuning all read this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval, Unit

from hwprm.config.kinds import (
    Average,
    Batch,
    LearningRate,
    MaybeRepeats,
    Optimiser,
    Recalibrate,
    Repeats,
    Schedule,
    Seed,
    Share,
    Temperature,
    Threads,
    WeightDecay,
)
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["TrainConfig"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section, section="train"):
    """One run of the training engine."""

    epochs: Annotated[Repeats, Doc("Passes over the training images.")] = 12
    batch: Annotated[Batch, Doc("Images per step; few make more steps of an epoch, which small data sets need.")] = 64
    lr: Annotated[LearningRate, Doc("Learning rate at the start.")] = 2e-3
    weight_decay: Annotated[WeightDecay, Doc("Decoupled weight decay (adamw) or L2 term (sgd).")] = 1e-3
    decayed: Annotated[
        Literal["all", "matrices"],
        Doc(
            "What `weight_decay` acts on: all parameters, or matrices (the weights of convolutions and linear layers, "
            "not biases and batch norms, which a network with few of them needs as they are)."
        ),
    ] = "all"
    optimiser: Annotated[Optimiser, Doc("adamw or sgd.")] = "adamw"
    momentum: Annotated[float, Interval(ge=0, le=0.9999), Doc("Momentum of sgd; 0 is plain gradient descent.")] = 0.9
    nesterov: Annotated[
        bool, Doc("Nesterov's form of sgd's momentum: the gradient counts where the momentum leads.")
    ] = False
    schedule: Annotated[
        Schedule,
        Doc("cosine (down to `lr_end` at the end), constant, or step (times `gamma` at each of `milestones`)."),
    ] = "cosine"
    lr_end: Annotated[Share, Doc("Share of `lr` that the schedule cosine ends at.")] = 0.01
    milestones: Annotated[
        tuple[Share, ...],
        Doc(
            "When the schedule step lowers the rate: shares of the run, rising; 0.5,0.75 is after half and three "
            "quarters."
        ),
    ] = (0.5, 0.75)
    gamma: Annotated[float, Interval(ge=1e-6, le=1), Doc("What the schedule step multiplies the rate by.")] = 0.1
    warmup: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Doc("Share of the run in which the rate rises linearly up to `lr`, before the schedule; 0 is off."),
    ] = 0.0
    clip: Annotated[
        float,
        Interval(ge=0, le=1e9),
        Doc("Greatest L2 norm of all gradients together; longer ones are scaled down to it. 0 is off."),
    ] = 0.0
    loss_limit: Annotated[
        float,
        Interval(ge=1, le=1e9),
        Doc(
            "Stop as diverged when the loss has grown three epochs in a row and is more than this many times its "
            "best, or is more than this many times that of the start and that of guessing."
        ),
    ] = 10.0
    label_smoothing: Annotated[
        float, Interval(ge=0, le=0.999), Doc("Share of the label spread evenly over all classes; 0 is off.")
    ] = 0.0
    augment: Annotated[
        Literal["auto", "none", "shift", "affine", "elastic", "crop_flip"],
        Doc(
            "none, shift (up to 2 pixels), affine (rotation, scale, shear, shift), elastic (affine and a smooth bend) "
            "or crop_flip (up to 4 pixels, mirrored half of the time); auto takes affine for mnist, crop_flip for "
            "cifar10, else none."
        ),
    ] = "auto"
    copies: Annotated[
        int,
        Interval(ge=0, le=1000),
        Doc(
            "Augmented copies of the training set made once, before training, from which every epoch draws; 0 "
            "augments at every step. Each needs as many bytes as the set."
        ),
    ] = 0
    clean_share: Annotated[Share, Doc("Share of the images left as they are when augmenting.")] = 0.5
    distill: Annotated[
        Share,
        Doc(
            "Share of the loss that asks for the outputs of the teacher, the dense network; read only where there is "
            "one."
        ),
    ] = 0.7
    temperature: Annotated[
        Temperature, Doc("Temperature at which the outputs of network and teacher are compared.")
    ] = 3.0
    ask_mirrored: Annotated[
        bool,
        Doc(
            "Ask the teacher about every image and its mirror image, and take the mean: for images whose mirror images "
            "are of the same class. With `copies` each image is then drawn as it is or mirrored."
        ),
    ] = False
    cutout: Annotated[
        int,
        Interval(ge=0, le=10000),
        Unit("pixels"),
        Doc("Side of a square, in pixels, that is blanked at a random place of every augmented image; 0 is off."),
    ] = 0
    cutmix: Annotated[
        Share,
        Doc(
            "Share of the augmented images that show a rectangle of another image, of random size, which counts for "
            "its class with its share of the area (CutMix); 0 is off."
        ),
    ] = 0.0
    average: Annotated[
        Average,
        Doc(
            "The result takes the moving average of the weights, in which the past weighs this much (less in the "
            "first steps); 0 takes the weights as they are at the end."
        ),
    ] = 0.0
    recalibrate: Annotated[
        Recalibrate,
        Doc(
            "Training images, augmented as in training, that batch norms take new statistics from at the end; 0 keeps "
            "the running ones."
        ),
    ] = 0
    validate: Annotated[
        MaybeRepeats,
        Doc(
            "Epochs between two measurements of the accuracy on the images that `data.validation` holds out, of what "
            "the result would be by then; 0 measures none on the way."
        ),
    ] = 0
    whiten: Annotated[
        Recalibrate,
        Doc(
            "Training images whose patches the first convolution of an untrained network begins with whitening filters "
            "of; 0 leaves its weights random."
        ),
    ] = 0
    seed: Annotated[Seed, Doc("Seed of the weights, the order of the images and the augmentation.")] = 0
    threads: Annotated[
        Threads,
        Doc(
            "CPU threads; results are reproducible bit for bit at the same number. One is often fastest for small "
            "networks."
        ),
    ] = 1
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        Doc(
            "Number format of the forward pass: float32, bfloat16 or float16 (on CUDA only, the loss scaled). "
            "Weights, gradients and the optimiser stay float32."
        ),
    ] = "float32"
    channels_last: Annotated[
        bool,
        Doc(
            "Keep images and convolution weights with their channels innermost in memory, which convolutions are "
            "faster on."
        ),
    ] = True
    shared_norms: Annotated[
        bool,
        Doc(
            "Where several processes share a batch, batch norms take the statistics of all of it; false: of the part "
            "that a process has, which waits less for the others, and the result depends on how many there are."
        ),
    ] = True
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Doc(
            "auto (CUDA where there is a device, else the CPU), cpu or cuda. Results repeat bit for bit on the CPU "
            "only."
        ),
    ] = "auto"

    def agree(self) -> None:
        if self.nesterov and (self.optimiser != "sgd" or not self.momentum):
            raise ConfigError("train.nesterov is a form of sgd's momentum; set train.optimiser to sgd, or leave it out")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError(f"train.milestones must rise, not {', '.join(f'{m:g}' for m in self.milestones)}")

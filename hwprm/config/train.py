"""How a network is trained; dense training, ADMM, masked retraining and fine-tuning all read this."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["AUGMENTATIONS", "DECAYED", "DEVICES", "OPTIMISERS", "PRECISIONS", "SCHEDULES", "TrainConfig"]

OPTIMISERS = ("adamw", "sgd")
DECAYED = ("all", "matrices")
SCHEDULES = ("cosine", "constant", "step")
PRECISIONS = ("float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda")
AUGMENTATIONS = ("auto", "none", "shift", "affine", "elastic", "crop_flip")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run of the training engine."""

    #: Passes over the training images.
    epochs: int = 12
    #: Images per step; few make more steps of an epoch, which small data sets need.
    batch: int = 64
    #: Learning rate at the start.
    lr: float = 2e-3
    #: Decoupled weight decay (adamw) or L2 term (sgd).
    weight_decay: float = 1e-3
    #: What `weight_decay` acts on: all parameters, or matrices (the weights of convolutions and linear layers, not
    #: biases and batch norms, which a network with few of them needs as they are).
    decayed: str = "all"
    #: adamw or sgd.
    optimiser: str = "adamw"
    #: Momentum of sgd; 0 is plain gradient descent.
    momentum: float = 0.9
    #: Nesterov's form of sgd's momentum: the gradient counts where the momentum leads.
    nesterov: bool = False
    #: cosine (down to `lr_end` at the end), constant, or step (times `gamma` at each of `milestones`).
    schedule: str = "cosine"
    #: Share of `lr` that the schedule cosine ends at.
    lr_end: float = 0.01
    #: When the schedule step lowers the rate: shares of the run, rising; 0.5,0.75 is after half and three quarters.
    milestones: tuple[float, ...] = (0.5, 0.75)
    #: What the schedule step multiplies the rate by.
    gamma: float = 0.1
    #: Share of the run in which the rate rises linearly up to `lr`, before the schedule; 0 is off.
    warmup: float = 0.0
    #: Greatest L2 norm of all gradients together; longer ones are scaled down to it. 0 is off.
    clip: float = 0.0
    #: Stop as diverged when the loss has grown three epochs in a row and is more than this many times its best, or is
    #: more than this many times that of the start and that of guessing.
    loss_limit: float = 10.0
    #: Share of the label spread evenly over all classes; 0 is off.
    label_smoothing: float = 0.0
    #: none, shift (up to 2 pixels), affine (rotation, scale, shear, shift), elastic (affine and a smooth bend) or
    #: crop_flip (up to 4 pixels, mirrored half of the time); auto takes affine for mnist, crop_flip for cifar10, else
    #: none.
    augment: str = "auto"
    #: Augmented copies of the training set made once, before training, from which every epoch draws; 0 augments at
    #: every step. Each needs as many bytes as the set.
    copies: int = 0
    #: Share of the images left as they are when augmenting.
    clean_share: float = 0.5
    #: Share of the loss that asks for the outputs of the teacher, the dense network; read only where there is one.
    distill: float = 0.7
    #: Temperature at which the outputs of network and teacher are compared.
    temperature: float = 3.0
    #: Side of a square, in pixels, that is blanked at a random place of every augmented image; 0 is off.
    cutout: int = 0
    #: The result takes the moving average of the weights, in which the past weighs this much (less in the first
    #: steps); 0 takes the weights as they are at the end.
    average: float = 0.0
    #: Training images, as they are, that batch norms take new statistics from at the end; 0 keeps the running ones.
    recalibrate: int = 0
    #: Seed of the weights, the order of the images and the augmentation.
    seed: int = 0
    #: CPU threads; results are reproducible bit for bit at the same number. One is often fastest for small networks.
    threads: int = 1
    #: Number format of the forward pass: float32, bfloat16 or float16 (on CUDA only, the loss scaled). Weights,
    #: gradients and the optimiser stay float32.
    precision: str = "float32"
    #: Keep images and convolution weights with their channels innermost in memory, which convolutions are faster on.
    channels_last: bool = True
    #: auto (CUDA where there is a device, else the CPU), cpu or cuda. Results repeat bit for bit on the CPU only.
    device: str = "auto"

    def __post_init__(self) -> None:
        _check_int("epochs", self.epochs, 1, 10_000)
        _check_int("batch", self.batch, 1, 1 << 20)
        _check_int("seed", self.seed, 0, (1 << 63) - 1)
        _check_int("threads", self.threads, 1, 1024)
        _check_real("lr", self.lr, 1e-12, 1e3)
        _check_real("weight_decay", self.weight_decay, 0.0, 1e3)
        _check_real("label_smoothing", self.label_smoothing, 0.0, 0.999)
        _check_real("clean_share", self.clean_share, 0.0, 1.0)
        _check_int("copies", self.copies, 0, 1000)
        _check_real("distill", self.distill, 0.0, 1.0)
        _check_real("temperature", self.temperature, 1e-3, 1e3)
        for name, low, high in (("momentum", 0.0, 0.9999), ("gamma", 1e-6, 1.0), ("warmup", 0.0, 0.9)):
            _check_real(name, getattr(self, name), low, high)
        _check_real("lr_end", self.lr_end, 0.0, 1.0)
        _check_real("average", self.average, 0.0, 0.999999)
        _check_int("cutout", self.cutout, 0, 10_000)
        _check_int("recalibrate", self.recalibrate, 0, 1 << 40)
        _check_real("clip", self.clip, 0.0, 1e9)
        _check_real("loss_limit", self.loss_limit, 1.0, 1e9)
        known = {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "augment": AUGMENTATIONS, "decayed": DECAYED}
        for name, words in (known | {"precision": PRECISIONS, "device": DEVICES}).items():
            if getattr(self, name) not in words:
                raise ConfigError(f"train.{name} must be one of {', '.join(words)}, not {getattr(self, name)!r}")
        for name in ("nesterov", "channels_last"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"train.{name} must be true or false, not {getattr(self, name)!r}")
        if self.nesterov and (self.optimiser != "sgd" or not self.momentum):
            raise ConfigError("train.nesterov is a form of sgd's momentum; set train.optimiser to sgd, or leave it out")
        self._check_milestones()

    def _check_milestones(self) -> None:
        for share in self.milestones:
            _check_real("milestones", share, 0.0, 1.0)
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError(f"train.milestones must rise, not {', '.join(f'{m:g}' for m in self.milestones)}")


def _check_int(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"train.{name} must be a whole number in {low}..{high}, not {value!r}")


def _check_real(name: str, value: object, low: float, high: float) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (fits and low <= float(value) <= high):  # type: ignore[arg-type]  # `fits` says it is a number
        raise ConfigError(f"train.{name} must be in {low:g}..{high:g}, not {value!r}")

"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwprm.config.train import TrainConfig

__all__ = ["Mixed", "training_loss"]


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """What images show beside what they are: the `labels` ``(n,)`` of others, and the `share` ``(n,)`` of each."""

    labels: Tensor
    share: Tensor


def training_loss(
    output: Tensor, labels: Tensor, taught: Tensor | None, config: TrainConfig, mixed: Mixed | None = None
) -> Tensor:
    """Mean over the images of ``(1 - d) * cross entropy + d * T^2 * KL(teacher || network)``, both at temperature T.

    `output` and `taught` are logits ``(n, classes)``, `labels` ``(n,)``; d = ``config.distill``, 0 without `taught`.
    (Hinton, Vinyals, Dean, arXiv 1503.02531, section 2.) The cross entropy of images with a part of others is that of
    both labels, weighted by what each has of the image (Yun et al., arXiv 1905.04899, equation 1).
    """
    if mixed is None:
        loss = functional.cross_entropy(output, labels, label_smoothing=config.label_smoothing)
    else:
        own, other = (
            functional.cross_entropy(output, wanted, label_smoothing=config.label_smoothing, reduction="none")
            for wanted in (labels, mixed.labels)
        )
        loss = torch.lerp(own, other, mixed.share.to(own.dtype)).mean()
    if taught is None:
        return loss
    own, wanted = (functional.log_softmax(x / config.temperature, dim=1) for x in (output, taught))
    apart = functional.kl_div(own, wanted, reduction="batchmean", log_target=True)
    return (1 - config.distill) * loss + config.distill * config.temperature**2 * apart

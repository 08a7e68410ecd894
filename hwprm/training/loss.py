"""What training minimises."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from hwprm.config.train import TrainConfig

__all__ = ["training_loss"]


def training_loss(output: Tensor, labels: Tensor, taught: Tensor | None, config: TrainConfig) -> Tensor:
    """Mean over the images of ``(1 - d) * cross entropy + d * T^2 * KL(teacher || network)``, both at temperature T.

    `output` and `taught` are logits ``(n, classes)``, `labels` ``(n,)``; d = ``config.distill``, 0 without `taught`.
    (Hinton, Vinyals, Dean, arXiv 1503.02531, section 2.)
    """
    loss = functional.cross_entropy(output, labels, label_smoothing=config.label_smoothing)
    if taught is None:
        return loss
    own, wanted = (functional.log_softmax(x / config.temperature, dim=1) for x in (output, taught))
    apart = functional.kl_div(own, wanted, reduction="batchmean", log_target=True)
    return (1 - config.distill) * loss + config.distill * config.temperature**2 * apart

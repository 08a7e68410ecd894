"""One training engine for dense training, ADMM, masked retraining and fine-tuning."""

from hwprm.core.progress import Progress, silent
from hwprm.training.checkpoint import Checkpoint
from hwprm.training.context import Context, Earlier
from hwprm.training.engine import FitResult, fit
from hwprm.training.evaluate import accuracy, logits
from hwprm.training.hooks import Hooks
from hwprm.training.stages import finetune, train

__all__ = [
    "Checkpoint",
    "Context",
    "Earlier",
    "FitResult",
    "Hooks",
    "Progress",
    "accuracy",
    "finetune",
    "fit",
    "logits",
    "silent",
    "train",
]

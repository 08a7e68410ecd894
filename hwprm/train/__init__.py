"""One training engine for dense training, ADMM, masked retraining and fine-tuning."""

from hwprm.train.checkpoint import Checkpoint
from hwprm.train.engine import FitResult, fit
from hwprm.train.evaluate import accuracy, logits
from hwprm.train.hooks import Hooks
from hwprm.train.progress import Progress, silent
from hwprm.train.stages import finetune, train

__all__ = ["Checkpoint", "FitResult", "Hooks", "Progress", "accuracy", "finetune", "fit", "logits", "silent", "train"]

"""`fit`: the one training loop. Dense training, ADMM, masked retraining and fine-tuning differ in `Hooks` only."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer

from hwprm.config.train import TrainConfig
from hwprm.data import Dataset
from hwprm.errors import DataError, ModelError
from hwprm.graph import WEIGHTED, BatchNorm, Graph
from hwprm.nets import GraphModule
from hwprm.train.checkpoint import Checkpoint, Saved, digest
from hwprm.train.evaluate import check_fit
from hwprm.train.hooks import Hooks
from hwprm.train.progress import Progress, silent
from hwprm.train.samples import Batch, Samples

__all__ = ["FitResult", "fit"]

#: Steps between two calls of the progress function.
PROGRESS_STEPS = 4


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Per-epoch numbers and the seconds the run took, resumed parts included.

    Each epoch has ``loss``, ``accuracy`` (per cent of the augmented training images, while training), ``lr`` (at the
    epoch's end), and what the hooks gave.
    """

    history: tuple[dict[str, float], ...]
    seconds: float


def fit(
    module: GraphModule,
    dataset: Dataset,
    config: TrainConfig,
    *,
    stage: str,
    hooks: Hooks | None = None,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
    teacher: Graph | None = None,
    before: int = 0,
) -> FitResult:
    """Train `module` in place on the training split; `stage` names the run in progress and in checkpoint files.

    `before` epochs of the data were drawn earlier: the order and the augmentation go on from there.
    With a `teacher` the loss is ``(1 - d) * cross entropy + d * T^2 * KL(teacher || module)``, d = ``config.distill``,
    both at temperature T (Hinton, Vinyals, Dean, arXiv 1503.02531, section 2).
    The same inputs give the same bits, also when the run was stopped and resumed. Raises ModelError when the loss
    stops being finite or there is nothing to train, DataError when images do not fit the network. On Ctrl-C a
    KeyboardInterrupt whose text says how to go on leaves; the last finished epoch is in the checkpoint.
    """
    if not dataset.classes:
        raise DataError(f"the data set {dataset.name} has no labels to train with; store one class a image as y")
    check_fit(module.graph, dataset.image_shape, dataset.classes)
    _check_trainable(module.graph, len(dataset.y_train), config)
    with _threads(config.threads):
        run = _Run(module, dataset, config, stage, hooks or Hooks(), progress, teacher, before)
        identity = run.identity()
        saved = checkpoint.load(stage, identity) if checkpoint else None
        if saved:
            run.restore(saved)
        try:
            while run.epoch < config.epochs:
                run.one_epoch()
                if checkpoint:
                    checkpoint.save(stage, identity, run.saved())
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_how_to_resume(run, checkpoint)) from None
    return FitResult(history=tuple(run.history), seconds=run.seconds)


def _check_trainable(graph: Graph, images: int, config: TrainConfig) -> None:
    if not any(isinstance(node, (*WEIGHTED, BatchNorm)) for node in graph.nodes):
        raise ModelError("the network has no weights, so there is nothing to train; give it a layer that has")
    smallest = images // math.ceil(images / config.batch)
    single = [n.name for n in graph.nodes if isinstance(n, BatchNorm) and math.prod(graph.shapes[n.name][1:]) == 1]
    if single and smallest == 1:
        raise ModelError(
            f"batch norm {single[0]!r} cannot be trained on batches of one image ({images} images, train.batch = "
            f"{config.batch}): they have no variance; use larger batches or more images"
        )


def _how_to_resume(run: _Run, checkpoint: Checkpoint | None) -> str:
    where = f"stopped in epoch {min(run.epoch + 1, run.config.epochs)} of {run.config.epochs} of {run.stage}"
    if checkpoint is None:
        return f"{where}; nothing was kept, as no checkpoint folder was given"
    return f"{where}; run again with the same options and resume on, it goes on from {checkpoint.folder}"


class _Run:
    """The state of one `fit`."""

    def __init__(
        self,
        module: GraphModule,
        dataset: Dataset,
        config: TrainConfig,
        stage: str,
        hooks: Hooks,
        progress: Progress,
        teacher: Graph | None,
        before: int,
    ) -> None:
        self.module, self.config = module, config
        self.stage, self.hooks, self.progress = stage, hooks, progress
        self.epoch, self.before = 0, before
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        # Channels last halves the time of a step on CPUs.
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.samples = Samples(dataset, module.graph, config, next(module.parameters()).dtype, teacher)
        self.steps = self.samples.steps
        self.optimiser = _optimiser(module, config)

    def identity(self) -> str:
        """Digest of what the result depends on: options, data, teacher, starting weights."""
        tensors = dict(self.module.state_dict())
        tensors |= {f"hooks.{key}": value for key, value in self.hooks.state().items()}
        options = repr(sorted(asdict(self.config).items()))
        return digest(
            tensors,
            options,
            f"{self.stage} {self.before}",
            repr(self.samples.dataset.input_scale),
            self.samples.digest(),
        )

    def one_epoch(self) -> None:
        """Every training image once."""
        started = time.perf_counter()
        self.module.train()
        total, right, images = 0.0, 0, len(self.samples.labels)
        for step, batch in enumerate(self.samples.epoch(self.before + self.epoch)):
            loss, hits = self._step(batch, self.epoch * self.steps + step)
            total += loss * len(batch.labels)
            right += hits
            if (step + 1) % PROGRESS_STEPS == 0 and step + 1 < self.steps:
                self._tell(step + 1, {"loss": loss})
        self.epoch += 1
        with torch.no_grad():
            metrics = {"loss": total / images, "accuracy": 100.0 * right / images}
            metrics |= {"lr": self.optimiser.param_groups[0]["lr"]}
            metrics |= self.hooks.after_epoch(self.module, self.epoch, self.config.epochs)
        self.history.append(metrics)
        self.seconds += time.perf_counter() - started
        self._tell(0, metrics)

    def _tell(self, steps: int, metrics: dict[str, float]) -> None:
        self.progress(self.stage, self.epoch * self.steps + steps, self.config.epochs * self.steps, metrics)

    def _step(self, batch: Batch, at: int) -> tuple[float, int]:
        """One step of the optimiser; the loss, and how many images were put in their class."""
        for group in self.optimiser.param_groups:
            group["lr"] = _learning_rate(self.config, at / (self.config.epochs * self.steps))
        output = self.module(*batch.images)
        loss = self._loss(output, batch)
        extra = self.hooks.penalty(self.module)
        self.optimiser.zero_grad()
        (loss if extra is None else loss + extra).backward()  # type: ignore[no-untyped-call]  # torch's own
        value = float(loss.detach()) + (0.0 if extra is None else float(extra.detach()))
        if not math.isfinite(value):
            raise ModelError(
                f"{self.stage}: training diverged, the loss is {value} in epoch {self.epoch + 1} of "
                f"{self.config.epochs}; lower the learning rate (now {self.config.lr:g}) or check the images"
            )
        self.hooks.after_backward(self.module)
        self.optimiser.step()
        with torch.no_grad():
            self.hooks.after_step(self.module)
            return value, int((output.argmax(dim=1) == batch.labels).sum())

    def _loss(self, output: Tensor, batch: Batch) -> Tensor:
        config = self.config
        loss = functional.cross_entropy(output, batch.labels, label_smoothing=config.label_smoothing)
        if batch.taught is None:
            return loss
        own, wanted = (functional.log_softmax(x / config.temperature, dim=1) for x in (output, batch.taught))
        apart = functional.kl_div(own, wanted, reduction="batchmean", log_target=True)
        return (1 - config.distill) * loss + config.distill * config.temperature**2 * apart

    def saved(self) -> Saved:
        """Everything `restore` needs."""
        tensors = {f"module.{key}": value for key, value in self.module.state_dict().items()}
        tensors |= {f"hooks.{key}": value for key, value in self.hooks.state().items()}
        for i, entry in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{key}": value for key, value in entry.items() if value is not None}
        return Saved(epoch=self.epoch, history=self.history, seconds=self.seconds, tensors=tensors)

    def restore(self, saved: Saved) -> None:
        """Take up `saved` exactly where it was."""
        own = self.module.state_dict()
        with torch.no_grad():
            for key, value in own.items():
                value.copy_(saved.tensors[f"module.{key}"])
        prefix = "hooks."
        self.hooks.load_state(
            {key.removeprefix(prefix): value for key, value in saved.tensors.items() if key.startswith(prefix)}
        )
        self._restore_optimiser(saved)
        self.epoch, self.history, self.seconds = saved.epoch, list(saved.history), saved.seconds

    def _restore_optimiser(self, saved: Saved) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.module.parameters())
        for key, value in saved.tensors.items():
            kind, _, rest = key.partition(".")
            if kind == "optimiser":
                i, _, name = rest.partition(".")
                like = parameters[int(i)]
                # The fused step walks raw memory: moments must lie in the same order as their parameter.
                moment = torch.empty_like(like).copy_(value).detach() if value.shape == like.shape else value
                state.setdefault(int(i), {})[name] = moment
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})


def _optimiser(module: GraphModule, config: TrainConfig) -> Optimizer:
    if config.optimiser == "sgd":
        return SGD(module.parameters(), config.lr, momentum=0.9, weight_decay=config.weight_decay)
    return AdamW(
        module.parameters(), config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
    )  # fused: one pass over memory, a tenth of a step's time on LeNet-5


def _learning_rate(config: TrainConfig, share: float) -> float:
    """Rate after `share` (0..1) of all steps; the cosine ends at 1 % of the start."""
    if config.schedule == "constant":
        return config.lr
    return config.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""`fit`: the one training loop. Dense training, ADMM, masked retraining and fine-tuning differ in `Hooks` only."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError, DataError, ModelError, ToolError
from hwprm.data import Dataset
from hwprm.graph import WEIGHTED, BatchNorm, Graph
from hwprm.nets import GraphModule
from hwprm.training.average import WeightAverage
from hwprm.training.checkpoint import Saved, digest, how_to_resume
from hwprm.training.context import Context, Earlier
from hwprm.training.devices import Precision, choose_device, innermost_channels, threads
from hwprm.training.distributed import Group
from hwprm.training.divergence import guessing_loss, refuse_excess, refuse_growth, refuse_not_finite
from hwprm.training.evaluate import accuracy, check_fit
from hwprm.training.hooks import Hooks
from hwprm.training.loss import training_loss
from hwprm.training.optimisers import make_optimiser, named, pack, take_named, unpack
from hwprm.training.samples import Batch, Place, Samples
from hwprm.training.schedule import learning_rate

__all__ = ["FitResult", "fit"]

#: Steps between two calls of the progress function.
PROGRESS_STEPS = 4


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Per-epoch numbers and the seconds the run took, resumed parts included.

    Each epoch has ``loss``, ``accuracy`` (per cent of the augmented training images, while training), ``lr`` (at the
    epoch's end), and what the hooks gave.
    """

    history: tuple[dict[str, Any], ...]
    seconds: float
    #: State of the optimiser at the end, as `hwprm.training.optimisers.named` gives it.
    moments: dict[str, Tensor]


def fit(
    module: GraphModule,
    dataset: Dataset,
    context: Context,
    *,
    stage: str,
    hooks: Hooks | None = None,
    earlier: Earlier | None = None,
) -> FitResult:
    """Train `module` in place on the training split; `stage` names the run in progress and in checkpoint files.

    `earlier` is what came before on larger networks that this one was cut from: the order of the images and the
    augmentation go on from there, and the loss may grow with every cut, up to that of guessing.
    The module comes and goes on the CPU, whatever device it is trained on.
    The same inputs give the same bits on the CPU, also when the run was stopped and resumed. In a process group of
    ``torch.distributed`` every process calls this alike and ends with the same weights, those of a single process but
    for rounding; the first one writes the checkpoint and tells the progress.

    Raises ModelError when training diverges or there is nothing to train, DataError when images or teacher do not fit
    the network, ConfigError for options that this machine or the process group cannot carry out, InputError when a
    checkpoint cannot be written. On Ctrl-C a KeyboardInterrupt whose text says how to go on leaves; the last finished
    epoch is in the checkpoint.
    """
    if not dataset.classes:
        why = f" ({dataset.unlabelled})" if dataset.unlabelled else ""
        raise DataError(f"the data set {dataset.name} has no labels to train with{why}; store one class an image as y")
    check_fit(module.graph, dataset.image_shape, dataset.classes)
    if context.teacher is not None:
        _check_teacher(context.teacher, module.graph, dataset)
    config, group, device = context.config, Group.current(), choose_device(context.config)
    if config.validate and context.held_out is None:
        raise ConfigError("train.validate measures on images that are held out, and none are; set data.validation")
    _check_trainable(module.graph, len(dataset.y_train), config, group)
    course = _Course(stage=stage, hooks=hooks or Hooks(), earlier=earlier or Earlier())
    with (
        threads(config.threads),
        _placed(module, course.hooks, config, device),
        group.shared(module, norms=config.shared_norms) as network,
    ):
        run = _Run(module, network, dataset, context, course)
        try:
            run.take_up()
            while run.epoch < config.epochs:
                run.one_epoch()
                run.keep()
        except KeyboardInterrupt as stop:
            epoch = f"epoch {min(run.epoch + 1, config.epochs)} of {config.epochs} of {stage}"
            raise type(stop)(how_to_resume(epoch, context.checkpoint)) from None
        except RuntimeError as error:
            if group.size == 1:
                raise
            raise ToolError(
                f"{stage}: the {group.size} processes lost each other ({error}); look at what the others said, then "
                "run again with the same options"
            ) from error
        run.finish()
        moments = {name: value.cpu() for name, value in named(module, run.optimiser).items()}
    return FitResult(history=tuple(run.history), seconds=run.seconds, moments=moments)


def _check_teacher(teacher: Graph, graph: Graph, dataset: Dataset) -> None:
    try:
        check_fit(teacher, dataset.image_shape, dataset.classes)
    except (DataError, ModelError) as error:
        raise type(error)(f"the teacher does not fit: {error}") from error
    shapes = [one.shapes[one.outputs[0]] for one in (teacher, graph)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"the teacher gives logits of shape {shapes[0]}, the network {shapes[1]}; take a teacher of its classes"
        )


def _check_trainable(graph: Graph, images: int, config: TrainConfig, group: Group) -> None:
    if not any(isinstance(node, (*WEIGHTED, BatchNorm)) for node in graph.nodes):
        raise ModelError("the network has no weights, so there is nothing to train; give it a layer that has")
    smallest = images // math.ceil(images / config.batch)
    single = [n.name for n in graph.nodes if isinstance(n, BatchNorm) and math.prod(graph.shapes[n.name][1:]) == 1]
    if single and smallest == 1:
        raise ModelError(
            f"batch norm {single[0]!r} cannot be trained on batches of one image ({images} images, train.batch = "
            f"{config.batch}): they have no variance; use larger batches or more images"
        )
    if smallest < group.size:
        raise ConfigError(
            f"batches of {smallest} images ({images} images, train.batch = {config.batch}) cannot be shared by "
            f"{group.size} processes; use larger batches or fewer processes"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Course:
    """What makes one run differ from others of the same context."""

    stage: str
    hooks: Hooks
    earlier: Earlier


class _Run:
    """The state of one `fit`."""

    def __init__(
        self, module: GraphModule, network: nn.Module, dataset: Dataset, context: Context, course: _Course
    ) -> None:
        self.module, self.network, self.config = module, network, context.config
        self.stage, self.hooks = course.stage, course.hooks
        self.progress, self.checkpoint, self.held_out = context.progress, context.checkpoint, context.held_out
        self.group, self.device = Group.current(), choose_device(context.config)
        self.epoch, self.earlier, self.before = 0, course.earlier.losses, len(course.earlier.losses)
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.dtype = next(module.parameters()).dtype
        self.samples = Samples(
            dataset, module.graph, context, self.dtype, Place(device=self.device, part=self.group.own)
        )
        self.steps = self.samples.steps
        self.optimiser = make_optimiser(module, self.config)
        take_named(module, self.optimiser, course.earlier.moments)
        self.precision = Precision(self.config, self.device)
        self.average = WeightAverage(module, self.config.average) if self.config.average else None
        self.hooks.begin(self.steps * self.config.epochs)
        self.identity = self._identity()

    def _identity(self) -> str:
        """Digest of what the result depends on: options, data, teacher, structure and starting weights."""
        tensors = dict(self.module.state_dict())
        tensors |= {f"hooks.{key}": value for key, value in self.hooks.state().items()}
        options = repr(sorted(asdict(self.config).items()))
        return digest(
            tensors,
            options,
            f"{self.stage} {self.before} {self.hooks.options()}",
            repr(self.module.graph.structure),
            repr(self.samples.dataset.input_scale),
            self.samples.digest(),
        )

    def one_epoch(self) -> None:
        """Every training image once."""
        started = time.perf_counter()
        self.module.train()
        total, right, first, images = 0.0, 0.0, 0.0, len(self.samples.labels)
        for step, batch in enumerate(self.samples.epoch(self.before + self.epoch)):
            loss, hits = self._step(batch, self.epoch * self.steps + step)
            total += loss * len(batch.labels)
            right += hits
            if step == 0:
                first = loss * len(batch.labels) / batch.whole
            if (step + 1) % PROGRESS_STEPS == 0 and step + 1 < self.steps:
                self._tell(step + 1, {"loss": loss})
        self.epoch += 1
        total, right, first = self.group.sums(total, right, first)
        with torch.no_grad():
            self.group.level(self._own_statistics())
            metrics: dict[str, Any] = {"loss": total / images, "accuracy": 100.0 * right / images}
            metrics |= {"lr": self.optimiser.param_groups[0]["lr"]}
            metrics |= self.hooks.after_epoch(self.module, self.epoch, self.config.epochs)
            metrics |= self._validated()
        self.history.append(metrics)
        self._refuse_divergence(first)
        self.seconds += time.perf_counter() - started
        self._tell(0, {key: value for key, value in metrics.items() if isinstance(value, float)})

    def _own_statistics(self) -> Iterator[Tensor]:
        """What this process alone knows of batch norms, and the averages of that."""
        if not self.config.shared_norms:
            for name, buffer in self.module.named_buffers():
                if buffer.is_floating_point():
                    yield buffer
                    if self.average is not None:
                        yield self.average.mean[name]

    def _validated(self) -> dict[str, float]:
        """Accuracy on the images held out, with the averaged weights where the result takes these."""
        every, last = self.config.validate, self.epoch == self.config.epochs and not self.before
        if not every or self.held_out is None or ((self.before + self.epoch) % every and not last):
            return {}
        module = GraphModule(self.module.to_graph())
        if self.average is not None:
            self.average.put(module)
        x, y = self.held_out
        data = self.samples.dataset
        return {"held_out_accuracy": accuracy(module.to_graph(), x, y, data.input_scale, device=self.device)}

    def _refuse_divergence(self, first: float) -> None:
        """Raise ModelError when the losses of the epochs are beyond saving; `first`: of this epoch's first step."""
        losses = [*self.earlier, *(entry["loss"] for entry in self.history)]
        graph = self.module.graph
        guessing = guessing_loss(graph.shapes[graph.outputs[0]][0], self.samples.teacher is not None, self.config)
        start = first if len(losses) == 1 else losses[0]
        refuse_excess(self.stage, losses, self.config, max(start, guessing))
        refuse_growth(self.stage, losses, self.config, guessing if self.earlier else 0.0)

    def _tell(self, steps: int, metrics: dict[str, float]) -> None:
        if self.group.rank == 0:
            self.progress(self.stage, self.epoch * self.steps + steps, self.config.epochs * self.steps, metrics)

    def _step(self, batch: Batch, at: int) -> tuple[float, int]:
        """One step of the optimiser; the loss, and how many images were put in their class."""
        rate = learning_rate(self.config, at, self.config.epochs * self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with self.precision.forward():
            output: Tensor = self.network(*batch.images)
        loss = training_loss(output.to(self.dtype), batch.labels, batch.taught, self.config, batch.mixed)
        self.optimiser.zero_grad()
        # Gradients become means over the processes, whose parts need not be equal.
        weight = self.group.size * len(batch.labels) / batch.whole
        self.precision.backward(loss if weight == 1 else loss * weight, self.optimiser)
        with torch.no_grad():
            self.hooks.after_backward(self.module)
        value = float(loss.detach())
        self._tame_gradients(value)
        self.precision.step(self.optimiser)
        with torch.no_grad():
            self.hooks.after_step(self.module)
            if self.average is not None:
                self.average.update(self.module)
            return value, int((output.argmax(dim=1) == batch.shown).sum())

    def _tame_gradients(self, loss: float) -> None:
        """Clip them where that is asked for, and refuse what is not finite."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        # Scaled gradients may overflow now and then: that step is skipped and the scale lowered.
        finite = 0.0 if self.precision.scaler is not None else float(norm)
        refuse_not_finite(self.stage, loss, finite, self.epoch + 1, self.config)
        if self.config.clip:
            clip_grads_with_norm_(parameters, self.config.clip, norm)

    def finish(self) -> None:
        """What the result takes that no epoch goes on from."""
        if self.average is not None:
            with torch.no_grad():
                self.average.put(self.module)

    def keep(self) -> None:
        """Write the state after an epoch."""
        if (checkpoint := self.checkpoint) is not None:
            self.group.from_first(lambda: checkpoint.save(self.stage, self.identity, self.saved()))

    def take_up(self) -> None:
        """Go on from the checkpoint where it holds something of this run."""
        checkpoint = self.checkpoint
        saved = self.group.from_first(lambda: checkpoint.load(self.stage, self.identity)) if checkpoint else None
        if saved is not None:
            self.restore(saved)

    def saved(self) -> Saved:
        """Everything `restore` needs."""
        parts = {
            "module": self.module.state_dict(),
            "hooks": self.hooks.state(),
            "optimiser": pack(self.optimiser),
            "precision": self.precision.pack(),
            "average": {} if self.average is None else self.average.state(),
        }
        tensors = {f"{part}.{key}": value.cpu() for part, found in parts.items() for key, value in found.items()}
        return Saved(epoch=self.epoch, history=self.history, seconds=self.seconds, tensors=tensors)

    def restore(self, saved: Saved) -> None:
        """Take up `saved` exactly where it was."""
        names = ("module", "hooks", "optimiser", "precision", "average")
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        for name, value in saved.tensors.items():
            part, _, key = name.partition(".")
            parts[part][key] = value
        with torch.no_grad():
            for key, value in self.module.state_dict().items():
                value.copy_(parts["module"][key])
        self.hooks.load_state(parts["hooks"])
        self.hooks.to(self.device)
        unpack(self.optimiser, parts["optimiser"])
        self.precision.unpack(parts["precision"])
        if self.average is not None:
            self.average.load_state(parts["average"])
        self.epoch, self.history, self.seconds = saved.epoch, list(saved.history), saved.seconds


@contextmanager
def _placed(module: GraphModule, hooks: Hooks, config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Inside, `module` and `hooks` are on `device`, weights laid out as they are run; afterwards on the CPU."""
    module.to(device)
    for parameter in module.parameters():
        if config.channels_last and parameter.ndim == 4:
            parameter.data = innermost_channels(parameter.data)
    hooks.to(device)
    try:
        yield
    finally:
        module.cpu()
        hooks.to(torch.device("cpu"))

"""Pruning inside a training loop of your own: `Admm` and `Shrink`, on your own torch module, in place."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwprm.core.extras import says_what_it_lacks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hwprm.config import AdmmConfig, LayerBudget, ShrinkConfig
    from hwprm.graph import Shapes
    from hwprm.model import Model, Stage
    from hwprm.nets import TiedModule
    from hwprm.pruning.admm.own import AdmmCourse
    from hwprm.pruning.shrinking.own import ShrinkCourse

    Course = AdmmCourse | ShrinkCourse
    Example = Tensor | tuple[Tensor, ...] | Shapes

__all__ = ["Admm", "Shrink"]


class _Loop(ABC):
    """What `Admm` and `Shrink` share: the module, its trace, and the calls of the loop.

    The module is traced once, on an input of the shape of `example`; without one, on that of the first batch that runs
    through it, when the loop first asks for something.
    """

    @says_what_it_lacks
    def __init__(self, module: nn.Module, example: Example | None) -> None:
        from torch import nn

        from hwprm.core.errors import InputError

        if not isinstance(module, nn.Module):
            raise InputError(
                f"the network is a torch.nn.Module that your loop trains, not {type(module).__name__}; a Model becomes "
                "one by to_torch()"
            )
        self._net = module
        self._course: Course | None = None
        self._shapes: Shapes | None = None if example is None else _shapes(module, example)
        self._log: list[dict[str, Any]] = []
        self._epoch = 0
        if example is None:
            self._watch = module.register_forward_pre_hook(self._see, with_kwargs=True)
        else:
            self._begin()

    @property
    def epochs(self) -> int:
        """How many epochs the loop has to run until `done`."""
        return self._begin().epochs

    @property
    def done(self) -> bool:
        """Whether the network is pruned as asked for: epochs from here on are masked retraining."""
        return self._begin().done

    @property
    def phase(self) -> str:
        """What the epoch of now is for; where it changes, a new optimiser does what the verbs do."""
        return self._begin().phase

    @property
    def lr(self) -> float:
        """The learning rate at which the configuration would begin this phase; yours may be another."""
        return self._begin().lr

    def after_backward(self) -> None:
        """After ``loss.backward()``, before the optimiser's step: adds the penalty's gradient, and none to zeros.

        With a scaled loss call it after ``scaler.unscale_(optimizer)``.
        """
        import torch

        module, course = self._ready(), self._begin()
        with torch.no_grad():
            course.hooks.after_backward(module)

    def after_step(self) -> None:
        """After ``optimizer.step()``: pruned weights are zero again."""
        import torch

        module, course = self._ready(), self._begin()
        with torch.no_grad():
            course.hooks.after_step(module)

    def after_epoch(self) -> dict[str, Any]:
        """After an epoch: moves the pruning on, and returns what it measures by name (see the class)."""
        import torch

        self._ready()
        with torch.no_grad():
            found = self._begin().after_epoch()
        self._epoch += 1
        if found:
            self._log.append({"stage": self._stage().value, "epoch": self._epoch, **found})
        return found

    def finish(self) -> None:
        """Prune down to what was asked for now, wherever the loop is. `after_step` keeps the zeros from here on."""
        import torch

        self._ready()
        with torch.no_grad():
            self._begin().finish()

    def model(self, example: Example | None = None) -> Model:
        """The network of now as a `Model`, for `hwprm.prune` to purify, compact and fine-tune, and for `save`.

        `example` is an input with its batch, or the shape of one image ``(C, H, W)``, by argument of ``forward`` where
        there are several; needed only where there was none yet. Raises ModelError when `done` is not True yet, or a
        class was lost, what `hwprm.frontend.to_graph` raises.
        """
        from hwprm.core.errors import ModelError
        from hwprm.frontend import to_graph
        from hwprm.model import Model
        from hwprm.pruning.admm.supports import kept_indices

        if example is not None:
            self._shapes = _shapes(self._net, example)
        course = self._begin()
        if not course.done:
            raise ModelError(f"the network is not pruned yet (phase {course.phase!r}); call finish() first")
        graph = to_graph(self._net, self._shapes)
        course.check(graph)
        model = Model(graph=graph, stage=self._stage())
        return model.advance(
            graph, model.stage, name=type(self._net).__name__, plan=kept_indices(_tied(self._net, graph)), log=self._log
        )

    def _begin(self) -> Course:
        """The course, begun when first asked for."""
        if self._course is None:
            from hwprm.core.errors import ModelError
            from hwprm.frontend import to_graph

            if self._shapes is None:
                raise ModelError(
                    "no batch has run through the network yet, so its shapes are not known; give example=(C, H, W)"
                )
            self._course = self._made(_tied(self._net, to_graph(self._net, self._shapes)))
        return self._course

    def _ready(self) -> TiedModule:
        """The tied module, with what the loop made of its parameters, on the device where they are."""
        course = self._begin()
        module = course.module
        if module.follow():
            course.hooks.to(module.device)
        module.refresh()
        return module

    def _see(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
        shapes = {name: tuple(value.shape[1:]) for name, value in given.items() if hasattr(value, "shape")}
        self._shapes = shapes if len(shapes) > 1 else next(iter(shapes.values()))
        self._watch.remove()

    @abstractmethod
    def _made(self, module: TiedModule) -> Course:
        """What goes on in the loop."""

    @abstractmethod
    def _stage(self) -> Stage:
        """What the model is when it is over."""


class Admm(_Loop):
    """ADMM on your own module in your own loop; its weights change in place.

    >>> admm = hwprm.Admm(net, compression=4, steps=len(loader))
    >>> for epoch in range(admm.epochs):
    ...     for x, y in loader:
    ...         loss = criterion(net(x), y) + admm.penalty()
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    ...         admm.after_step()
    ...     residuals = admm.after_epoch()
    >>> admm.finish()
    >>> small = hwprm.prune(admm.model(), data)

    Instead of `penalty` in the loss, `after_backward` adds its gradient: cheaper, and to the bit what `hwprm.prune`
    does. The phases are those of ``config``: ADMM in steps, each with a hard cut behind it, and masked retraining.
    `after_epoch` returns ``rho``, the ``penalty``, and by layer ``primal.<layer>``, the relative primal residual, and
    ``dual.<layer>``, of the last update; those of every update of the epoch are the list ``updates``.
    """

    def __init__(
        self,
        module: nn.Module,
        config: AdmmConfig | None = None,
        *,
        compression: float | None = None,
        budgets: Mapping[str, LayerBudget] | None = None,
        example: Example | None = None,
        steps: int | None = None,
    ) -> None:
        """`compression` and `budgets` go before those of `config`, which says the rest: structure, rho, phases.

        `steps` are the batches of an epoch, ``len(loader)``, over which the updates of Z and U spread as `config` says;
        without them there is one behind each epoch, which takes more epochs to have an effect. `example` is an input
        with its batch or its shape without, see `model`. Raises ConfigError for budgets that do not fit (and for
        limits in cycles, which only `hwprm.prune` counts),
        UnsupportedError for an operator that hwprm lacks; without `example` when the loop begins.
        """
        from hwprm.config import AdmmConfig
        from hwprm.core.errors import ConfigError

        config = AdmmConfig.given(config)
        if compression is not None:
            config = replace(config, compression=compression)
        self._config = config if budgets is None else replace(config, budgets=budgets)
        self._in_loss = False
        if steps is not None and steps < 1:
            raise ConfigError(f"steps are the batches of an epoch, at least 1, not {steps}; give len(loader)")
        self._steps = steps or 0
        super().__init__(module, example)

    def penalty(self) -> Tensor:
        """``sum of rho/2 * ||W - Z + U||^2`` over the pruned layers, to be added to the loss; 0 in masked phases."""
        from hwprm.pruning.admm.hooks import AdmmHooks

        module, hooks = self._ready(), self._begin().hooks
        self._in_loss = True
        if isinstance(hooks, AdmmHooks):
            return hooks.penalty(module)
        return next(module.parameters()).new_zeros(())

    def after_backward(self) -> None:
        """As told above; a penalty that this step's loss has already is not added again."""
        import torch

        from hwprm.pruning.admm.hooks import AdmmHooks

        hooks = self._begin().hooks
        if self._in_loss and isinstance(hooks, AdmmHooks):
            module = self._ready()
            with torch.no_grad():
                hooks.masks.after_backward(module)
        else:
            super().after_backward()

    def after_step(self) -> None:
        super().after_step()
        self._in_loss = False

    def _made(self, module: TiedModule) -> AdmmCourse:
        from hwprm.pruning.admm.own import AdmmCourse

        return AdmmCourse(module, self._config, self._steps)

    def _stage(self) -> Stage:
        from hwprm.model import Stage

        return Stage.ADMM


class Shrink(_Loop):
    """Gradual shrinking on your own module in your own loop: channels and columns leave while it trains.

    >>> shrink = hwprm.Shrink(net, steps=len(loader), compression=4)
    >>> while not shrink.done:
    ...     for x, y in loader:
    ...         optimizer.zero_grad()
    ...         criterion(net(x), y).backward()
    ...         shrink.after_backward()
    ...         optimizer.step()
    ...         shrink.after_step()
    ...     left = shrink.after_epoch()

    `after_backward` measures which channels matter, so it has to be called. `after_epoch` returns what is ``left`` of
    the count. The module keeps its shapes; what has gone is zero, and `hwprm.prune` compacts it.
    """

    def __init__(
        self,
        module: nn.Module,
        config: ShrinkConfig | None = None,
        *,
        steps: int,
        compression: float | None = None,
        example: Example | None = None,
    ) -> None:
        """`steps` are the optimiser's in an epoch; `compression` goes before that of `config`; `example` as in `Admm`.

        Raises ConfigError for a limit that cannot be met (and for cycles, which only `hwprm.prune` counts),
        UnsupportedError for an operator that hwprm lacks; without `example` when the loop begins.
        """
        from hwprm.config import ShrinkConfig

        config = ShrinkConfig.given(config)
        self._config = config if compression is None else replace(config, compression=compression)
        self._steps = steps
        super().__init__(module, example)

    def _made(self, module: TiedModule) -> ShrinkCourse:
        from hwprm.pruning.shrinking.own import ShrinkCourse

        return ShrinkCourse(module, self._config, self._steps)

    def _stage(self) -> Stage:
        from hwprm.model import Stage

        return Stage.SHRUNK


def _tied(module: nn.Module, graph: Any) -> TiedModule:
    from hwprm.nets import TiedModule

    return TiedModule(graph, module)


def _shapes(module: nn.Module, example: Example) -> Shapes:
    """The shape without batch of `example`, by argument of ``forward`` where it is several tensors."""
    if isinstance(example, Mapping):
        return example
    parts: list[Any] = list(example) if isinstance(example, tuple | list) else [example]
    if not all(hasattr(part, "detach") for part in parts):
        return tuple(parts)
    names = inspect.signature(module.forward).parameters
    found = {name: tuple(part.shape[1:]) for name, part in zip(names, parts, strict=False)}
    return found if len(found) > 1 else next(iter(found.values()))

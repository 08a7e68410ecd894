"""One run on several processes: each takes its part of every batch, and all of them hold the same weights.

The processes are those of ``torch.distributed``: `process_group` joins those that torchrun started, a program that
calls ``init_process_group`` itself needs nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from hwprm.config.train import TrainConfig
from hwprm.graph import Graph
from hwprm.nets import GraphModule
from hwprm.training.devices import choose_device

__all__ = ["Group", "process_group"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Group:
    """The processes of a run: this one is number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Group:
        """The processes joined so far; this one alone when none are."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(rank=distributed.get_rank(), size=distributed.get_world_size())

    def own(self, count: int) -> slice:
        """This process's part of `count` images."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sums(self, *numbers: float) -> list[float]:
        """Each number summed over all processes."""
        if self.size == 1:
            return list(numbers)
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, numbers)
        return [sum(column) for column in zip(*found, strict=True)]

    def level(self, tensors: Iterable[Tensor]) -> None:
        """Each of `tensors` becomes its mean over all processes."""
        if self.size == 1:
            return
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= self.size

    def from_first(self, action: Callable[[], T]) -> T:
        """What `action` gives in process 0, which alone carries it out; when it raises, all processes do."""
        if self.size == 1:
            return action()
        box: list[Any] = [None, None]
        if self.rank == 0:
            try:
                box[0] = action()
            except Exception as error:
                box[1] = error
        distributed.broadcast_object_list(box)
        if box[1] is not None:
            raise box[1]
        return cast(T, box[0])

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Process 0 goes through the block before the others, which find there what it made."""
        if self.rank:
            distributed.barrier()
        try:
            yield
        finally:
            if self.rank == 0 and self.size > 1:
                distributed.barrier()

    @contextmanager
    def shared(self, module: GraphModule, *, norms: bool = True) -> Iterator[nn.Module]:
        """`module` as it is run in training: gradients are means over the processes, with `norms` batch statistics too.

        With one process it is `module` itself.
        """
        if self.size == 1:
            yield module
            return
        shared = [m for m in module.modules() if norms and isinstance(m, nn.BatchNorm2d) and m.weight.requires_grad]
        for norm in shared:
            vars(norm)["forward"] = partial(_shared_norm, norm)
        try:
            # Buffers are the same everywhere or are made so after every epoch. The option has another name as of torch
            # 2.13.
            known = inspect.signature(DistributedDataParallel).parameters
            buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
            options: dict[str, Any] = {buffers: False, "find_unused_parameters": not _all_read(module.graph)}
            yield DistributedDataParallel(module, **options)
        finally:
            for norm in shared:
                del vars(norm)["forward"]


@contextmanager
def process_group(config: TrainConfig) -> Iterator[Group]:
    """Join the processes that torchrun started, over nccl on CUDA and gloo on CPUs; alone when there are none."""
    if not (distributed.is_available() and distributed.is_torchelastic_launched()) or distributed.is_initialized():
        yield Group.current()
        return
    device = choose_device(config)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield Group.current()
    # Not when the block raises: the others may be waiting for this process, which ends now and lets them go.
    distributed.destroy_process_group()


def _all_read(graph: Graph) -> bool:
    """Whether every node counts for an output: gradients of the others never come, and waiting for them would hang."""
    read = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in read:
            read |= set(node.inputs)
    return all(node.name in read for node in graph.nodes)


def _shared_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """`norm` of `x` with the statistics of the whole batch. torch's own SyncBatchNorm does not run on CPUs."""
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, x)
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    found: tuple[Tensor, Tensor, Tensor, Tensor] = _Standardise.apply(x, norm.eps)  # type: ignore[no-untyped-call]  # torch's
    normal, mean, var, count = found
    with torch.no_grad():
        norm.num_batches_tracked += 1
        assert norm.momentum is not None
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_((var * count / (count - 1)).to(norm.running_var.dtype), norm.momentum)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (normal * norm.weight.view(shape) + norm.bias.view(shape)).to(x.dtype)


class _Standardise(torch.autograd.Function):
    """``(x - mean) / sqrt(var + eps)`` per channel, mean and biased variance over the images of all processes.

    (Ioffe and Szegedy, arXiv 1502.03167, algorithm 1 and the gradients of section 3.)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dims = [0, *range(2, x.ndim)]
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        sums = torch.cat([x.sum(dims), x.new_tensor([x.numel() / x.shape[1]])])
        distributed.all_reduce(sums)
        mean, count = sums[:-1] / sums[-1], sums[-1]
        shape = (1, -1) + (1,) * (x.ndim - 2)
        apart = x - mean.view(shape)
        var = apart.square().sum(dims)
        distributed.all_reduce(var)
        var /= count
        inverse = (var + eps).rsqrt()
        normal = apart.mul_(inverse.view(shape))
        ctx.save_for_backward(normal, inverse, count)
        ctx.mark_non_differentiable(mean, var, count)
        return normal, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        normal, inverse, count = ctx.saved_tensors
        g = gradients[0]
        dims = [0, *range(2, g.ndim)]
        shape = (1, -1) + (1,) * (g.ndim - 2)
        sums = torch.stack([g.sum(dims), (g * normal).sum(dims)])
        distributed.all_reduce(sums)
        even, along = (sums / count).unbind()
        return (g - even.view(shape) - normal * along.view(shape)) * inverse.view(shape), None

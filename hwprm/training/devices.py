"""On which device, how many threads and in which number format a step is computed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError

__all__ = ["Precision", "choose_device", "has_room", "innermost_channels", "slow_precision", "threads"]

#: What Linux says of the processor.
CPUINFO = Path("/proc/cpuinfo")
#: Formats narrower than the weights.
NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(config: TrainConfig) -> torch.device:
    """The device that ``train.device`` means here; of several CUDA devices the one of this process.

    Raises ConfigError when there is no CUDA device but it is asked for, by name or by ``train.precision = float16``.
    """
    cuda = torch.cuda.is_available()
    if config.device == "cuda" and not cuda:
        raise ConfigError("train.device = cuda, but torch finds no CUDA device here; set it to cpu or auto")
    if config.device != "cpu" and cuda:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if config.precision == "float16":
        raise ConfigError(
            "train.precision = float16 needs a CUDA device, the CPU has no loss scaling for it; set it to bfloat16 or "
            "float32"
        )
    return torch.device("cpu")


def slow_precision(config: TrainConfig) -> str | None:
    """What to say beforehand where ``train.precision`` is slow on the device that is trained on."""
    if config.precision != "bfloat16" or choose_device(config).type != "cpu" or _multiplies_bfloat16() is not False:
        return None
    return (
        "train.precision = bfloat16 is slow here: this processor cannot multiply bfloat16; float32 takes a fraction of "
        "the time"
    )


def _multiplies_bfloat16() -> bool | None:
    """Whether the processor has instructions for it; None where the system does not say."""
    try:
        words = set(CPUINFO.read_text().split())
    except OSError:
        return None
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def has_room(device: torch.device, count: int) -> bool:
    """Whether `device` is a CUDA device with twice `count` bytes free: training needs memory besides."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return bool(free >= 2 * count)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, torch computes on `count` threads of the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Precision:
    """How ``train.precision`` is carried out on `device`: autocast, and with float16 a scaled loss."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.device = device
        self.narrow = NARROW.get(config.precision)
        # Without scaling, gradients below 6e-8 vanish in float16 (Micikevicius et al., arXiv 1710.03740, section 3.2).
        self.scaler = torch.amp.GradScaler(device.type) if self.narrow is torch.float16 else None

    def forward(self) -> AbstractContextManager[object]:
        """Inside, forward passes are computed in the narrow format where that is safe."""
        return nullcontext() if self.narrow is None else torch.autocast(self.device.type, self.narrow)

    def backward(self, loss: Tensor, optimiser: Optimizer) -> None:
        """Gradients of `loss`, unscaled."""
        if self.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            return
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
        self.scaler.unscale_(optimiser)

    def step(self, optimiser: Optimizer) -> None:
        """One step; skipped, and the scale halved, when scaled gradients overflowed."""
        if self.scaler is None:
            optimiser.step()
            return
        self.scaler.step(optimiser)
        self.scaler.update()

    def pack(self) -> dict[str, Tensor]:
        """The state of the scaling."""
        state = {} if self.scaler is None else self.scaler.state_dict()
        return {name: torch.tensor(float(value), dtype=torch.float64) for name, value in state.items()}

    def unpack(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `pack` gave."""
        if self.scaler is not None:
            # Counts are whole numbers.
            state = {name: int(value) if float(value).is_integer() else float(value) for name, value in tensors.items()}
            self.scaler.load_state_dict(state)


def innermost_channels(tensor: Tensor, device: torch.device | None = None) -> Tensor:
    """A copy of `tensor` ``(n, C, H, W)`` with a pixel's channels side by side in memory, on `device`.

    By the strides too where there is one channel or one pixel: such a tensor looks contiguous either way, but torch
    would compute all that follows from it in the slower order, and lay out gradients otherwise than weights.
    """
    laid = torch.empty_like(tensor, memory_format=torch.channels_last, device=device)
    return laid.copy_(tensor)

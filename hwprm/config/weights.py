"""What a checkpoint of public weights was trained as."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["WeightsConfig"]


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """The network that a checkpoint's weights belong to, and the images they expect."""

    #: Classes of the checkpoint; None takes the reference network's own number.
    classes: int | None = None
    #: Factor on the filters of every convolution, for a narrower or wider network than the reference.
    width: float = 1.0
    #: Height and width of the images; None takes the reference network's own.
    image_size: int | None = None
    #: Mean of each channel that was subtracted from images of range 0..1 in training; none with std none.
    mean: tuple[float, ...] | None = None
    #: Standard deviation of each channel that images were divided by; none with mean none.
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in (("classes", 2), ("image_size", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ConfigError(f"weights.{name} must be {least} or more, not {value!r}")
        if not _number(self.width) or not 0 < self.width <= 16:
            raise ConfigError(f"weights.width must be above 0 and at most 16, not {self.width!r}")
        if (self.mean is None) != (self.std is None):
            raise ConfigError("weights.mean and weights.std belong together; give both or neither")
        if self.mean is None or self.std is None:
            return
        if len(self.mean) != len(self.std) or not all(map(_number, (*self.mean, *self.std))):
            raise ConfigError(
                "weights.mean and weights.std must be one number for each channel, "
                f"not {list(self.mean)} and {list(self.std)}"
            )
        if not all(value > 0 for value in self.std):
            raise ConfigError(f"weights.std must be above 0, not {list(self.std)}; images are divided by it")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""What a checkpoint of public weights was trained as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Ge, Interval

from hwprm.config.kinds import AboveZero, Positive
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["WeightsConfig"]


@dataclass(frozen=True, kw_only=True)
class WeightsConfig(Section, section="weights"):
    """The network that a checkpoint's weights belong to, and the images they expect."""

    classes: Annotated[
        Annotated[int, Ge(2)] | None, Doc("Classes of the checkpoint; None takes the reference network's own number.")
    ] = None
    width: Annotated[
        float,
        Interval(gt=0, le=16),
        Doc("Factor on the filters of every convolution, for a narrower or wider network than the reference."),
    ] = 1.0
    image_size: Annotated[
        Positive | None, Doc("Height and width of the images; None takes the reference network's own.")
    ] = None
    mean: Annotated[
        tuple[float, ...] | None,
        Doc("Mean of each channel that was subtracted from images of range 0..1 in training; none with std none."),
    ] = None
    std: Annotated[
        tuple[AboveZero, ...] | None,
        Doc("Standard deviation of each channel that images were divided by; none with mean none."),
    ] = None

    def agree(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ConfigError("weights.mean and weights.std belong together; give both or neither")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ConfigError(
                "weights.mean and weights.std must be one number for each channel, "
                f"not {list(self.mean)} and {list(self.std)}"
            )

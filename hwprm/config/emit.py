"""What goes into a bundle beside the design."""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["EmitConfig"]


@dataclass(frozen=True, kw_only=True)
class EmitConfig:
    """Content of a bundle."""

    #: Images of the test split stored with their golden logits, the first ones; fewer where the split is smaller.
    images: int = 128

    def __post_init__(self) -> None:
        if not isinstance(self.images, int) or isinstance(self.images, bool) or self.images < 1:
            raise ConfigError(f"emit.images must be 1 or more, not {self.images!r}")

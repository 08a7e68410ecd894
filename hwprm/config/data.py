"""Which images to train and test on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from hwprm.core.errors import ConfigError

__all__ = ["DataConfig"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data set."""

    #: A known set (mnist, fashion_mnist, cifar10, mnist_subset), or the path of an .npz file with x and y or of a
    #: folder of images, ROOT/train/CLASS/FILE and ROOT/val/CLASS/FILE.
    name: str = "mnist"
    #: Folder of the full sets in their original formats; None takes HWPRM_DATA, else the embedded MNIST subset.
    data_dir: str | None = None
    #: Fetch MNIST from a public mirror when it is not in the folder (or in ~/.cache/hwprm).
    download: bool = False
    #: Training images held out to choose thresholds with; 0 holds none out.
    validation: int = 0
    #: Folder of images: height and width of what the network reads.
    image_size: int = 224
    #: Folder of images: shorter side before the middle is cut out for evaluation; None takes 8/7 of image_size.
    resize: int | None = None
    #: Folder of images: train with random crops, mirrored or not; else with the middle, as evaluation does.
    random_crop: bool = True
    #: Folder of images: smallest share of an image that a random crop takes.
    crop_area: float = 0.08
    #: Folder of images: refuse images of which a side has fewer pixels.
    min_side: int = 16
    #: Folder of images: files decoded at the same time; the result does not depend on it.
    workers: int = 4

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"data.name must be the name of a set or a path, not {self.name!r}")
        if self.data_dir is not None and (not isinstance(self.data_dir, str) or not self.data_dir):
            raise ConfigError(f"data.data_dir must be a folder, not {self.data_dir!r}")
        for name in ("download", "random_crop"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"data.{name} must be true or false, not {getattr(self, name)!r}")
        if not _whole(self.validation) or self.validation < 0:
            raise ConfigError(f"data.validation must be 0 or more images, not {self.validation!r}")
        for name, high in (("image_size", 4096), ("min_side", 4096), ("workers", 256)):
            value = getattr(self, name)
            if not _whole(value) or not 1 <= value <= high:
                raise ConfigError(f"data.{name} must be in 1..{high}, not {value!r}")
        if self.resize is not None and (not _whole(self.resize) or self.resize < self.image_size):
            raise ConfigError(
                f"data.resize must be at least data.image_size ({self.image_size}) pixels, not {self.resize!r}"
            )
        area = self.crop_area
        if not isinstance(area, int | float) or isinstance(area, bool) or not 0 < area <= 1:
            raise ConfigError(f"data.crop_area must be above 0 and at most 1, not {area!r}")


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)

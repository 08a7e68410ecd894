"""Which images to train and test on."""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.errors import ConfigError

__all__ = ["DataConfig"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data set."""

    #: A known set (mnist, fashion_mnist, cifar10, mnist_subset) or the path of an .npz file with x and y.
    name: str = "mnist"
    #: Folder of the full sets in their original formats; None takes HWPRM_DATA, else the embedded MNIST subset.
    data_dir: str | None = None
    #: Fetch MNIST from a public mirror when it is not in the folder (or in ~/.cache/hwprm).
    download: bool = False
    #: Training images held out to choose thresholds with; 0 holds none out.
    validation: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"data.name must be the name of a set or a path, not {self.name!r}")
        if self.data_dir is not None and (not isinstance(self.data_dir, str) or not self.data_dir):
            raise ConfigError(f"data.data_dir must be a folder, not {self.data_dir!r}")
        if not isinstance(self.download, bool):
            raise ConfigError(f"data.download must be true or false, not {self.download!r}")
        if not isinstance(self.validation, int) or isinstance(self.validation, bool) or self.validation < 0:
            raise ConfigError(f"data.validation must be 0 or more images, not {self.validation!r}")

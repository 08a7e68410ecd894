"""Which images to train and test on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Ge, Interval, Len, Unit

from hwprm.config.kinds import Positive
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["DataConfig"]


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, section="data"):
    """The data set."""

    name: Annotated[
        str,
        Len(1),
        Doc(
            "A known set (mnist, fashion_mnist, cifar10, mnist_subset), or the path of an .npz file with x and y or "
            "of a folder of images, ROOT/train/CLASS/FILE and ROOT/val/CLASS/FILE."
        ),
    ] = "mnist"
    data_dir: Annotated[
        Annotated[str, Len(1)] | None,
        Doc(
            "Folder of the full sets in their original formats; None takes HWPRM_DATA, else the embedded MNIST subset."
        ),
    ] = None
    download: Annotated[
        bool, Doc("Fetch MNIST from a public mirror when it is not in the folder (or in ~/.cache/hwprm).")
    ] = False
    validation: Annotated[
        int, Ge(0), Unit("images"), Doc("Training images held out to choose thresholds with; 0 holds none out.")
    ] = 0
    image_size: Annotated[
        int,
        Interval(ge=1, le=4096),
        Unit("pixels"),
        Doc("Folder of images: height and width of what the network reads."),
    ] = 224
    resize: Annotated[
        Positive | None,
        Doc(
            "Folder of images: shorter side before the middle is cut out for evaluation; None takes 8/7 of image_size."
        ),
    ] = None
    random_crop: Annotated[
        bool,
        Doc("Folder of images: train with random crops, mirrored or not; else with the middle, as evaluation does."),
    ] = True
    crop_area: Annotated[
        float, Interval(gt=0, le=1), Doc("Folder of images: smallest share of an image that a random crop takes.")
    ] = 0.08
    min_side: Annotated[
        int,
        Interval(ge=1, le=4096),
        Unit("pixels"),
        Doc("Folder of images: refuse images of which a side has fewer pixels."),
    ] = 16
    workers: Annotated[
        int,
        Interval(ge=1, le=256),
        Doc("Folder of images: files decoded at the same time; the result does not depend on it."),
    ] = 4

    def agree(self) -> None:
        if self.resize is not None and self.resize < self.image_size:
            raise ConfigError(
                f"data.resize must be at least data.image_size ({self.image_size}) pixels, not {self.resize!r}"
            )

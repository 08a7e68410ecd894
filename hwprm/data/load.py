"""`load_dataset`: from a name or a path to a `Dataset`."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from hwprm.core.errors import DataError
from hwprm.data.cifar import load_cifar10
from hwprm.data.dataset import Dataset
from hwprm.data.download import download_mnist
from hwprm.data.embedded import load_embedded
from hwprm.data.idx import load_idx_set
from hwprm.data.image_folder import load_image_folder
from hwprm.data.npz import load_npz
from hwprm.data.pictures import Preparation

__all__ = ["NAMES", "load_dataset"]

#: Every known name. ``mnist_subset`` is always the embedded one, whatever folders are given.
NAMES = ("cifar10", "fashion_mnist", "mnist", "mnist_subset")
ENVIRONMENT = "HWPRM_DATA"


def load_dataset(
    name_or_path: str,
    *,
    data_dir: Path | None = None,
    download: bool = False,
    preparation: Preparation | None = None,
) -> Dataset:
    """Load a known set (`NAMES`; hyphens count as underscores), an ``.npz`` file or a folder of images.

    ``mnist`` without a folder is the embedded subset; with `data_dir`, else with the environment's HWPRM_DATA, it is
    the full set from there, and an error when it is not there. `download` fetches MNIST into that folder, else into
    ``~/.cache/hwprm``, first. `Dataset.source` says which it was: there is no silent fall-back.
    `preparation` says how the files of a folder of images become arrays (`hwprm.data.image_folder`).
    Raises DataError for an unknown name and for data that cannot be used.
    """
    name = name_or_path.lower().replace("-", "_")
    if name == "cifar_10":
        name = "cifar10"
    if name not in NAMES:
        return _load_path(name_or_path, preparation)
    if name == "mnist_subset":
        return load_embedded()
    folder = data_dir if data_dir is not None else _environment_folder()
    if download:
        if name != "mnist":
            raise DataError(f"{name}: only mnist can be downloaded; fetch the released files and name their folder")
        folder = folder if folder is not None else Path.home() / ".cache" / "hwprm"
        download_mnist(folder)
    if folder is None:
        if name == "mnist":
            return load_embedded()
        raise DataError(f"{name} is not in the package; name its folder with --data-dir or {ENVIRONMENT}")
    if not folder.is_dir():
        raise DataError(f"{name}: the data folder {folder} does not exist; mend --data-dir or {ENVIRONMENT}")
    return load_cifar10(folder) if name == "cifar10" else load_idx_set(name, folder)


def _environment_folder() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value) if value else None


def _load_path(name_or_path: str, preparation: Preparation | None) -> Dataset:
    path = Path(name_or_path)
    if path.is_dir():
        return load_image_folder(path, preparation)
    if path.is_file():
        return load_npz(path)
    if path.suffix == ".npz":
        raise DataError(f"{path} does not exist; give the path of an .npz file with x and y")
    near = difflib.get_close_matches(name_or_path.lower(), NAMES, n=3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"known are {', '.join(NAMES)}, or give an .npz file or a folder of images"
    )
    raise DataError(f"no data set is called {name_or_path!r}; {hint}")

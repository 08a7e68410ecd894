"""The user's own data: an ``.npz`` file with ``x``, ``y`` and, if wanted, ``x_test``, ``y_test``; an ``.npy`` of ``x``.

What the arrays mean is told in `hwprm.data.arrays`.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from hwprm.core.errors import DataError
from hwprm.data.arrays import Arrays, set_of
from hwprm.data.dataset import Dataset

__all__ = ["load_npz"]

#: First bytes of files that people give instead.
OTHERS = {
    b"\x89PNG": "a picture; give the folder that it lies in",
    b"\xff\xd8\xff": "a picture; give the folder that it lies in",
    b"\x80\x02": "a pickle, which may run code; store x and y with numpy.savez",
    b"\x80\x03": "a pickle, which may run code; store x and y with numpy.savez",
    b"\x80\x04": "a pickle, which may run code; store x and y with numpy.savez",
    b"\x80\x05": "a pickle, which may run code; store x and y with numpy.savez",
    b"\x89HDF": "an HDF5 file; read it with h5py, and store x and y with numpy.savez",
}


def load_npz(path: Path) -> Dataset:
    """Load `path`; see `set_of`. Raises DataError when the file is unreadable or the arrays do not make a data set."""
    return set_of(_read(path), path.stem, path.name)


def _read(path: Path) -> Arrays:
    try:
        # Opened here, so that a broken archive does not leave the file open.
        with path.open("rb") as stream:
            start = stream.read(4)
            if other := next((told for mark, told in OTHERS.items() if start.startswith(mark)), None):
                raise DataError(f"{path} is no .npz file but {other}")
            if start[:2] != b"PK" and start != b"\x93NUM":
                raise DataError(
                    f"{path} is no readable .npz file (numpy did not write it); store x and y with numpy.savez"
                )
            stream.seek(0)
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                return {"x": file}
            if "data.pkl" in {Path(name).name for name in file.files}:
                raise DataError(f"{path} was written by torch.save; store x and y with numpy.savez")
            return {key: file[key] for key in file.files}
    # zipfile raises RuntimeError for an encrypted or unknown kind of member, numpy MemoryError for a mad shape.
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).replace("allow_pickle=False", "pickles are not read")
        raise DataError(f"{path} is no readable .npz file ({reason}); store x and y with numpy.savez") from error

"""`Bundle`: an emitted accelerator on disk, with a manifest that vouches for every file. numpy only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.manifest import Manifest
from hwprm.compiler import ProgramRecord
from hwprm.core.errors import BundleError
from hwprm.intnet import IntegerNetwork

__all__ = ["MANIFEST", "SEAL", "Bundle", "hash_file"]

#: The list of everything else, and the hash of that list.
MANIFEST, SEAL = "manifest.json", "manifest.sha256"


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A folder that `hwprm.emission.emit_bundle` wrote. It needs nothing outside itself to be simulated."""

    folder: Path
    manifest: Manifest

    @classmethod
    def load(cls, folder: Path, *, allow_edited: bool = False) -> Self:
        """Open `folder` and compare every file with the manifest's SHA-256.

        `allow_edited` skips the hashes (not the presence of files), so that planted faults reach a simulator.
        Raises BundleError, naming the file, when one is missing, unknown or edited, or the manifest is unreadable.
        """
        try:
            text = (folder / MANIFEST).read_bytes()
            seal = (folder / SEAL).read_text().split()[:1]
        except OSError as error:
            raise BundleError(
                f"{folder} is no bundle: {Path(str(error.filename)).name} cannot be read; "
                "write one with `hwprm compile`"
            ) from error
        if not allow_edited and seal != [hashlib.sha256(text).hexdigest()]:
            raise BundleError(_edited(folder, MANIFEST))
        try:
            manifest = Manifest.from_json(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder / MANIFEST} cannot be understood ({error}); emit the bundle again") from error
        bundle = cls(folder=folder, manifest=manifest)
        bundle._check_files(allow_edited)
        return bundle

    def _check_files(self, allow_edited: bool) -> None:
        there = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}
        listed = set(self.manifest.files)
        for name in sorted(listed - there):
            raise BundleError(f"{self.folder} is incomplete: {name} is missing; emit the bundle again")
        if allow_edited:
            return
        for name in sorted(there - listed - {MANIFEST, SEAL}):
            raise BundleError(
                f"{self.folder}: {name} is not in the manifest; move it away, or give `hwprm verify` --allow-edited"
            )
        for name, digest in sorted(self.manifest.files.items()):
            if hash_file(self.folder / name) != digest:
                raise BundleError(_edited(self.folder, name))

    @cached_property
    def network(self) -> IntegerNetwork:
        """The network that the hardware computes, as the compiler's passes left it."""
        return IntegerNetwork.load(self.folder / "network")

    @cached_property
    def program(self) -> ProgramRecord:
        """The compiled program without ROM contents. Raises BundleError when the bundle has none that it can read."""
        folder = self.folder / "program"
        try:
            return ProgramRecord.load(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{folder} cannot be understood ({error}); emit the bundle again") from error

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """The stored test images as integers, ``(n, C, H, W)``, or packed rows ``(n, beats)`` of several inputs."""
        return self._array("images")

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """Class of every stored image ``(n,)``, or None when the bundle was made without."""
        return self._array("labels") if "golden/labels.npy" in self.manifest.files else None

    def golden(self, tensor: str) -> NDArray[np.int64]:
        """Expected integers of `tensor`: of every stored image for outputs, of the first few for other layers."""
        index = [layer.name for layer in self.manifest.layers].index(tensor)
        return self._array(f"layer_{index}")

    def sources(self) -> tuple[Path, ...]:
        """The Verilog files of the design, in a fixed order."""
        return tuple(self.folder / name for name in sorted(self.manifest.files) if name.startswith("rtl/"))

    @property
    def testbench(self) -> Path:
        """The Verilog testbench top."""
        return self.folder / "tb" / "tb_hwprm.v"

    def _array(self, name: str) -> NDArray[np.int64]:
        path = self.folder / "golden" / f"{name}.npy"
        try:
            array: NDArray[np.int64] = np.load(path, allow_pickle=False).astype(np.int64)
            return array
        except (OSError, ValueError) as error:
            raise BundleError(f"{path} cannot be read ({error}); emit the bundle again") from error


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _edited(folder: Path, name: str) -> str:
    return (
        f"{folder}: {name} was edited (its SHA-256 is not the manifest's); "
        "emit the bundle again, or simulate it as it is with `hwprm verify --allow-edited`"
    )

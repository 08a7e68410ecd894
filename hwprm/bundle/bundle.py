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
from hwprm.bundle.program import check_program
from hwprm.compiler import ProgramRecord
from hwprm.core.errors import BundleError, ModelError
from hwprm.core.files import digest_of
from hwprm.core.formats import BUNDLE
from hwprm.core.shown import html_table
from hwprm.intnet import IntegerNetwork

__all__ = ["MANIFEST", "SEAL", "Bundle"]

#: The list of everything else, and the hash of that list.
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
#: Formats of bundles that earlier versions made.
KIND, _, LATEST = BUNDLE.rpartition("-")
OLDER = tuple(f"{KIND}-{number}" for number in range(1, int(LATEST)))
#: What a bundle has whatever its manifest says.
NEEDED = (
    *("golden/images.npy", "network/network.json", "network/weights.safetensors", "program/program.json"),
    "tb/tb_hwprm.v",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A folder that `hwprm.emission.emit_bundle` wrote. It needs nothing outside itself to be simulated."""

    folder: Path
    manifest: Manifest

    def __repr__(self) -> str:
        own = self.manifest
        array = f"{own.array.rows} x {own.array.cols} array"
        return f"<Bundle {self.folder}: {own.net}, {array}, {len(own.layers)} layers, {own.images} images>"

    def _repr_html_(self) -> str:
        rows = [(layer.name, " x ".join(map(str, layer.shape))) for layer in self.manifest.layers]
        return html_table(repr(self)[1:-1], ("layer", "result"), rows)

    @classmethod
    def load(cls, folder: Path | str, *, allow_edited: bool = False) -> Self:
        """Open `folder` and compare every file with the manifest's SHA-256.

        `allow_edited` skips the hashes (not the presence of files), so that planted faults reach a simulator.
        Raises BundleError, naming the file, when one is missing, unknown or edited, or the manifest is unreadable.
        """
        folder = Path(folder)
        try:
            text = (folder / MANIFEST).read_bytes()
            seal = (folder / SEAL).read_text().split()[:1]
        except (OSError, ValueError) as error:
            name = Path(str(error.filename)).name if isinstance(error, OSError) else SEAL
            raise BundleError(
                f"{folder} is no bundle: {name} cannot be read; write one with `hwprm compile`"
            ) from error
        if not allow_edited and seal != [hashlib.sha256(text).hexdigest()]:
            raise BundleError(_edited(folder, MANIFEST))
        try:
            plain = json.loads(text)
            if isinstance(plain, dict) and plain.get("format") in OLDER:
                raise BundleError(
                    f"{folder} is of format {plain['format']!r}, this version reads {BUNDLE!r}; verify it with the "
                    "version that made it, or compile its network again"
                )
            manifest = Manifest.from_json(plain)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ModelError) as error:
            raise BundleError(f"{folder / MANIFEST} cannot be understood ({error}); emit the bundle again") from error
        bundle = cls(folder=folder, manifest=manifest)
        bundle._check_files(allow_edited)
        return bundle

    def _check_files(self, allow_edited: bool) -> None:
        there = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}
        listed = {*self.manifest.files, *NEEDED}
        for name in sorted(listed - there):
            raise BundleError(f"{self.folder} is incomplete: {name} is missing; emit the bundle again")
        if allow_edited:
            return
        for name in sorted(there - listed - {MANIFEST, SEAL}):
            raise BundleError(
                f"{self.folder}: {name} is not in the manifest; move it away, or give `hwprm verify` --allow-edited"
            )
        for name, digest in sorted(self.manifest.files.items()):
            if digest_of(self.folder / name) != digest:
                raise BundleError(_edited(self.folder, name))

    @cached_property
    def network(self) -> IntegerNetwork:
        """The network that the hardware computes, as the compiler's passes left it.

        Raises BundleError when it is not the manifest's.
        """
        net, manifest = IntegerNetwork.load(self.folder / "network"), self.manifest
        inputs = [(entry.name, entry.shape, entry.signed) for entry in manifest.inputs]
        layers = [(entry.name, entry.shape, entry.signed, entry.wide, entry.upsample) for entry in manifest.layers]
        kinds = {tensor.name: (tensor.name, tensor.shape, tensor.signed) for tensor in net.tensors}
        found = [(*kinds[layer.name], layer.wide, layer.upsample) for layer in net.layers]
        bits = (net.weight_bits, net.act_bits), (manifest.array.weight_bits, manifest.array.act_bits)
        if [kinds[name] for name in net.inputs] != inputs or found != layers or bits[0] != bits[1]:
            raise BundleError(
                f"{self.folder}: the network in network/ has other inputs, layers or widths than {MANIFEST} says; "
                "emit the bundle again"
            )
        return net

    @cached_property
    def program(self) -> ProgramRecord:
        """The compiled program without ROM contents. Raises BundleError when the bundle has none that it can read."""
        folder = self.folder / "program"
        try:
            program = ProgramRecord.load(folder)
            check_program(program, self.manifest)
            return program
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise BundleError(f"{folder} cannot be understood ({error}); emit the bundle again") from error

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """The stored test images as integers, ``(n, C, H, W)``, or packed rows ``(n, beats)`` of several inputs."""
        low, high = self.manifest.image_limits
        images = self._array("images", (self.manifest.images, *self.manifest.image_shape))
        if (images < low).any() or (images > high).any():
            raise BundleError(
                f"{self.folder}: an image holds what {self.manifest.array.act_bits} bits cannot; emit again"
            )
        return images

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """Class of every stored image ``(n,)``, or None when the bundle was made without."""
        return self._array("labels", (self.manifest.images,)) if "golden/labels.npy" in self.manifest.files else None

    def golden(self, tensor: str) -> NDArray[np.int64]:
        """Expected integers of `tensor`: of every stored image for outputs, of the first few for other layers."""
        (layer,) = (layer for layer in self.manifest.layers if layer.name == tensor)
        count = self.manifest.images if layer.wide else self.manifest.layer_images
        return self._array(f"layer_{layer.index}", (count, *layer.shape))

    def sources(self) -> tuple[Path, ...]:
        """The Verilog files of the design, in a fixed order."""
        return tuple(self.folder / name for name in sorted(self.manifest.files) if name.startswith("rtl/"))

    @property
    def testbench(self) -> Path:
        """The Verilog testbench top."""
        return self.folder / "tb" / "tb_hwprm.v"

    def _array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
        path = self.folder / "golden" / f"{name}.npy"
        try:
            found = np.load(path, allow_pickle=False, mmap_mode="r")  # mapped: a header may promise any size
        except Exception as error:  # what a header of any text makes numpy raise is not documented
            raise BundleError(f"{path} cannot be read ({_plainly(error)}); emit the bundle again") from error
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype.kind not in "iu":
            what = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "an archive"
            raise BundleError(f"{path} holds {what}, the manifest says integers {shape}; emit the bundle again")
        array: NDArray[np.int64] = found.astype(np.int64)
        return array


def _plainly(error: Exception) -> str:
    """What numpy says, without its advice to allow pickles, which run code."""
    text = str(error)
    return "it is no array of numbers" if "pickle" in text else text or type(error).__name__


def _edited(folder: Path, name: str) -> str:
    return (
        f"{folder}: {name} was edited (its SHA-256 is not the manifest's); "
        "emit the bundle again, or simulate it as it is with `hwprm verify --allow-edited`"
    )

"""Checkpoints: every epoch's full state, written so that a stop at any instant leaves a readable one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hwprm.core.errors import InputError, ModelError
from hwprm.core.files import read_json

__all__ = ["Checkpoint", "Saved", "digest", "how_to_resume"]

FORMAT = "hwprm-checkpoint-1"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What a checkpoint holds: epochs done, per-epoch history, seconds so far, and every tensor of the run."""

    epoch: int
    history: list[dict[str, Any]]
    seconds: float
    tensors: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder that keeps the last epoch of each phase of a run: ``<phase>.json`` and ``<phase>-<epoch>.safetensors``.

    The tensors are written first and the JSON file, which names them, is renamed into place last: whenever the
    program stops, the JSON names complete tensors.
    """

    folder: Path
    #: Go on from what is there; without it a run starts anew and overwrites.
    resume: bool = False

    def save(self, phase: str, identity: str, saved: Saved) -> None:
        """Store the state after an epoch. `identity` is a digest of everything the run depends on.

        Raises InputError when it cannot be written; what was stored before is then as it was.
        """
        try:
            self._write(phase, identity, saved)
        except (OSError, SafetensorError) as error:
            for part in self.folder.glob(f"{phase}*.part"):
                part.unlink(missing_ok=True)
            kept = f"epoch {saved.epoch - 1} is kept there" if self._holds(phase) else "no epoch was kept before it"
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(
                f"cannot keep epoch {saved.epoch} of {phase} in {self.folder}: {why}; {kept}; make room and run again "
                "with the same options"
            ) from error

    def _write(self, phase: str, identity: str, saved: Saved) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{phase}-{saved.epoch}.safetensors"
        temporary = file.with_suffix(".part")
        save_file({key: value.contiguous() for key, value in saved.tensors.items()}, temporary)
        temporary.replace(file)
        entry = {
            "format": FORMAT,
            "identity": identity,
            "epoch": saved.epoch,
            "history": saved.history,
            "seconds": saved.seconds,
            "tensors": file.name,
        }
        part = self.folder / f"{phase}.json.part"
        part.write_text(json.dumps(entry, indent=1) + "\n")
        part.replace(self.folder / f"{phase}.json")
        for old in self.folder.glob(f"{phase}-*.safetensors"):
            if old != file:
                old.unlink()

    def phases(self, prefix: str) -> list[str]:
        """Names of the phases that begin with `prefix`, in order; none without `resume`."""
        return sorted(path.stem for path in self.folder.glob(f"{prefix}*.json")) if self.resume else []

    def _holds(self, phase: str) -> bool:
        return (self.folder / f"{phase}.json").is_file()

    def load(self, phase: str, identity: str) -> Saved | None:
        """The last epoch of `phase`; None when there is none or `resume` is off.

        Raises ModelError when it is unreadable or belongs to other options, another network or other data.
        """
        path = self.folder / f"{phase}.json"
        if not self.resume or not self._holds(phase):
            return None
        try:
            entry: dict[str, Any] = read_json(path)
            if entry["format"] != FORMAT:
                raise ModelError(f"{path}: format {entry['format']!r}, this version reads {FORMAT!r}")
            if entry["identity"] != identity:
                raise ModelError(
                    f"{path} belongs to a run with other options, another network or other data; "
                    f"resume with the same ones, or delete {self.folder} to start anew"
                )
            tensors = load_file(self.folder / entry["tensors"])
            return Saved(epoch=entry["epoch"], history=entry["history"], seconds=entry["seconds"], tensors=tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"{path} is no readable checkpoint ({error}); delete {self.folder} to start anew"
            ) from error


def how_to_resume(epoch: str, checkpoint: Checkpoint | None) -> str:
    """What to say to who stopped a run in `epoch`."""
    if checkpoint is None:
        return f"stopped in {epoch}; nothing was kept, as no checkpoint folder was given"
    return f"stopped in {epoch}; run again with the same options and resume on, it goes on from {checkpoint.folder}"


def digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256 over names, shapes and bytes of `tensors` and over `texts`."""
    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for text in texts:
        total.update(text.encode() + b"\0")
    return total.hexdigest()

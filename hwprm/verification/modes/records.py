"""What an interrupted verification has finished, so that the next one need not do it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprm.bundle import Bundle
from hwprm.core.files import digest_of, read_json, write_file

__all__ = ["Records", "records_of"]

#: Folders of a bundle that decide what a layer computes and what it is compared with.
PARTS = ("mem/", "network/", "program/", "rtl/", "tb/")


@dataclass(frozen=True, kw_only=True)
class Records:
    """One JSON file per finished piece of work in `folder`, whose name stands for everything the work depends on."""

    folder: Path

    def get(self, name: str) -> dict[str, Any] | None:
        """What was kept as `name`; None when nothing was, or it cannot be read."""
        try:
            record = read_json(self.folder / f"{name}.json")
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def put(self, name: str, record: dict[str, Any]) -> None:
        """Keep `record` as `name`. Raises InputError when it cannot be written."""
        write_file(self.folder / f"{name}.json", json.dumps(record))

    def drop(self, names: Sequence[str]) -> None:
        """Forget what was kept as `names`, and the folder when nothing else is in it."""
        for name in names:
            (self.folder / f"{name}.json").unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def records_of(bundle: Bundle, work: Path, facts: Sequence[str]) -> Records:
    """Records under `work` of exactly this `bundle`, file by file as it is on disk, and of `facts`.

    A bundle that was changed, another seed or another tool has records of its own, hence none yet.
    """
    digest = hashlib.sha256()
    for name in sorted(bundle.manifest.files):
        if name.startswith(PARTS):
            digest.update(f"{name}:{digest_of(bundle.folder / name)}\0".encode())
    for fact in facts:
        digest.update(fact.encode() + b"\0")
    return Records(folder=work / "layers" / digest.hexdigest()[:32])

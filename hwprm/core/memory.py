"""How much memory this process may still take."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["free_memory"]

MEMINFO = Path("/proc/meminfo")
#: Limit and use of the control group of a container (cgroup v2), and what the use consists of.
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
STAT = Path("/sys/fs/cgroup/memory.stat")


def free_memory() -> int | None:
    """Bytes that can be taken without swapping, as the system and its container say; None where neither does."""
    found = [value for value in (_of_the_system(), _of_the_container()) if value is not None]
    return min(found, default=None)


def _of_the_system() -> int | None:
    try:
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, and systems without the names
        return None


def _of_the_container() -> int | None:
    try:
        used = dict(line.split() for line in STAT.read_text().splitlines())
        # Cached files count as used, and are given up where memory is wanted.
        held = int(USED.read_text()) - int(used["inactive_file"])
        return max(0, int(LIMIT.read_text()) - held)
    except (OSError, ValueError, KeyError):  # none, or "max"
        return None

"""Whether a design fits a device, by how much it does not, and which array might."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["exceeded", "largest_array", "numbers", "refusal"]

#: How a block of the gateware grows: with rows times columns, or with rows; all others stay as they are.
WITH_BOTH, WITH_ROWS = ("array",), ("drain", "lanes", "memory", "store_unit")
#: What a smaller array does not change: the same weights and activations have to be held.
HELD = ("bram", "io")

Used = Mapping[str, int]


def exceeded(used: Used, available: Used) -> dict[str, tuple[int, int]]:
    """Used and available of every resource of which there is not enough."""
    return {key: (used[key], most) for key, most in available.items() if used.get(key, 0) > most}


def largest_array(blocks: Mapping[str, Used], available: Used, rows: int, cols: int) -> tuple[int, int] | None:
    """Rows and columns of the largest array that might fit, if every block grows as it is built; None if none does.

    An estimate: logic between blocks is not so regular, and synthesis has thresholds.
    """
    keys = [key for key in available if key not in HELD]
    sizes = sorted(
        ((r, c) for r in range(1, rows + 1) for c in range(1, cols + 1)),
        key=lambda size: (-size[0] * size[1], abs(size[0] - size[1])),
    )
    for r, c in sizes:
        scale = dict.fromkeys(WITH_BOTH, r * c / (rows * cols)) | dict.fromkeys(WITH_ROWS, r / rows)
        if all(
            sum(used.get(key, 0) * scale.get(name, 1.0) for name, used in blocks.items()) <= available[key]
            for key in keys
        ):
            return r, c
    return None


class Sized(Protocol):
    """A design: what its resources are called, and what each of its blocks takes."""

    @property
    def titles(self) -> Mapping[str, str]:
        """By the keys of the resources."""

    @property
    def blocks(self) -> Mapping[str, Used]:
        """By the names of the blocks."""


def refusal(design: Sized, over: Mapping[str, tuple[int, int]], available: Used, array: tuple[int, int]) -> str:
    """What is exceeded, by how much, and how to mend it; `array` are rows and columns."""
    mends = []
    if set(over) - set(HELD):
        size = largest_array(design.blocks, available, *array)
        smaller = (
            f" or a smaller array (going by the sizes of its blocks, {size[0]} x {size[1]} might fit)" if size else ""
        )
        mends.append(f"take a larger device{smaller}")
    if "bram" in over:
        mends.append(
            "the array's size hardly changes block RAM, so prune more, or keep weights outside with "
            "`hwprm compile --weights axi`"
        )
    return f"needs {numbers(design.titles, over)}; {'; '.join(mends)}"


def numbers(titles: Mapping[str, str], over: Mapping[str, tuple[int, int]]) -> str:
    """What is exceeded, by how much, in words; `titles` by the keys of the resources."""
    return ", ".join(_exceeded(titles[key], used, most) for key, (used, most) in over.items())


def _exceeded(title: str, used: int, most: int) -> str:
    return f"{used:,} {title} of {most:,}" + (f" ({used / most:.2f} times)" if most else "")

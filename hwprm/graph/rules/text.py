"""Words for windows, as reports show them."""

from __future__ import annotations

__all__ = ["grouped", "sizes", "strided"]


def sizes(pair: tuple[int, ...]) -> str:
    """``3×3``."""
    return "×".join(map(str, pair))


def strided(stride: tuple[int, int], usual: tuple[int, ...]) -> str:
    """`` stride 2``, nothing where the stride is the `usual` one."""
    return "" if stride == tuple(usual) else f" stride {stride[0] if stride[0] == stride[1] else sizes(stride)}"


def grouped(groups: int) -> str:
    """``, 4 groups``, nothing for one."""
    return "" if groups == 1 else f", {groups} groups"

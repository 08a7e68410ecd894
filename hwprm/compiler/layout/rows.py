"""Where a layer's results are cut: pixels that lie one beside the other, and the ways from one such row to the next."""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.memory import Placement

__all__ = ["StoredRows", "stored_rows"]


@dataclass(frozen=True, kw_only=True)
class StoredRows:
    """Every `width` pixels the next row begins `gap` activations further, every `height` rows `extra` more than that.

    Where rows are contiguous a row is an image; where images are so as well it is all of them.
    """

    width: int
    gap: int
    height: int
    extra: int

    def offset(self, pixel: int, beside: int = 1) -> int:
        """Activations from pixel 0 to `pixel`, each of them repeated `beside` times in its row."""
        return pixel * beside + pixel // self.width * self.gap + pixel // (self.width * self.height) * self.extra


def stored_rows(geo: LayerGeometry, place: Placement) -> StoredRows:
    """The rows of what `geo` stores at `place`."""
    below, _ = geo.repeats
    gap, width, extra = place.gap(geo.repeats), geo.width, 0
    if gap and geo.images > 1:
        extra = place.image - geo.height * below * place.pitch
    elif not gap:
        width, gap = geo.pixels, 0 if geo.images == 1 else place.image - geo.pixels * geo.store_step
        if geo.channel_lanes and place.image > 1:  # of every channel all images: neighbouring lanes
            width, gap = 1, place.image - 1
        if gap == 0:
            width = geo.all_pixels
    return StoredRows(width=width, gap=gap, height=geo.height if extra else geo.all_pixels // width, extra=extra)

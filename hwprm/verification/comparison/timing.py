"""Clock cycles as the testbench saw them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hwprm.bundle.manifest import LayerEntry, Manifest
from hwprm.verification.comparison.events import Frame

__all__ = ["compute_cycles", "first_layer_cycles", "layer_cycles", "loading_hidden", "room_stalls"]


def loading_hidden(manifest: Manifest) -> bool:
    """Whether an image, or a batch, is computed for so long that the next one has always come meanwhile.

    Stored results go before arriving ones, so each of their writes may hold up a beat; the margin is for what the host
    loses between images. In tiny networks the host sets the pace instead.
    """
    batch = manifest.array.batch
    stores = sum(_most_writes(entry, manifest.array.rows) for entry in manifest.layers if not entry.wide)
    return batch * (3 * max(manifest.host_cycles) // 2 + 16 + stores) < manifest.cycles.image


def _most_writes(entry: LayerEntry, rows: int) -> int:
    """Cycles that storing a layer takes at most: a write per vector and per row end, as often as pixels repeat."""
    filters, pixels = entry.drained
    return filters * (-(-pixels // rows) + entry.computed[1]) * entry.upsample[0] * entry.upsample[1]


def compute_cycles(frame: Frame, after: Frame) -> int:
    """Cycles from the start of `frame` to that of the next, those lost to external memory left out."""
    waited = after.waited[0] - frame.waited[0] if frame.waited and after.waited else 0
    return after.starts[0] - frame.starts[0] - waited


def room_stalls(frames: Sequence[Frame], manifest: Manifest) -> int | None:
    """Cycles that all `frames` together waited for room for their results: what the first output layer starts late.

    None where that layer is the first of all, which waits for the image too, or where starts are missing.
    """
    first = next(entry.index for entry in manifest.layers if entry.wide)
    computed = [frame for frame in frames if frame.starts]
    if first == 0 or not computed or any(len(frame.starts) <= first for frame in computed):
        return None
    lost = 0
    for frame in computed:
        waited = frame.waited[first] - frame.waited[0] if frame.waited else 0
        lost += frame.starts[first] - frame.starts[0] - sum(manifest.cycles.layers[:first]) - waited
    return lost


def layer_cycles(frames: tuple[Frame, Frame], manifest: Manifest) -> tuple[tuple[str, int], ...]:
    """Cycles of every layer of the first frame, from its start to the next start, the second frame's being the last.

    Cycles lost to external memory are left out. Nothing when the starts are not one per layer.
    """
    frame, after = frames
    if len(frame.starts) != len(manifest.layers) or not after.starts:
        return ()
    starts, waited = [*frame.starts, after.starts[0]], [*frame.waited, *after.waited[:1]]
    if waited:
        starts = [start - lost for start, lost in zip(starts, waited, strict=True)]
    names = [entry.name for entry in manifest.layers]
    return tuple((name, end - start) for name, (start, end) in zip(names, pairwise(starts), strict=True))


def first_layer_cycles(frames: Sequence[Frame], manifest: Manifest, image: int | None) -> tuple[tuple[str, int], ...]:
    """Cycles of every layer of the first frame; the last one's are what the others leave of the `image`'s cycles.

    Those are the CYCLES register's, without waits for the host; waits for external memory are left out, too. Nothing
    when the starts are not one per layer.
    """
    if image is None or not frames or len(frames[0].starts) != len(manifest.layers):
        return ()
    frame = frames[0]
    lost = frame.waited or [0] * len(frame.starts)
    starts = [start - waited for start, waited in zip(frame.starts, lost, strict=True)]
    names = [entry.name for entry in manifest.layers]
    ends = [*starts[1:], starts[0] + image]
    return tuple((name, end - start) for name, start, end in zip(names, starts, ends, strict=True))

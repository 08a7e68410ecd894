"""The memory plan: where every tensor lies in the banks, so that no read ever meets a bank conflict.

Linear address L lies in bank ``L mod B``, word ``L div B``. A tensor is a raster of pitch P per channel. Lane r of
a pixel tile computes output pixel ``p0 + r`` and reads ``L = E + step_y * P * y + step_x * x`` for entry base E.
With ``step_y * P = step_x * width (mod B)`` that is ``E + step_x * p (mod B)``, so with ``gcd(step_x, B) = 1`` any
R <= B neighbouring pixels lie in different banks, also across row ends. An upsampling layer stores its lanes as many
activations apart as it repeats columns, which has to be coprime with B as well.

Where lanes run over channels, the distance of channels is 1 (mod B) instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from hwprm.compile.geometry import LayerGeometry
from hwprm.errors import UnsupportedError
from hwprm.intnet import IntegerNetwork, Tensor

__all__ = ["MemoryPlan", "Placement", "plan_memory"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A stored tensor: `base` and `words` in words of a bank, `pitch` and `channel` (distance) in activations."""

    name: str
    base: int
    words: int
    pitch: int
    channel: int
    height: int
    width: int

    def gap(self, repeats: tuple[int, int] = (1, 1)) -> int:
        """Activations from the end of a computed row to the start of the next; 0 where these are contiguous.

        `repeats` says how many rows and columns each computed pixel fills.
        """
        return repeats[0] * self.pitch - self.width if self.height > repeats[0] else 0


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """`banks` banks of `words` words; the input tensor's placement is the first of its two buffers."""

    banks: int
    words: int
    placements: tuple[Placement, ...]

    def __getitem__(self, name: str) -> Placement:
        return next(place for place in self.placements if place.name == name)


def plan_memory(net: IntegerNetwork, geometry: Sequence[LayerGeometry], rows: int) -> MemoryPlan:
    """Choose the number of banks, every pitch, and every base address.

    Raises UnsupportedError when one tensor is read at row lengths that no pitch serves together.
    """
    for banks in range(rows, 4 * rows + 16):
        if any(gcd(geo.step_x * geo.repeats[1], banks) != 1 for geo in geometry if geo.pixels > 1):
            continue
        pitches = _pitches(net, geometry, banks)
        if isinstance(pitches, dict):
            return _allocate(net, geometry, banks, pitches)
    raise UnsupportedError(
        f"tensor {pitches!r} is read by layers whose row lengths no common layout serves; "
        f"copy it through an identity layer for one of them"
    )


def _pitches(net: IntegerNetwork, geometry: Sequence[LayerGeometry], banks: int) -> dict[str, int] | str:
    """Pitch of each tensor, or the name of one that has none. Sources of one layer share their pitch."""
    group: dict[str, str] = {tensor.name: tensor.name for tensor in net.tensors}

    def find(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for geo in geometry:
        first, *rest = (term.source for term in geo.layer.terms)
        for other in rest:
            group[find(other)] = find(first)
    pitches: dict[str, int] = {}
    for root in sorted({find(name) for name in group}):
        members = [tensor for tensor in net.tensors if find(tensor.name) == root]
        readers = [geo for geo in geometry if any(find(term.source) == root for term in geo.layer.terms)]
        pitch = _pitch(members, readers, banks)
        if pitch is None:
            return root
        pitches |= {tensor.name: pitch for tensor in members}
    return pitches


def _pitch(members: Sequence[Tensor], readers: Sequence[LayerGeometry], banks: int) -> int | None:
    smallest = max(tensor.shape[2] for tensor in members)
    constrained = [geo for geo in readers if geo.pixels > 1 and geo.height > 1]
    for pitch in range(smallest, smallest + banks):
        if all((geo.step_y * pitch - geo.step_x * geo.width) % banks == 0 for geo in constrained):
            return pitch
    return None


def _allocate(
    net: IntegerNetwork, geometry: Sequence[LayerGeometry], banks: int, pitches: dict[str, int]
) -> MemoryPlan:
    """First fit in order of creation; a tensor lives from its layer until its last reader."""
    by_lane = {geo.layer.terms[0].source for geo in geometry if geo.channel_lanes}
    last_read = {term.source: geo.index for geo in geometry for term in geo.layer.terms}
    placed: list[tuple[Placement, int, int]] = []  # placement, first layer alive, last layer alive
    for birth, tensor in _stored(net):
        channels, height, width = tensor.shape
        pitch = pitches[tensor.name]
        channel = height * pitch if height > 1 else width
        if tensor.name in by_lane:  # neighbouring channels in neighbouring banks, as neighbouring pixels are
            channel += (1 - channel) % banks
        words = -(-(channels * channel + (0 if height > 1 else pitch - width)) // banks)
        is_input = tensor.name in net.inputs
        death = len(net.layers) if is_input else last_read.get(tensor.name, birth)
        need = 2 * words if is_input else words
        base = 0
        for place, _, _ in sorted((p for p in placed if p[2] >= birth), key=lambda p: p[0].base):
            size = place.words * (2 if place.name in net.inputs else 1)
            if base + need <= place.base:
                break
            base = max(base, place.base + size)
        placement = Placement(
            name=tensor.name, base=base, words=words, pitch=pitch, channel=channel, height=height, width=width
        )
        placed.append((placement, birth, death))
    top = max(place.base + place.words * (2 if place.name in net.inputs else 1) for place, _, _ in placed)
    return MemoryPlan(banks=banks, words=top, placements=tuple(place for place, _, _ in placed))


def _stored(net: IntegerNetwork) -> list[tuple[int, Tensor]]:
    """Tensors that lie in the memory, with the layer that makes them (-1 for the image)."""
    birth = dict.fromkeys(net.inputs, -1) | {layer.name: i for i, layer in enumerate(net.layers)}
    wide = {layer.name for layer in net.layers if layer.wide}
    return sorted(((birth[t.name], t) for t in net.tensors if t.name not in wide), key=lambda pair: pair[0])

"""The memory map: where every tensor lies in the banks, so that no read ever meets a bank conflict.

Linear address L lies in bank ``L mod B``, word ``L div B``. A tensor is a raster of pitch P per channel. Lane r of
a pixel tile computes output pixel ``p0 + r`` and reads ``L = E + step_y * P * y + step_x * x`` for entry base E.
With ``step_y * P = step_x * width (mod B)`` that is ``E + step_x * p (mod B)``, so with ``gcd(step_x, B) = 1`` any
R <= B neighbouring pixels lie in different banks, also across row ends. An upsampling layer stores its lanes as many
activations apart as it repeats columns, one with phases as many as it has of these, which has to be coprime with B as
well.

Where lanes run over channels, the distance of channels is 1 (mod B) instead. In designs with phases grouped layers
whose channels lie a multiple of B apart count their lists from a filter tile's first channel, so that one list serves
all tiles: channels of what a grouped layer with phases reads are padded to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.core.errors import UnsupportedError
from hwprm.intnet import IntegerNetwork, Tensor

__all__ = ["MemoryMap", "Placement", "map_memory"]


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
class MemoryMap:
    """`banks` banks of `words` words; an input's placement is that in the first of the two input buffers."""

    banks: int
    words: int
    placements: tuple[Placement, ...]
    #: Layers whose lists are counted from the first channel that a filter tile may read.
    relative: frozenset[int] = frozenset()

    def __getitem__(self, name: str) -> Placement:
        return self._by_name[name]

    def first_channel(self, geo: LayerGeometry, first: int) -> int:
        """The channel from which the list of the filter tile that begins with filter `first` is counted."""
        if geo.index not in self.relative:
            return 0
        term = geo.layer.terms[0]
        return first // (geo.filters // term.groups) * int(term.weight.shape[1])

    def distance(self, name: str, channels: int) -> int:
        """Words from channel 0 of a tensor to another one in the same bank."""
        return self[name].channel * channels // self.banks

    @cached_property
    def _by_name(self) -> dict[str, Placement]:
        return {place.name: place for place in self.placements}


def map_memory(net: IntegerNetwork, geometry: Sequence[LayerGeometry], rows: int) -> MemoryMap:
    """Choose the number of banks, at least `rows`, every pitch, and every base address.

    Raises UnsupportedError when one tensor is read at row lengths that no pitch serves together.
    """
    for banks in range(rows, 4 * rows + 16):
        if any(gcd(geo.step_x * geo.store_step, banks) != 1 for geo in geometry if geo.pixels > 1):
            continue
        pitches = _pitches(net, geometry, banks)
        if isinstance(pitches, dict):
            return _allocate(net, geometry, banks, pitches)
    raise UnsupportedError(
        f"tensor {pitches!r} is read by layers whose row lengths no common layout serves; "
        f"copy it through an identity layer for one of them"
    )


def _pitches(net: IntegerNetwork, geometry: Sequence[LayerGeometry], banks: int) -> dict[str, int] | str:
    """Pitch of each tensor, or the name of one that has none. Sources of one layer of several rows share theirs."""
    group: dict[str, str] = {tensor.name: tensor.name for tensor in net.tensors}

    def find(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for geo in geometry:
        first, *rest = geo.layer.sources
        for other in rest if geo.height > 1 else ():
            group[find(other)] = find(first)
    pitches: dict[str, int] = {}
    for root in sorted({find(name) for name in group}):
        members = [tensor for tensor in net.tensors if find(tensor.name) == root]
        readers = [geo for geo in geometry if any(find(source) == root for source in geo.layer.sources)]
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


def _allocate(net: IntegerNetwork, geometry: Sequence[LayerGeometry], banks: int, pitches: dict[str, int]) -> MemoryMap:
    """The two input buffers, each with all inputs one behind the other; behind them first fit in order of creation.

    A tensor lives from its layer until its last reader. Inputs keep their place: the next image arrives meanwhile.
    """
    by_lane = {geo.layer.terms[0].source for geo in geometry if geo.channel_lanes}
    by_word = {term.source for geo in geometry if geo.phases > 1 for term in geo.layer.terms if term.groups > 1}
    by_word -= by_lane
    last_read = {source: geo.index for geo in geometry for source in geo.layer.sources}
    inputs: list[Placement] = []
    for name in net.inputs:
        inputs.append(_placement(net.tensor[name], pitches[name], banks, base=sum(place.words for place in inputs)))
    floor = 2 * sum(place.words for place in inputs)
    placed: list[tuple[Placement, int]] = []  # and the last layer at which it is alive
    for birth, tensor in _stored(net):
        rest = 1 if tensor.name in by_lane else 0 if tensor.name in by_word else None
        place = _placement(tensor, pitches[tensor.name], banks, base=floor, rest=rest)
        for other in sorted((p for p, death in placed if death >= birth), key=lambda p: p.base):
            if place.base + place.words <= other.base:
                break
            place = replace(place, base=max(place.base, other.base + other.words))
        placed.append((place, last_read.get(tensor.name, birth)))
    top = max([floor, *(place.base + place.words for place, _ in placed)])
    made = MemoryMap(banks=banks, words=top, placements=(*inputs, *(place for place, _ in placed)))
    phased = any(geo.phases > 1 for geo in geometry)
    return replace(made, relative=frozenset(geo.index for geo in geometry if phased and _relative(net, geo, made)))


def _relative(net: IntegerNetwork, geo: LayerGeometry, made: MemoryMap) -> bool:
    """Whether all that a filter tile reads lies as many words further as its first channel, whichever that is."""
    groups = {(term.groups, term.weight.shape[1]) for term in geo.layer.terms}
    distances = {made[name].channel for name in geo.layer.sources}
    if geo.layer.terms[0].groups == 1 or len(groups) > 1 or len(distances) > 1:
        return False
    return distances.pop() % made.banks == 0 and not set(geo.layer.sources) & set(net.inputs)


def _placement(tensor: Tensor, pitch: int, banks: int, *, base: int, rest: int | None = None) -> Placement:
    """`rest` is what the distance of channels has to be, modulo the number of banks."""
    channels, height, width = tensor.shape
    channel = height * pitch if height > 1 else width
    if rest is not None:  # 1: neighbouring channels in neighbouring banks, as neighbouring pixels are; 0: in the same
        channel += (rest - channel) % banks
    words = -(-(channels * channel + (0 if height > 1 else pitch - width)) // banks)
    return Placement(name=tensor.name, base=base, words=words, pitch=pitch, channel=channel, height=height, width=width)


def _stored(net: IntegerNetwork) -> list[tuple[int, Tensor]]:
    """Results that lie in the memory, in order, with the layer that makes them."""
    return [(i, net.tensor[layer.name]) for i, layer in enumerate(net.layers) if not layer.wide]

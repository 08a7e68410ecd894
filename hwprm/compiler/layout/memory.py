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

With batches every channel holds its images one behind the other, and lanes run on into the next one: without a
conflict where the distance of images is ``step_x * N (mod B)`` for a reader of N pixels. Where readers disagree about
that, the pixel tiles of some end with the image. Where lanes run over channels, the distance of images is 1 (mod B).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

import numpy as np

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.core.errors import UnsupportedError
from hwprm.core.memo import kept
from hwprm.intnet import IntegerNetwork, Tensor

__all__ = ["MemoryMap", "Placement", "map_memory", "plain_map"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A stored tensor: `base` and `words` in words of a bank; distances `pitch`, `channel`, `image` in activations.

    A channel holds that of all images of a batch, so that `channel` is `image` times their number.
    """

    name: str
    base: int
    words: int
    pitch: int
    channel: int
    height: int
    width: int
    image: int = 0

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
    #: Layers whose pixel tiles end with the image, since other readers of their sources disagree with them.
    apart: frozenset[str] = frozenset()

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
        if any(gcd(geo.step_x * geo.store_step, banks) != 1 for geo in geometry if geo.all_pixels > 1):
            continue
        pitches = _pitches(net, geometry, banks)
        if isinstance(pitches, dict):
            images = image_distances(net, geometry, rows, banks, pitches)
            apart = [geo.layer.name for geo in geometry if not _runs_on(geo, images[geo.layer.terms[0].source], banks)]
            return replace(_allocate(net, geometry, banks, pitches, images), apart=frozenset(apart))
    raise UnsupportedError(
        f"tensor {pitches!r} is read by layers whose row lengths no common layout serves; "
        f"copy it through an identity layer for one of them"
    )


def plain_map(net: IntegerNetwork, geometry: Sequence[LayerGeometry], rows: int) -> MemoryMap:
    """`map_memory` of the layers of `net` without phases, kept beside the network: columns have no part in it.

    Not with batches, where the map also hangs on which pixel tiles are known to end with the image.
    """
    if max(geo.images for geo in geometry) > 1:
        return map_memory(net, geometry, rows)
    return kept(net, ("map", rows), lambda: map_memory(net, geometry, rows))


def _pitches(net: IntegerNetwork, geometry: Sequence[LayerGeometry], banks: int) -> dict[str, int] | str:
    """Pitch of each tensor, or the name of one that has none. Sources of one layer of several rows share theirs."""
    pitches: dict[str, int] = {}
    for root, members, readers in _groups(net, geometry, [geo for geo in geometry if geo.height > 1]):
        pitch = _pitch(members, readers, banks)
        if pitch is None:
            return root
        pitches |= {tensor.name: pitch for tensor in members}
    return pitches


def _groups(
    net: IntegerNetwork, geometry: Sequence[LayerGeometry], binding: Sequence[LayerGeometry]
) -> Iterator[tuple[str, list[Tensor], list[LayerGeometry]]]:
    """Tensors that the layers of `binding` read together, each group with a name of one of them and all its readers."""
    group: dict[str, str] = {tensor.name: tensor.name for tensor in net.tensors}

    def find(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for geo in binding:
        first, *rest = net.rasters(geo.layer)
        for other in rest:
            group[find(other)] = find(first)
    for root in sorted({find(name) for name in group}):
        members = [tensor for tensor in net.tensors if find(tensor.name) == root]
        yield root, members, [geo for geo in geometry if any(find(name) == root for name in net.rasters(geo.layer))]


def _pitch(members: Sequence[Tensor], readers: Sequence[LayerGeometry], banks: int) -> int | None:
    smallest = max(tensor.shape[2] for tensor in members)
    constrained = [geo for geo in readers if geo.pixels > 1 and geo.height > 1]
    for pitch in range(smallest, smallest + banks):
        if all((geo.step_y * pitch - geo.step_x * geo.width) % banks == 0 for geo in constrained):
            return pitch
    return None


def image_distances(
    net: IntegerNetwork, geometry: Sequence[LayerGeometry], rows: int, banks: int, pitches: dict[str, int]
) -> dict[str, int]:
    """Distance of images of each tensor: the size of one, and what pads it. Sources of one layer share theirs.

    Of the distances that differ (mod B) that one is taken which costs fewest cycles, of several the smallest.
    """
    if max(geo.images for geo in geometry) == 1:
        sizes = {tensor.name: _size(tensor, pitches[tensor.name]) for tensor in net.tensors}
        rests = _rests(net, geometry)
        return {name: size + ((rests[name] - size) % banks if name in rests else 0) for name, size in sizes.items()}
    images: dict[str, int] = {}
    for _, members, readers in _groups(net, geometry, geometry):
        size = max(_size(tensor, pitches[tensor.name]) for tensor in members)
        best = min(range(size, size + banks), key=lambda each: _waste(readers, each, rows, banks))
        images |= {tensor.name: best for tensor in members}
    return images


def _rests(net: IntegerNetwork, geometry: Sequence[LayerGeometry]) -> dict[str, int]:
    """What the distance of a tensor's channels has to be, modulo the number of banks, where it has to be something.

    1: neighbouring channels in neighbouring banks, as neighbouring pixels are; 0: in the same.
    """
    by_word = {term.source for geo in geometry if geo.phases > 1 for term in geo.layer.terms if term.groups > 1}
    by_lane = {geo.layer.terms[0].source for geo in geometry if geo.channel_lanes}
    return dict.fromkeys(by_word - set(net.inputs), 0) | dict.fromkeys(by_lane, 1)


def _size(tensor: Tensor, pitch: int) -> int:
    """Activations of one image's channel, from its first to the next image's, were nothing padded."""
    _, height, width = tensor.shape
    return height * pitch if height > 1 else width


def _runs_on(geo: LayerGeometry, image: int, banks: int) -> bool:
    """Whether lanes of `geo` meet no conflict where they run from one image into the next."""
    return geo.images == 1 or (image - geo.step_x * geo.pixels) % banks == 0


def _waste(readers: Sequence[LayerGeometry], image: int, rows: int, banks: int) -> tuple[float, int]:
    """What this distance of their sources' images costs `readers`: entries, about, and how many are apart."""
    if any(geo.channel_lanes and (image - 1) % banks for geo in readers):  # nothing else serves them
        return math.inf, 0
    apart = [geo for geo in readers if not _runs_on(geo, image, banks)]
    more = 0
    for geo in apart:
        tiles = replace(geo, apart=True).pixel_tiles(rows) - geo.pixel_tiles(rows)
        more += tiles * len(geo.windows) * sum(int(np.count_nonzero(term.weight)) for term in geo.layer.terms)
    return more, len(apart)


def _allocate(
    net: IntegerNetwork,
    geometry: Sequence[LayerGeometry],
    banks: int,
    pitches: dict[str, int],
    images: dict[str, int],
) -> MemoryMap:
    """The two input buffers, each with all inputs one behind the other; behind them first fit in order of creation.

    A tensor lives from its layer until its last reader. Inputs keep their place: the next image arrives meanwhile.
    """
    batch = max(geo.images for geo in geometry)
    rests = {name: rest for name, rest in _rests(net, geometry).items() if rest == 0}
    last_read = {source: geo.index for geo in geometry for source in geo.layer.sources}
    inputs: list[Placement] = []
    for name in net.inputs:
        place = _placement(net.tensor[name], pitches[name], images[name], batch, banks)
        inputs.append(replace(place, base=sum(place.words for place in inputs)))
    floor = 2 * sum(place.words for place in inputs)
    placed: list[tuple[Placement, int]] = []  # and the last layer at which it is alive
    for birth, tensor in _stored(net):
        place = _placement(tensor, pitches[tensor.name], images[tensor.name], batch, banks)
        if tensor.name in rests:
            place = _spaced(place, tensor.shape[0], banks)
        place = replace(place, base=floor)
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


def _spaced(place: Placement, channels: int, banks: int) -> Placement:
    """`place` with its channels a multiple of the number of banks apart."""
    more = -place.channel % banks
    return replace(place, channel=place.channel + more, words=place.words + -(-channels * more // banks))


def _placement(tensor: Tensor, pitch: int, image: int, batch: int, banks: int) -> Placement:
    """At word 0."""
    channels, height, width = tensor.shape
    words = -(-(channels * batch * image + (0 if height > 1 else pitch - width)) // banks)
    return Placement(
        name=tensor.name,
        base=0,
        words=words,
        pitch=pitch,
        channel=batch * image,
        height=height,
        width=width,
        image=image,
    )


def _stored(net: IntegerNetwork) -> list[tuple[int, Tensor]]:
    """Results that lie in the memory, in order, with the layer that makes them."""
    return [(i, net.tensor[layer.name]) for i, layer in enumerate(net.layers) if not layer.wide]

"""Whether the program of a bundle fits its manifest."""

from __future__ import annotations

from hwprm.bundle.manifest import COUNT_MAX, Manifest
from hwprm.compiler import ProgramRecord

__all__ = ["check_program"]

#: Most words of a memory, and most descriptors of a kind, in a program that a file claims to hold.
WORDS_MAX, DESCRIPTORS_MAX = 1 << 28, 1 << 22


def check_program(program: ProgramRecord, manifest: Manifest) -> None:
    """Raise ValueError where `program` does not fit `manifest`, or a number of it cannot be."""
    names = [layer.name for layer in manifest.layers]
    if list(program.layers) != names or [layer.name for layer in program.cycles.layers] != names:
        raise ValueError("its layers are not those of the manifest")
    if {tile.layer for tile in program.tiles} != set(range(len(names))):
        raise ValueError("tiles: not every layer has one")
    for layer in manifest.layers:
        kept = program.kept_channels.get(layer.name)
        if kept is not None and len(kept) != layer.shape[0]:
            raise ValueError(f"kept_channels.{layer.name} does not fit {layer.shape[0]} channels")
    _check_numbers(program)
    _check_memory(program, manifest)


def _check_numbers(program: ProgramRecord) -> None:
    hw = program.hardware
    numbers = {name: value for name, value in vars(hw).items() if isinstance(value, int)}
    if wrong := [name for name, value in numbers.items() if not -64 <= value <= COUNT_MAX]:
        raise ValueError(f"hardware.{wrong[0]} is {numbers[wrong[0]]}")
    if max(hw.tiles, hw.layers, hw.stores) > DESCRIPTORS_MAX:
        raise ValueError(f"hardware: more than {DESCRIPTORS_MAX} descriptors")
    for layer in program.cycles.layers:
        found = [value for value in vars(layer).values() if not isinstance(value, str)]
        if any(not 0 <= value <= COUNT_MAX for value in found) or not (layer.bound and layer.cycles):
            raise ValueError(f"cycles.layers: a number of {layer.name!r} is out of range")


def _check_memory(program: ProgramRecord, manifest: Manifest) -> None:
    memory_map = program.memory_map
    if program.hardware.batch != manifest.array.batch:
        raise ValueError(f"hardware.batch is {program.hardware.batch}, the manifest's {manifest.array.batch}")
    if not (memory_map.banks >= 1 and memory_map.words >= 1 and memory_map.banks * memory_map.words <= WORDS_MAX):
        raise ValueError(f"memory: {memory_map.banks} banks of {memory_map.words} words")
    shapes = {entry.name: entry.shape for entry in manifest.inputs}
    shapes |= {layer.name: layer.shape for layer in manifest.layers if not layer.wide}
    if sorted(place.name for place in memory_map.placements) != sorted(shapes):
        raise ValueError("memory.tensors: they are not those that the manifest names")
    for place in memory_map.placements:
        channels, height, width = shapes[place.name]
        last = (channels - 1) * place.channel + (height - 1) * place.pitch + width - 1
        last += (manifest.array.batch - 1) * place.image
        if (
            min(place.base, place.channel, place.image, place.pitch) < 0
            or place.base * memory_map.banks + last >= memory_map.banks * memory_map.words
        ):
            raise ValueError(f"memory.tensors: {place.name!r} does not fit the memory")

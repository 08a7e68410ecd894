"""Stalls of a bundle with external memory: predicted from its program, for the memory of the testbench."""

from __future__ import annotations

from collections.abc import Sequence

from hwprm.bundle import Bundle
from hwprm.compiler.timing.stalls import MemoryModel
from hwprm.config import MemoryConfig
from hwprm.core.errors import BundleError
from hwprm.verification.comparison.events import Section

__all__ = ["compare_stalls", "memory_model", "memory_plusargs", "waiting_cycles"]

#: Beats that are predicted, some microseconds each; of large networks that is the first images only.
BEATS_MAX = 3_000_000


def memory_plusargs(memory: MemoryConfig) -> list[str]:
    """What tells the testbench's memory how fast it is."""
    rate = memory.rate
    return [
        f"+memory_latency={memory.latency}",
        f"+memory_beats={rate.numerator}",
        f"+memory_cycles={rate.denominator}",
    ]


def waiting_cycles(bundle: Bundle, memory: MemoryConfig) -> int:
    """More cycles than an image can wait for `memory`; 0 without external memory."""
    external = bundle.manifest.external
    if external is None:
        return 0
    beats = external.bytes * 8 // external.beat_bits
    return int(beats / memory.rate) + (beats // external.burst_beats + 4) * (memory.latency + 8)


def memory_model(bundle: Bundle, memory: MemoryConfig, first_accept: int) -> MemoryModel:
    """The model of the bundle's own program. Raises BundleError when its numbers do not fit together."""
    program = bundle.program
    try:
        return MemoryModel(program.tiles, bundle.manifest.cycles.layers, program.hardware, memory, first_accept)
    except (ValueError, LookupError, ArithmeticError) as error:
        raise BundleError(f"{bundle.folder}: its program cannot be understood ({error}); emit it again") from error


def compare_stalls(
    bundle: Bundle, memory: MemoryConfig, section: Section, register: int | None
) -> tuple[Sequence[int], str | None]:
    """Stalls of every image as predicted, and where the event log says otherwise.

    `register` is MEMORY_STALLS after the last image. Of a large network the first images only are predicted, one at
    least; their number is that of the stalls.
    """
    if section.first_accept is None:
        return (), "no burst was asked for"
    model = memory_model(bundle, memory, section.first_accept)
    stalls: list[int] = []
    names = [entry.name for entry in bundle.manifest.layers]
    batches = section.batches(bundle.manifest.array.batch)
    for number, frame in enumerate(batches[: _predicted_images(bundle)]):
        if not frame.starts:
            return stalls, f"image {number} was not seen to start"
        image = model.image(frame.starts[0])
        stalls.append(sum(image.stalls))
        if list(image.starts) != frame.starts:
            pairs = enumerate(zip(image.starts, frame.starts, strict=False))
            layer = next((i for i, (want, got) in pairs if want != got), len(frame.starts) - 1)
            got, want = frame.starts[layer], image.starts[layer]
            return stalls, (
                f"image {number}, layer {names[layer]!r} starts in cycle {got}, {want} is predicted for a latency "
                f"of {memory.latency} cycles and {memory.bandwidth} beats per cycle"
            )
    if not stalls:
        return stalls, "no image was seen to start"
    if len(stalls) == len(batches) and register != stalls[-1]:
        return stalls, f"the MEMORY_STALLS register reads {register}, {stalls[-1]} are predicted"
    return stalls, None


def _predicted_images(bundle: Bundle) -> int:
    external = bundle.manifest.external
    assert external is not None
    return max(1, BEATS_MAX * external.beat_bits // (8 * external.bytes))

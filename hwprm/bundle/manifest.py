"""What ``manifest.json`` of a bundle says, as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.images import CHUNK_IMAGES
from hwprm.core.formats import BUNDLE
from hwprm.core.names import check_name
from hwprm.core.numerics import integer_range
from hwprm.core.plain import decode
from hwprm.intnet import image_limits, image_shape
from hwprm.isa.hosts import HOSTS, Host
from hwprm.isa.registers import BATCHED, EXTERNAL

__all__ = [
    "COUNT_MAX",
    "ArrayEntry",
    "ChecksEntry",
    "CycleEntry",
    "ExternalEntry",
    "InputEntry",
    "LayerEntry",
    "Manifest",
    "PortEntry",
    "RegisterEntry",
    "RomEntry",
    "SerialEntry",
]


@dataclass(frozen=True, kw_only=True)
class ArrayEntry:
    """Geometry and widths of the hardware."""

    rows: int
    cols: int
    multiplier_stages: int
    pipeline: str
    weight_bits: int
    act_bits: int
    acc_bits: int
    #: Images that are computed at a time.
    batch: int = 1


@dataclass(frozen=True, kw_only=True)
class InputEntry:
    """One input of the network: name, shape ``(C, H, W)``, and the real value of one step of its integers.

    Beats of a signed input are sign-extended, those of an unsigned one zero-extended.
    """

    name: str
    shape: tuple[int, int, int]
    scale: float
    signed: bool = True


@dataclass(frozen=True, kw_only=True)
class LayerEntry:
    """One layer: its position in the run (the probes' layer number), tensor name and shape ``(C, H, W)``.

    Each computed pixel, which the probes show once, fills `upsample` rows and columns of the tensor.

    With `channel_lanes` the hardware counts the channels of this ``(C, 1, 1)`` as the pixels of a single filter. With
    `phases` P its filter ``c * P + i`` makes the pixels of column ``P * x + i`` of channel c.
    """

    index: int
    name: str
    shape: tuple[int, int, int]
    wide: bool
    upsample: tuple[int, int] = (1, 1)
    channel_lanes: bool = False
    signed: bool = True
    phases: int = 1

    @property
    def computed(self) -> tuple[int, int, int]:
        """Shape of what the layer computes, before its pixels are repeated."""
        channels, height, width = self.shape
        return (channels, height // self.upsample[0], width // self.upsample[1])

    @property
    def drained(self) -> tuple[int, int]:
        """Filters and pixels as the probe counts them."""
        channels, height, width = self.computed
        if self.channel_lanes:
            return (1, channels)
        return (channels * self.phases, height * width // self.phases)

    def index_of(self, filters: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places in `computed`, flattened, of what the probe counts as these filters and pixels."""
        count = self.drained[1]
        channel, phase = filters // self.phases, filters % self.phases
        return (channel * count + pixels) * self.phases + phase

    def place(self, index: int) -> tuple[int, int, int]:
        """Channel, row and column in the tensor of the integer at `index` of what is computed, flattened."""
        _, height, width = self.computed
        channel, pixel = divmod(index, height * width)
        row, column = divmod(pixel, width)
        return (channel, row * self.upsample[0], column * self.upsample[1])


@dataclass(frozen=True, kw_only=True)
class CycleEntry:
    """Predicted clock cycles at steady state: of one image, of each layer in order, and what to compare them with.

    With batches all of them are those of a batch.

    `listed` counts the columns in all lists of each layer; `unordered_layers` and `unordered_listed` are cycles and
    columns if the filters had kept the order of the network that was compiled.
    """

    image: int
    layers: tuple[int, ...]
    promise: int
    bound: float
    listed: tuple[int, ...]
    unordered_layers: tuple[int, ...]
    unordered_listed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PortEntry:
    """A port of ``hwprm_top``; `core` tells whether ``hwprm_core`` has it too."""

    name: str
    direction: str
    width: int
    doc: str = ""
    core: bool = True

    @property
    def range(self) -> str:
        """Verilog range, empty for a single bit."""
        return f"[{self.width - 1}:0]" if self.width > 1 else ""


@dataclass(frozen=True, kw_only=True)
class RegisterEntry:
    """A 32-bit AXI4-Lite register; `value` is what it always reads, None when it changes."""

    name: str
    offset: int
    access: str
    doc: str
    value: int | None = None


@dataclass(frozen=True, kw_only=True)
class RomEntry:
    """A ROM image: `depth` lines of `width` bits in ``mem/<name>.mem``."""

    name: str
    width: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class ExternalEntry:
    """The external image ``mem/external.bin`` and its reader; `boot_bytes` of it are read once, the rest per image.

    The buffers are list entries and columns of weights on the chip.
    """

    bytes: int
    boot_bytes: int
    beat_bits: int
    burst_beats: int
    outstanding: int
    entry_buffer: int
    weight_buffer: int


@dataclass(frozen=True, kw_only=True)
class SerialEntry:
    """A serial line: clock cycles of a bit, and those of a line that is high after which a transfer is over.

    `clock` in MHz and `baud`, bits a second, are what both were made of: ``emit.clock`` and ``emit.baud``. None in the
    bundles of versions that did not keep them.
    """

    divider: int
    silence: int
    clock: float | None = None
    baud: int | None = None


@dataclass(frozen=True, kw_only=True)
class ChecksEntry:
    """What was compared, integer by integer, before the bundle was written.

    `passes` of the compiler changed no integer on `pass_images` sample images; the references in torch and in numpy
    agreed on `crosscheck_images` calibration images, 0 where nobody compared them.
    """

    passes: tuple[str, ...] = ()
    pass_images: int = 0
    crosscheck_images: int = 0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a user of a bundle needs to know about it. No dates, no paths of this machine."""

    net: str
    design_hash: str
    array: ArrayEntry
    #: Whose cells the Verilog uses: ``any`` where it is plain.
    target: str
    #: Whether the design is a netlist of these cells, which hides its memories.
    netlist: bool = False
    #: By what the outside talks to it (`hwprm.isa.hosts`); not in the file where it is ``axi``.
    host: str = "axi"
    #: With a serial line; not in the file where there is none.
    serial: SerialEntry | None = None
    #: In the order of the stream.
    inputs: tuple[InputEntry, ...]
    layers: tuple[LayerEntry, ...]
    cycles: CycleEntry
    ports: tuple[PortEntry, ...]
    probes: tuple[PortEntry, ...]
    registers: tuple[RegisterEntry, ...]
    #: Nothing where the program lies in external memory.
    roms: tuple[RomEntry, ...]
    external: ExternalEntry | None
    images: int
    layer_images: int
    chunk_images: int
    #: Nothing in the bundles of versions that did not compare.
    checks: ChecksEntry = ChecksEntry()
    files: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, keys in the order of the fields."""
        plain = {"format": BUNDLE} | asdict(self) | {"files": dict(sorted(self.files.items()))}
        absent = {name for name, none in (("host", "axi"), ("serial", None)) if plain[name] == none}
        return {name: value for name, value in plain.items() if name not in absent}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """Read what `to_json` made. Raises ValueError, KeyError, TypeError or ModelError when it is anything else."""
        fields = dict(plain)
        if (found := fields.pop("format")) != BUNDLE:
            raise ValueError(f"format {found!r}, this version reads {BUNDLE!r}")
        manifest = decode(cls, fields)
        check_manifest(manifest)
        return manifest

    def port(self, name: str) -> PortEntry:
        """The port or probe of that name. Raises KeyError when there is none."""
        return {port.name: port for port in self.ports + self.probes}[name]

    def register(self, name: str) -> RegisterEntry:
        """The register of that name. Raises KeyError when there is none."""
        return {register.name: register for register in self.registers}[name]

    @property
    def tdata_bits(self) -> int:
        """Width of an activation as it comes: whole bytes, that of ``s_axis_tdata`` where a beat has all of them."""
        return self.port("s_axis_tdata").width if self.host == "axi" else 8 * -(-self.array.act_bits // 8)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image among integer images: ``(C, H, W)``, or ``(beats,)`` where there are several inputs."""
        return image_shape(entry.shape for entry in self.inputs)

    @property
    def image_limits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Smallest and largest integer of every beat of an image, arrays of the shape of one."""
        bits = self.array.act_bits
        return image_limits((entry.shape, integer_range(bits, entry.signed)) for entry in self.inputs)

    @property
    def image_words(self) -> int:
        """Activations of one image."""
        return prod(self.image_shape)

    @property
    def result_words(self) -> int:
        """Output words of one image."""
        return sum(prod(layer.shape) for layer in self.layers if layer.wide)

    @property
    def host_cycles(self) -> tuple[int, int]:
        """Clock cycles that an image takes to come, and a result to leave, where nobody waits."""
        return self.way.cycles(self.image_words, self.tdata_bits // 8, self.result_words)

    @property
    def pace(self) -> int:
        """Clock cycles from an image to the next one: those of the layers, or of a host of bytes that is slower."""
        return self.cycles.image if self.way.registers else max(self.cycles.image, *self.host_cycles)

    @property
    def way(self) -> Host:
        """By what the outside talks to the design, whole."""
        return Host(kind=self.host, **(asdict(self.serial) if self.serial else {}))


#: Ports, probes and registers that verification looks at, the last of designs with registers only.
PORTS = ("probe_layer", "probe_filter", "probe_pixel", "probe_lanes", "probe_data")
REGISTERS = (
    *("ID", "CONTROL", "STATUS", "CYCLES", "FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED", "STALLS", "MEMORY_STALLS"),
)
#: Most of anything that is counted: cycles, images, words.
COUNT_MAX = 1 << 40


def check_manifest(manifest: Manifest) -> None:
    """Raise ValueError or ModelError when the parts of `manifest` do not fit together; types are right already."""
    there = [entry.name for entry in (*manifest.ports, *manifest.probes)]
    there += [register.name for register in manifest.registers]
    tensors = [entry.name for entry in manifest.inputs] + [layer.name for layer in manifest.layers]
    for name in (manifest.net, *there, *tensors, *(rom.name for rom in manifest.roms)):
        check_name("an entry", name)
    if len(set(tensors)) != len(tensors):
        raise ValueError("two of its tensors share a name")
    _check_ranges(manifest)
    if [layer.index for layer in manifest.layers] != list(range(len(manifest.layers))):
        raise ValueError("its layers are not numbered in order")
    if not manifest.inputs or not any(layer.wide for layer in manifest.layers):
        raise ValueError("it names no input or no output")
    cycles = manifest.cycles
    counts = (cycles.layers, cycles.listed, cycles.unordered_layers, cycles.unordered_listed)
    if any(len(each) != len(manifest.layers) for each in counts):
        raise ValueError("it does not count the cycles of every layer")
    if manifest.host not in HOSTS:
        raise ValueError(f"its host is {manifest.host!r}, none of {', '.join(HOSTS)}")
    if (manifest.host == "uart") != (manifest.serial is not None):
        raise ValueError("it tells of a serial line without its host, or of the host without its line")
    if manifest.array.pipeline not in ("short", "fast"):
        raise ValueError(f"its pipeline is {manifest.array.pipeline!r}, neither 'short' nor 'fast'")
    for layer in manifest.layers:
        if layer.computed[2] % layer.phases and not layer.channel_lanes:
            raise ValueError(f"layer {layer.name!r} has {layer.phases} phases in rows of {layer.computed[2]} pixels")
        if any(size % times for size, times in zip(layer.shape[1:], layer.upsample, strict=True)):
            raise ValueError(f"layer {layer.name!r} repeats its pixels {layer.upsample} times in a map {layer.shape}")
    needed = {
        *PORTS,
        *(
            {"axi": ("s_axis_tdata", *REGISTERS), "stream8": ("s_axis_tdata", "probe_cycles")}.get(
                manifest.host, ("rx",)
            )
        ),
        *(EXTERNAL if manifest.external else ()),
        *(BATCHED if manifest.array.batch > 1 else ()),
    }
    if missing := sorted(needed - set(there)):
        raise ValueError(f"it has no port, probe or register {missing[0]!r}")


def _check_ranges(manifest: Manifest) -> None:
    array, external = manifest.array, manifest.external
    shapes = [entry.shape for entry in manifest.inputs] + [layer.shape for layer in manifest.layers]
    ranges: list[tuple[str, float, float, int]] = [
        *(("array", size, 1, 1 << 16) for size in (array.rows, array.cols, array.batch)),
        *(("array", bits, 2, 64) for bits in (array.weight_bits, array.act_bits, array.acc_bits)),
        *(("shape", size, 1, 1 << 24) for shape in shapes for size in shape),
        *(("shape", prod(shape), 1, 1 << 32) for shape in shapes),
        *(("phases", layer.phases, 1, array.cols) for layer in manifest.layers),
        *(("upsample", times, 1, 1 << 16) for layer in manifest.layers for times in layer.upsample),
        *(("width", port.width, 1, 1 << 20) for port in (*manifest.ports, *manifest.probes)),
        *(("offset", register.offset, 0, (1 << 16) - 1) for register in manifest.registers),
        *(("cycles", count, 0, COUNT_MAX) for count in manifest.cycles.layers),
        ("cycles", manifest.cycles.image, 1, COUNT_MAX),
        ("images", manifest.images, 1, COUNT_MAX),
        ("layer_images", manifest.layer_images, 1, manifest.images),
        ("chunk_images", manifest.chunk_images, CHUNK_IMAGES, CHUNK_IMAGES),
    ]
    if manifest.serial:
        line = manifest.serial
        ranges += [("serial", count, 2, COUNT_MAX) for count in (line.divider, line.silence)]
        ranges += [("serial", rate, 1e-6, COUNT_MAX) for rate in (line.clock, line.baud) if rate is not None]
    if external:
        ranges += [("external", count, 1, COUNT_MAX) for count in asdict(external).values()]
        ranges += [("external.beat_bits", external.beat_bits % 8, 0, 0)]
    for what, found, low, high in ranges:
        if not low <= found <= high:
            raise ValueError(f"{what}: {found} is outside {low}..{high}")

"""What ``manifest.json`` of a bundle says, as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Self

from hwprm.intnet import image_shape

__all__ = [
    "FORMAT",
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
]

FORMAT = "hwprm-bundle-2"


@dataclass(frozen=True, kw_only=True)
class ArrayEntry:
    """Geometry and widths of the hardware."""

    rows: int
    cols: int
    multiplier_stages: int
    weight_bits: int
    act_bits: int
    acc_bits: int


@dataclass(frozen=True, kw_only=True)
class InputEntry:
    """One input of the network: name, shape ``(C, H, W)``, and the real value of one step of its integers."""

    name: str
    shape: tuple[int, int, int]
    scale: float


@dataclass(frozen=True, kw_only=True)
class LayerEntry:
    """One layer: its position in the run (the probes' layer number), tensor name and shape ``(C, H, W)``.

    Each computed pixel, which the probes show once, fills `upsample` rows and columns of the tensor.

    With `channel_lanes` the hardware counts the channels of this ``(C, 1, 1)`` as the pixels of a single filter.
    """

    index: int
    name: str
    shape: tuple[int, int, int]
    wide: bool
    upsample: tuple[int, int] = (1, 1)
    channel_lanes: bool = False

    @property
    def computed(self) -> tuple[int, int, int]:
        """Shape of what the layer computes, before its pixels are repeated."""
        channels, height, width = self.shape
        return (channels, height // self.upsample[0], width // self.upsample[1])

    @property
    def drained(self) -> tuple[int, int]:
        """Filters and pixels as the probe counts them; flattened, they are `computed` flattened."""
        channels, height, width = self.computed
        return (1, channels) if self.channel_lanes else (channels, height * width)

    def place(self, index: int) -> tuple[int, int, int]:
        """Channel, row and column in the tensor of the integer at `index` of what is computed, flattened."""
        _, height, width = self.computed
        channel, pixel = divmod(index, height * width)
        row, column = divmod(pixel, width)
        return (channel, row * self.upsample[0], column * self.upsample[1])


@dataclass(frozen=True, kw_only=True)
class CycleEntry:
    """Predicted clock cycles at steady state: of one image, of each layer in order, and what to compare them with.

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
        return {"format": FORMAT} | asdict(self) | {"files": dict(sorted(self.files.items()))}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """Read what `to_json` made. Raises ValueError, KeyError or TypeError when it is anything else."""
        fields = dict(plain)
        if (found := fields.pop("format")) != FORMAT:
            raise ValueError(f"format {found!r}, this version reads {FORMAT!r}")
        fields["array"] = ArrayEntry(**fields["array"])
        fields["checks"] = ChecksEntry(**_tuples(fields.get("checks", {})))
        fields["cycles"] = CycleEntry(**_tuples(fields["cycles"]))
        fields["inputs"] = tuple(InputEntry(**_tuples(entry)) for entry in fields["inputs"])
        fields["layers"] = tuple(LayerEntry(**_tuples(entry)) for entry in fields["layers"])
        if fields["external"] is not None:
            fields["external"] = ExternalEntry(**fields["external"])
        lists = {"ports": PortEntry, "probes": PortEntry, "registers": RegisterEntry, "roms": RomEntry}
        for key, kind in lists.items():
            fields[key] = tuple(kind(**entry) for entry in fields[key])
        return cls(**fields)

    def port(self, name: str) -> PortEntry:
        """The port or probe of that name. Raises KeyError when there is none."""
        return {port.name: port for port in self.ports + self.probes}[name]

    def register(self, name: str) -> RegisterEntry:
        """The register of that name. Raises KeyError when there is none."""
        return {register.name: register for register in self.registers}[name]

    @property
    def tdata_bits(self) -> int:
        """Width of ``s_axis_tdata``."""
        return self.port("s_axis_tdata").width

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image among integer images: ``(C, H, W)``, or ``(beats,)`` where there are several inputs."""
        return image_shape(entry.shape for entry in self.inputs)

    @property
    def image_words(self) -> int:
        """Beats of one image."""
        return prod(self.image_shape)


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}

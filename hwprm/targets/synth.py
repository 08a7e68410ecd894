"""`synthesise`: a bundle's cells on a device, whole and by block of the gateware."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwprm.bundle import Bundle
from hwprm.config.silicon import SiliconConfig
from hwprm.core.cache import default_cache, keep, trim
from hwprm.core.errors import ConfigError, InputError
from hwprm.core.files import digest_of
from hwprm.targets.catalogue import Target, find_target
from hwprm.targets.flow.family import Image
from hwprm.targets.flow.netlist import SCOPE, Counts, count_cells, used_modules
from hwprm.targets.flow.runs import Tell, run_tool
from hwprm.targets.flow.tools import SiliconTool, find_tool, shared_file
from hwprm.targets.flow.wrapper import WRAPPER, wrapper_verilog
from hwprm.targets.size import exceeded, refusal

__all__ = [
    "CORE",
    "KIND",
    "LOG",
    "NETLIST",
    "SCRIPT",
    "Around",
    "Synthesis",
    "cache_of",
    "check_cells",
    "core_netlist",
    "digest",
    "silent",
    "synthesise",
]

#: Sub-folder of the cache, and what an entry of synthesis holds.
KIND = "silicon"
SCRIPT, NETLIST, LOG = "run.ys", "netlist.json", "yosys.log"
#: The accelerator with its probes, and where its netlist lies in an entry of the cache.
CORE, CORE_NETLIST = "hwprm_core", "netlist.v"
#: What Verilator refuses of netlists, and of models of cells, though it is as it should be: pins that are left open,
#: delays, initial values that are assigned later, and carries from bit to bit of one vector.
HARMLESS = ("PINMISSING", "SPECIFYIGN", "INITIALDLY", "UNOPTFLAT")
UNLINTED = "".join(f"/* verilator lint_off {name} */\n" for name in HARMLESS)


@dataclass(frozen=True, kw_only=True)
class Around:
    """What stands around ``hwprm_top`` on a board: the module `top` in the Verilog text `verilog`, and the device.

    `pins` is the text of the file of constraints, `suffix` that of its name.
    """

    target: Target
    top: str
    verilog: str
    pins: str
    suffix: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Synthesis:
    """A bundle synthesised for a target. `folder` keeps the netlist, its script and log."""

    bundle: Bundle
    target: Target
    tool: SiliconTool
    folder: Path
    counts: Counts
    #: Whether the ports are behind shift registers, as the device has too few pins.
    wrapped: bool
    #: What it was put into, where that is a board.
    around: Around | None = None

    @property
    def used(self) -> dict[str, int]:
        """Resources by key, and the port bits of the accelerator as ``io``."""
        return self.target.family.used(self.counts.cells) | {"io": port_bits(self.bundle)}

    @property
    def blocks(self) -> dict[str, dict[str, int]]:
        """Resources by key of every block of the gateware."""
        return {name: self.target.family.used(cells) for name, cells in self.counts.blocks.items()}

    @property
    def titles(self) -> dict[str, str]:
        """What the resources are called."""
        return {resource.key: resource.title for resource in self.target.family.resources}

    @property
    def over(self) -> dict[str, tuple[int, int]]:
        """Used and available of every resource of which the device has too few."""
        used = {key: value for key, value in self.used.items() if key != "io"}  # those are behind shift registers
        return exceeded(used, self.target.device.available)

    @property
    def too_large(self) -> InputError | None:
        """What is wrong, with the numbers of each exceeded resource; None where the device has enough of all."""
        if not self.over:
            return None
        device, array = self.target.device, self.bundle.manifest.array
        words = refusal(self, self.over, device.available, (array.rows, array.cols))
        return InputError(f"{self.bundle.folder.name} does not fit {device.name} ({device.part}): it {words}")


def synthesise(folder: Path, config: SiliconConfig, tell: Tell, around: Around | None = None) -> Synthesis:
    """Synthesise the bundle in `folder` for ``config.target``, or in what is `around` it; or take what was kept.

    `tell` hears how far it is. Raises ConfigError for an unknown target, BundleError when the bundle is incomplete or
    edited, ToolError when yosys is missing or fails.
    """
    target = around.target if around else find_target(config.target)
    bundle = Bundle.load(folder)
    check_cells(bundle, target)
    tool = find_tool("yosys")
    available = target.device.available
    wrapped = port_bits(bundle) > available.get("io", port_bits(bundle))
    files = _design(bundle, target, wrapped)
    top = WRAPPER if wrapped else "hwprm_top"
    if around:
        top = around.top
        files = {f"rtl/{top}.v": around.verilog.encode(), **files}
    script = _script([name for name in files if name.endswith(".v")], target, top)
    run = _Run(tool=tool, target=target, files=files, script=script)
    kept = keep(cache_of(config), KIND, f"synth-{run.key}", lambda work: run.make(work, tell, config.timeout))
    trim(cache_of(config), int(config.cache_gb * 1e9))
    counts = count_cells(kept / NETLIST, top)
    return Synthesis(
        bundle=bundle, target=target, tool=tool, folder=kept, counts=counts, wrapped=wrapped, around=around
    )


def core_netlist(folder: Path, config: SiliconConfig, tell: Tell) -> tuple[Bundle, dict[str, str]]:
    """The bundle in `folder`, and Verilog to simulate in the place of its own: {file name: text}.

    That is the core in cells of ``config.target``, synthesised as `synthesise` does but with its probes, by which a
    verification sees every layer; what models the cells; and the modules that it has black boxes of. Raises as
    `synthesise`, and ConfigError for a family whose cells nothing models.
    """
    target = find_target(config.target)
    family = target.family
    if not family.simulated_by:
        raise ConfigError(f"nothing here simulates cells of {target.device.name}; take an ecp5, an ice40 or generic")
    bundle = Bundle.load(folder)
    check_cells(bundle, target)
    tool = find_tool("yosys")
    files = _design(bundle, target, wrapped=False)
    script = _script([name for name in files if name.endswith(".v")], target, CORE)
    script += f"delete t:{SCOPE}\nwrite_verilog -noattr -noexpr {CORE_NETLIST}\n"
    run = _Run(tool=tool, target=target, files=files, script=script)
    kept = keep(cache_of(config), KIND, f"core-{run.key}", lambda work: run.make(work, tell, config.timeout))
    trim(cache_of(config), int(config.cache_gb * 1e9))
    netlist = (kept / CORE_NETLIST).read_text()
    paths = [shared_file(tool, name) for name in family.simulated_by]
    paths += sorted(family.models.glob("*.v")) if family.models else []
    models = used_modules(netlist, [path.read_text() for path in paths])
    defined = "".join(f"`define {name}\n" for name in family.defines)
    made = replace(bundle, manifest=replace(bundle.manifest, target=family.name, netlist=True))
    own = {path.name: path.read_text() for path in bundle.sources() if path.stem in family.black_boxes}
    return made, {f"{CORE}.v": UNLINTED + netlist, "hwprm_cells.v": UNLINTED + defined + models, **own}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """One run of yosys: `script` over `files`, {name: contents or where they are}."""

    tool: SiliconTool
    target: Target
    files: Mapping[str, bytes | Path]
    script: str

    @property
    def key(self) -> str:
        """A hash of everything that goes in."""
        contents = [text for name, data in self.files.items() for text in (name, _sha(data))]
        return digest([self.tool.label, self.script, *contents])

    def make(self, work: Path, tell: Tell, seconds: float) -> None:
        """Run it in `work`, where its results and its log stay."""
        for name, data in self.files.items():
            place = work / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data) if isinstance(data, bytes) else shutil.copyfile(data, place)
        (work / SCRIPT).write_text(self.script)
        run_tool(self.tool, [SCRIPT], work, marks=self.target.family.marks, tell=tell, seconds=seconds)
        for place in {work / Path(name).parts[0] for name in self.files}:
            shutil.rmtree(place)


def check_cells(bundle: Bundle, target: Target) -> None:
    """Raise ConfigError where `bundle` was emitted with cells that `target` does not have, those of another family or
    multipliers where it has none, or is a netlist.
    """
    cells = bundle.manifest.target
    if bundle.manifest.netlist:
        raise ConfigError(f"{bundle.folder.name} is a netlist already, of {cells}; give the bundle that it was made of")
    if cells not in ("any", target.cells):
        raise ConfigError(
            f"{bundle.folder.name} is written in cells of {cells}, which {target.device.name} does not have; "
            "compile it again without --emit-target"
        )


def port_bits(bundle: Bundle) -> int:
    """Bits of all ports of ``hwprm_top``."""
    return sum(port.width for port in bundle.manifest.ports)


def cache_of(config: SiliconConfig) -> Path:
    """Where results are kept."""
    return (config.work or default_cache()).absolute()  # tools run in folders of their own


def silent(stage: str, done: int, total: int) -> None:
    """The progress that nobody follows."""


def digest(texts: Sequence[str]) -> str:
    """A short hash of `texts`, for names of what is kept."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode() + b"\0")
    return found.hexdigest()[:32]


def _design(bundle: Bundle, target: Target, wrapped: bool) -> dict[str, bytes | Path]:
    """Files of the design by name: the bundle's, with the target's own in their places, and ROM images."""
    files: dict[str, bytes | Path] = {f"rtl/{path.name}": path for path in bundle.sources()}
    own = target.family.rtl
    for path in sorted(own.glob("*.v")) if own else ():
        files[f"rtl/{path.name}"] = path
    if wrapped:
        files[f"rtl/{WRAPPER}.v"] = wrapper_verilog(bundle.manifest.ports).encode()
    names = sorted(name for name in bundle.manifest.files if name.startswith("mem/") and name.endswith(".mem"))
    images = {name: bundle.folder / name for name in names}
    if target.family.memories and bundle.manifest.array.pipeline == "fast":  # others have no output registers
        written = target.family.memories({name: _image(path) for name, path in images.items()})
        files |= {f"rtl/{name}": text.encode() for name, text in written.items() if f"rtl/{name}" in files}
    return files | images


def _image(path: Path) -> Image:
    """The words of a ROM image, of whole hexadecimal digits."""
    lines = path.read_text().split()
    return Image(width=4 * max(map(len, lines)), words=tuple(int(line, 16) for line in lines))


def _script(sources: Sequence[str], target: Target, top: str) -> str:
    """The yosys script. Modules are elaborated late: their defaults would ask for a ROM image without a name."""
    reads = f"read_verilog -D SYNTHESIS -defer {' '.join(sources)}"
    return "\n".join([reads, *target.family.passes(target.device, top), f"write_json {NETLIST}", ""])


def _sha(data: bytes | Path) -> str:
    return hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else digest_of(data)

"""Compiling a bundle's simulation, once: builds are kept by the hash of everything that goes into them."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cocotb_tools import config as cocotb_config

from hwprm.bundle import Bundle
from hwprm.core.errors import ConfigError, ToolError
from hwprm.core.files import digest_of
from hwprm.core.names import as_name
from hwprm.core.process import run_logged
from hwprm.core.resources import resource_dir
from hwprm.verification.simulators.tools import Simulator

__all__ = ["TOP", "WAIVED", "build"]

TOP = "tb_hwprm"

#: What Verilator is not to warn of, for a warning ends a build: sums that lose bits on purpose (WIDTH), timescales,
#: which the design leaves to the testbench, and comparisons with the largest value that there is (CMPCONST), which come
#: with sizes: of 3 columns a count of 2 bits is never more.
WAIVED = ("-Wno-WIDTH", "-Wno-TIMESCALEMOD", "-Wno-CMPCONST")
#: Verilator arguments. Initial contents of memories are random (seeded at run time), so that
#: nothing can rely on them. No --public-flat-rw: the testbench marks the few signals that Python touches. C++ is split
#: into short functions: a compiler takes far more than twice as long for one of twice the length.
VERILATOR = (
    *("--cc", "--exe", "--vpi", "-O3", "--prefix", "Vtop", "--timescale", "1ns/1ps"),
    *("--x-initial", "unique", "--x-assign", "fast", *WAIVED),
    *("--output-split-cfuncs", "500"),
)
CFLAGS = "-std=gnu++20 -fcoroutines"
#: Optimisation of the code that runs every cycle, of the rest of the design, and of what all designs share, through
#: which cocotb reads and writes every signal. With -O2 a small design runs 5 % faster and takes a third longer to make.
FAST, SLOW, SHARED = "OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1"
#: Bytes of C++ up to which a design is compiled in one piece. The headers that every piece reads cost a small design
#: half of the compiler's time; a large one takes all cores, and no optimisation of what runs once.
ONE_PIECE, WHOLE = 2_000_000, "VM_PARALLEL_BUILDS=0"
ICARUS = ["-g2005"]
BUILD_SECONDS = 3600.0
#: The main program, as it is called where it is compiled.
MAIN = "bench_main.cpp"
#: What every Verilator build has in common, in one piece, as most of the time goes to headers; half of a small build.
RUNTIME = "runtime"


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What a build can do: record waveforms; run fast, for which it takes longer to make.

    A `timed` one keeps the delays of the Verilog; otherwise ``sim/verilator/main.cpp`` moves the clocks.
    """

    wave: bool
    optimise: bool
    timed: bool

    @property
    def make(self) -> list[str]:
        """Levels of optimisation, for make."""
        return [FAST if self.optimise else "OPT_FAST=-O0", SLOW, SHARED]


def build(bundle: Bundle, simulator: Simulator, work: Path, *, wave: bool = False, optimise: bool = True) -> Path:
    """The compiled simulation of `bundle`: a Verilator executable, or a file for Icarus's vvp.

    Kept under `work`; made again when the design, the testbench, the flags or a tool changes.
    Raises ToolError with the end of the compiler's output when it fails, ConfigError when `work` is not writable.
    """
    sources = (*bundle.sources(), bundle.testbench)
    product = "sim.vvp" if simulator.name == "icarus" else "sim"
    kind = _Kind(wave=wave, optimise=optimise, timed=wave or not _is_clocked(bundle))
    kept = work / "builds" / f"{simulator.name}-{_key(sources, simulator, kind)}"
    if (kept / product).is_file():
        with suppress(OSError):  # not ours to write, but to read
            os.utime(kept)  # its last use, for `hwprm.core.cache.trim`
        return kept / product
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".build-", dir=_workshop(kept.parent)))
    except OSError as error:
        raise ConfigError(f"builds cannot be kept in {work} ({error.strerror}); choose another with --work") from error
    try:
        _compile(simulator, sources, temporary, work, kind)
        _keep([temporary / product], kept)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return kept / product


def _workshop(folder: Path) -> Path | None:
    """Where to compile: `folder`, or the system's place for such things where make would not work in that."""
    return folder if re.fullmatch(r"[\w./+-]+", str(folder), re.ASCII) else None


def _compile(simulator: Simulator, sources: Sequence[Path], folder: Path, work: Path, kind: _Kind) -> None:
    files = _linked(sources, folder)
    if simulator.name == "icarus":
        _run(simulator, _icarus(simulator, files, kind), folder)
        return
    translate, make = _verilator(simulator, files, folder, kind)
    _run(simulator, translate, folder)
    make += [*_pieces(folder, kind), *_in_one(folder)]
    kept = work / "runtime" / _digest([*_facts(simulator), str(kind.wave), str(kind.timed), SHARED])
    for path in kept.glob("*.o"):  # copied last, so that make finds them newer than its makefile and their source
        shutil.copyfile(path, folder / path.name)
    _run(simulator, make, folder)
    if not kept.is_dir():
        _keep([folder / f"{RUNTIME}.o"], kept)


def _pieces(folder: Path, kind: _Kind) -> list[str]:
    """For make: whether what lies translated in `folder` is compiled in one piece, with a main program of ours."""
    if kind.optimise and sum(path.stat().st_size for path in folder.glob("Vtop*.cpp")) > ONE_PIECE:
        return []
    if kind.timed:
        return [WHOLE]
    with (folder / "Vtop_classes.mk").open("a") as makefile:
        makefile.write(f"VM_SUPPORT_FAST += {MAIN.removesuffix('.cpp')}\n")
    return [WHOLE, "VM_USER_CLASSES="]


def _in_one(folder: Path) -> list[str]:
    """For make: the files of Verilator that belong to what lies translated in `folder`, all read by one."""
    text = (folder / "Vtop_classes.mk").read_text()
    lists: list[str] = re.findall(r"^VM_GLOBAL_\w+ \+= \\\n((?:  .*\\\n)*)", text, re.MULTILINE)
    names = [name for part in lists for name in part.replace("\\", "").split()]
    (folder / f"{RUNTIME}.cpp").write_text("".join(f'#include "{name}.cpp"\n' for name in names))
    return [f"VM_GLOBAL_FAST={RUNTIME}", "VM_GLOBAL_SLOW="]


def _linked(sources: Sequence[Path], folder: Path) -> list[str]:
    """Links in `folder` to `sources`, in the order in which they are read.

    Neither make nor the tools' own command lines can tell a space or a quotation mark in a path from the end of it;
    everything is compiled from inside the folder, by plain relative names.
    """
    files = []
    for i, source in enumerate(_timed_first(sources)):
        files.append(f"{i}_{as_name(source.name)}")
        (folder / files[-1]).symlink_to(source.absolute())
    return files


def _run(simulator: Simulator, command: Sequence[str], folder: Path) -> None:
    outcome = run_logged(command, folder, simulator.full_environment(), BUILD_SECONDS)
    if outcome.returncode != 0:
        what = f"{simulator.name} {simulator.version} could not compile the bundle"
        raise ToolError(f"{what}; the end of its output:\n{outcome.tail()}")


def _icarus(simulator: Simulator, files: Sequence[str], kind: _Kind) -> list[str]:
    define = ["-DHWPRM_WAVE"] if kind.wave else []
    return [str(simulator.executable), "-o", "sim.vvp", "-s", TOP, *ICARUS, *define, *files]


def _verilator(simulator: Simulator, files: Sequence[str], folder: Path, kind: _Kind) -> tuple[list[str], list[str]]:
    """The command that translates to C++, and the one that compiles that; `folder` gets links to what they need."""
    libraries = shlex.quote(str(cocotb_config.libs_dir))
    link = f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"
    (folder / MAIN).symlink_to(_main(kind))
    cflags, make = CFLAGS, [*kind.make, *simulator.make_arguments]
    if kind.wave and simulator.bundled_fst:
        # Its FST writer wants lz4 and zlib with their headers; ours have the four functions that it calls.
        (folder / "include").symlink_to(resource_dir("sim").absolute() / "include")
        cflags += " -Iinclude"
        make.append(f"LDLIBS={link} -pthread")
    trace = ["--trace-fst", "-DHWPRM_WAVE"] if kind.wave else []
    clocks = ["--timing"] if kind.timed else ["--no-timing", "-DHWPRM_CLOCKED"]
    first = [
        str(simulator.executable),
        *VERILATOR,
        *trace,
        *clocks,
        *("--top-module", TOP, "-Mdir", ".", "-o", "sim"),
        *("-CFLAGS", cflags, "-LDFLAGS", link),
        MAIN,
        *files,
    ]
    # Only the FST writer is compiled for a wave build; the testbench, not cocotb's main, opens the file.
    second = ["make", f"-j{os.cpu_count() or 1}", "-f", "Vtop.mk", *make]
    return first, second


def _is_clocked(bundle: Bundle) -> bool:
    """Whether its testbench can leave the clocks to a main program, as those of older bundles cannot."""
    return not bundle.manifest.netlist and "HWPRM_CLOCKED" in bundle.testbench.read_text(encoding="utf-8")


def _main(kind: _Kind) -> Path:
    ours, cocotbs = resource_dir("sim") / "verilator" / "main.cpp", Path(cocotb_config.share_dir)
    return cocotbs / "lib" / "verilator" / "verilator.cpp" if kind.timed else ours.absolute()


def _timed_first(sources: Sequence[Path]) -> list[Path]:
    """The testbench, which has a timescale, before the design, which has none and takes over its."""
    return [sources[-1], *sources[:-1]]


def _keep(products: Sequence[Path], kept: Path) -> None:
    """Move `products` alone into the folder `kept`, at once; whoever comes second leaves the first's equal files."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shell = Path(tempfile.mkdtemp(prefix=".keep-", dir=kept.parent))
    try:
        for product in products:
            shutil.move(product, shell / product.name)
        with suppress(OSError):  # the name is taken by a folder that is not empty
            shell.rename(kept)
    finally:
        shutil.rmtree(shell, ignore_errors=True)


def _key(sources: Sequence[Path], simulator: Simulator, kind: _Kind) -> str:
    contents = [text for path in sources for text in (path.name, digest_of(path))]
    return _digest([*_facts(simulator), str(kind.wave), *kind.make, digest_of(_main(kind)), *contents])


def _facts(simulator: Simulator) -> list[str]:
    """What every build depends on besides its sources and its kind."""
    tool = (simulator.version, str(simulator.executable), version("cocotb"), str(cocotb_config.libs_dir))
    return [*VERILATOR, CFLAGS, str(ONE_PIECE), *ICARUS, *tool]


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:32]

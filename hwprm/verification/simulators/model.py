"""The design of a bundle as a C++ program: Verilated without cocotb, driven by ``sim/driver`` and the bundle's C."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hwprm.bundle import Bundle
from hwprm.core.errors import ToolError
from hwprm.core.process import run_logged
from hwprm.core.resources import resource_dir
from hwprm.verification.simulators.builds import WAIVED
from hwprm.verification.simulators.tools import find_simulator

__all__ = ["STRICT", "build_model"]

#: What the bundle's C is compiled with: nothing that any compiler warns of.
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
SECONDS = 1800.0


def build_model(bundle: Bundle, folder: Path, *, optimise: bool = False) -> Path:
    """Compile the program ``model`` of `bundle` into the new `folder`; see ``sim/driver/main.cpp`` for its use.

    It is to be run in the bundle's folder. With `optimise` it runs faster and takes longer to make. Raises ToolError
    when Verilator or a compiler is missing, or cannot compile it.
    """
    simulator = find_simulator("verilator")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ToolError("a C compiler is missing; install gcc or clang")
    folder.mkdir(parents=True)
    driver, ours = bundle.folder.absolute() / "driver", resource_dir("sim").absolute() / "driver"
    level = "-O2" if optimise else "-O0"
    compile_c = [compiler, *STRICT, level, "-c", str(driver / "hwprm_driver.c"), "-o", "driver.o"]
    translate = [
        str(simulator.executable),
        *("--cc", "--exe", "-O3", "--top-module", "hwprm_top", "--prefix", "Vhwprm_top", "-Mdir", ".", "-o", "model"),
        *("--x-initial", "unique", "--x-assign", "fast", *WAIVED, "-Wno-UNUSED"),
        *("-CFLAGS", f"-std=c++17 {level} -I{driver} -I{ours}"),
        *map(str, (source.absolute() for source in bundle.sources())),
        *(str(ours / "main.cpp"), "driver.o"),
    ]
    levels = [f"OPT_FAST={level}", "OPT_SLOW=-O0", f"OPT_GLOBAL={level}", "VM_PARALLEL_BUILDS=0"]
    make = ["make", f"-j{os.cpu_count() or 1}", "-f", "Vhwprm_top.mk", *levels, *simulator.make_arguments]
    for command in (compile_c, translate, make):
        outcome = run_logged(command, folder, simulator.full_environment(), SECONDS)
        if outcome.returncode != 0:
            raise ToolError(f"the C++ model of {bundle.folder} cannot be compiled:\n{outcome.tail()}")
    return folder / "model"

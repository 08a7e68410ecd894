"""Whether a fault makes no difference to its module, for all inputs and from all states: yosys' equivalence check."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from mutation_sites import Mutant, mutated

from hwprm.targets.flow.tools import find_tool

__all__ = ["proved"]

#: Seconds of a proof, and cycles over which it looks back.
SECONDS, STEPS = 120, 4


def proved(folder: Path, mutant: Mutant) -> bool:
    """Whether the module of `mutant` is proved the same with the fault and without, in the bundle in `folder`.

    Modules inside it count as they are, but for ROMs, whose contents may be any. False where the proof fails, or takes
    too long: it then says nothing.
    """
    top = f"\\hwprm_core.{mutant.module}" if mutant.module != "hwprm_core" else "hwprm_core"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        text = (folder / mutant.file).read_bytes()
        (work / "gold.v").write_bytes(text)
        (work / "gate.v").write_bytes(mutated(text, mutant))
        lines = []
        for side in ("gold", "gate"):
            lines += [f"read_verilog {side}.v", *(f"read_verilog -lib {folder.absolute()}/rtl/hwprm_rom.v",) * 1]
            lines += [f"read_verilog -sv -DSYNTHESIS {folder.absolute()}/rtl/hwprm_ram.v", f"hierarchy -top {top}"]
            lines += ["proc", "flatten", "opt_clean", f"rename -top {side}", "memory -nomap", "memory_map", "opt_clean"]
            lines += [f"design -stash {side}"]
        lines += [f"design -copy-from {side} -as {side} {side}" for side in ("gold", "gate")]
        lines += ["equiv_make gold gate equiv", "hierarchy -top equiv", "equiv_struct -icells"]
        lines += [f"equiv_simple -undef -seq {STEPS}", f"equiv_induct -undef -seq {STEPS}", "equiv_status -assert"]
        (work / "proof.ys").write_text("\n".join([*lines, ""]))
        command = [*find_tool("yosys").command, "proof.ys"]
        try:
            done = subprocess.run(command, cwd=work, check=False, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

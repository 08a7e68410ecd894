"""A module with a fault beside the true one, on the same inputs, through a whole verification: what differs, and when.

Outputs that never differ say that nothing which the bundle's own program does shows the fault; that no other program of
these sizes would is not said. The faulty module drives nothing, so once its outputs differ what follows says little.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mutation_sites import Mutant, mutated

from hwprm.config.verify import VerifyConfig
from hwprm.verification import verify_bundle

__all__ = ["differing"]

NAME = r"\\\S+ |\w+"
PORT = re.compile(rf"^  (input|output) *(?:\[(\d+):0\])? *({NAME})\s*;", re.MULTILINE)
LINK = re.compile(rf"\.({NAME})\s*\((.*?)\)\s*(?=,|$)", re.DOTALL)
#: The copy's module, instance, and names that no design has.
COPY = "faulty_copy"
#: What the test bench sets in the true module alone.
SET = ("cycles", "memory_stalls")


def differing(folder: Path, mutant: Mutant) -> dict[str, int]:
    """In how many clock cycles each output of the module of `mutant`, one inside the core, differs with the fault.

    Every test of both modes runs, under Icarus. Raises VerificationError or ToolError when the true design fails.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        copy = work / "bundle"
        shutil.copytree(folder, copy)
        core = copy / mutant.file
        log = work / "differences.txt"
        log.touch()
        core.write_text(_beside(core.read_text(), mutant, log))
        config = VerifyConfig(sim="icarus", allow_edited=True, work=work / "cache")
        verify_bundle(copy, config).raise_on_failure()
        found: dict[str, int] = {}
        for output in log.read_text().split():
            found[output] = found.get(output, 0) + 1
        return found


def _beside(text: str, mutant: Mutant, log: Path) -> str:
    """The core with a copy of the module, the fault in it, behind its instance; `log` gets a line for a difference."""
    module = f"\\hwprm_core.{mutant.module}"
    faulty = _module(mutated(text.encode(), mutant).decode(), module)
    instance = re.search(rf"^ *{re.escape(module)} +(?:{NAME}) ?\((.*?)\n *\);", text, re.MULTILINE | re.DOTALL)
    assert instance, f"{mutant.module} is no instance of the core"
    links = {name.strip(): wire.strip() for name, wire in LINK.findall(instance[1])}
    ports = [(way, int(high or 0) + 1, name.strip()) for way, high, name in PORT.findall(faulty)]
    beside = "\n".join(_instance(ports, links, log))
    faulty = re.sub(rf"^module (?:{NAME})\s*\(", f"module {COPY} (", faulty, count=1)
    return f"{text[: instance.end()]}\n{beside}\n{text[instance.end() :]}\n{faulty}\n"


def _module(text: str, module: str) -> str:
    start = text.index(f"module {module} (")
    return text[start : text.index("endmodule", start) + len("endmodule")]


def _instance(ports: list[tuple[str, int, str]], links: dict[str, str], log: Path) -> Iterator[str]:
    """The copy, and a line in the `log` for every output that is read and differs in a clock cycle."""
    made, compared = [], []
    for number, (way, width, name) in enumerate(ports):
        wire = "" if name in SET else links.get(name, "")
        if way == "output" and wire:
            yield f"  wire [{width - 1}:0] {COPY}_{number};"
            compared.append(f'    if ({COPY}_{number} !== {wire} ) $fdisplay({COPY}_log, "{name.strip(chr(92))}");')
            wire = f"{COPY}_{number}"
        made.append(f"    .{name} ({wire} )")
    yield f"  {COPY} {COPY}_instance (\n" + ",\n".join(made) + "\n  );"
    yield f'  integer {COPY}_log;\n  initial {COPY}_log = $fopen("{log}", "a");'
    yield "  always @(posedge clk) begin\n" + "\n".join(compared) + "\n  end"

"""Proofs by yosys' own solver: what a harness asserts holds for all inputs, in all cycles, or a counterexample is told.

A harness is Verilog with `assert` and `assume`, around modules that were made one by one, each from its own sources.
Registers without an initial value begin with any value. `$anyconst` of a harness is any value, the same in all cycles;
`$anyseq` any in each.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from hwprm.gateware import named_ports
from hwprm.gateware.primitives.memories import MemoryTemplates
from hwprm.targets.flow.tools import find_tool, shared_file

__all__ = ["Made", "Verdict", "cell_model", "made_of", "prove", "run_yosys"]


class Verdict(Enum):
    """What the solver found, by its words. `OPEN`: neither, the assertion is not inductive within so many steps."""

    PROVEN = "SUCCESS!"
    REFUTED = "FAIL!"
    OPEN = "proof failed"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A module of a harness: `top` of the `sources`, Verilog or RTLIL (``.il``), with `parameters`, called `name`.

    `shown` are signals inside that become outputs, for a harness to speak of. Where it is `still`, registers are wires:
    what a pipeline without loops makes of inputs that do not change. With `synthesis` sources say what they say to
    synthesis; `models` are those of a device's cells.
    """

    name: str
    top: str
    sources: Sequence[Path]
    parameters: Mapping[str, int] = field(default_factory=dict)
    synthesis: bool = False
    models: Sequence[Path] = ()
    shown: Sequence[str] = ()
    still: bool = False

    def script(self) -> list[str]:
        """Lines of yosys that leave it in the stash."""
        read = "read_verilog -sv -defer" + ("" if self.synthesis else " -nosynthesis")
        values = "".join(f" -chparam {name} {value}" for name, value in self.parameters.items())
        # Cells have parameters: with their models at hand at once, yosys would read anew what it has begun with.
        late = [f"write_rtlil {self.name}.il", "design -reset", f"read_rtlil {self.name}.il"]
        late += [*(f"read_verilog -sv -defer {path}" for path in self.models), f"hierarchy -top {self.top}"]
        return [
            *(f"read_rtlil {path}" if path.suffix == ".il" else f"{read} {path}" for path in self.sources),
            *(f"hierarchy -top {self.top}{values}", f"rename -top {self.top}"),
            *(late if self.models else []),
            *("proc", "flatten", "opt", "opt_mem", "memory_share", "memory_map", "opt"),
            *(f"expose w:{name}" for name in self.shown),
            *(["dffunmap", "techmap -map still.v", "setattr -unset init w:*", "opt"] if self.still else []),
            *(f"rename -top {self.name}", f"design -stash {self.name}"),
        ]


#: Registers as wires.
STILL = """(* techmap_celltype = "$dff" *)
module still #(parameter WIDTH = 1, parameter CLK_POLARITY = 1) (input CLK, input [WIDTH-1:0] D, output [WIDTH-1:0] Q);
    assign Q = D;
endmodule
"""


#: The bundle's RAM as a proof has it: a word that is read in the cycle it is written is anything.
RAM = """
module hwprm_ram #(parameter WIDTH = 8, DEPTH = 2, ADDR_BITS = 1, OUTPUT_REGISTER = 0) (
    input clk, write_enable, input [ADDR_BITS-1:0] write_addr, read_addr, input [WIDTH-1:0] write_data,
    output [WIDTH-1:0] read_data
);
    reg [WIDTH-1:0] word, held, mem [0:DEPTH-1];
    wire [WIDTH-1:0] anything = $anyseq;
    always @(posedge clk) begin
        if (write_enable) mem[write_addr] <= write_data;
        word <= write_enable && write_addr == read_addr ? anything : mem[read_addr];
        held <= word;
    end
    assign read_data = OUTPUT_REGISTER ? held : word;
endmodule
"""


def made_of(folder: Path, dut: wiring.Component, shown: Sequence[str] = ()) -> Made:
    """The block `dut`, called ``dut``, its memories instances of a RAM that answers a collision with anything."""
    text = rtlil.convert(dut, name="dut", ports=named_ports(dut), platform=MemoryTemplates(), emit_src=False)
    (folder / "dut.il").write_text(text)
    (folder / "ram.v").write_text(RAM)
    sources = [folder / "ram.v"] if "hwprm_ram" in text else []
    return Made(name="dut", top="dut", sources=[folder / "dut.il", *sources], shown=shown)


def prove(
    folder: Path,
    harness: str,
    made: Sequence[Made],
    *,
    steps: int = 1,
    skip: int = 0,
    cases: Sequence[Mapping[str, int]] = (),
) -> Verdict:
    """Whether everything that the module ``harness`` of the text `harness` asserts holds, by induction over at most
    `steps` cycles; the first `skip` cycles, in which pipelines fill, are left out.

    With `cases` each is proven by itself, with the values that it gives to signals of the harness. They must be all
    that there are. Of modules that are `still`, products are any numbers, those of equal factors one and the same: more
    to prove than is needed, and yet quicker by far.
    """
    (folder / "harness.sv").write_text(harness)
    (folder / "still.v").write_text(STILL)
    lines = [line for each in made for line in each.script()]
    lines += [f"design -copy-from {each.name} -as {each.name} {each.name}" for each in made]
    lines += [
        "read_verilog -sv -formal harness.sv",
        "hierarchy -check -top harness",
        "proc",
        "flatten",
        "chformal -lower",
    ]
    lines += ["opt -full", "wreduce", "opt -full", *(["delete t:$mul"] if any(each.still for each in made) else [])]
    for case in cases or ({},):
        values = "".join(f" -set {name} {value}" for name, value in case.items())
        lines += [
            f"sat -tempinduct -maxsteps {steps} -tempinduct-skip {skip} -prove-asserts -set-assumes{values} harness"
        ]
    said = run_yosys(folder, lines)
    found = {verdict: said.count(verdict.value) for verdict in Verdict}
    assert sum(found.values()) == max(1, len(cases)), said[-3000:]
    return next(verdict for verdict in (Verdict.REFUTED, Verdict.OPEN, Verdict.PROVEN) if found[verdict])


def run_yosys(folder: Path, lines: Sequence[str]) -> str:
    """What yosys says while it runs the script `lines` in `folder`."""
    (folder / "proof.ys").write_text("\n".join([*lines, ""]))
    command = [*find_tool("yosys").command, "proof.ys"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def cell_model(name: str) -> Path:
    """A file of cell models that comes with yosys."""
    return shared_file(find_tool("yosys"), name)

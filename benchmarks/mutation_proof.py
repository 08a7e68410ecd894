"""Whether a fault makes no difference to its module, for all inputs in all cycles: what agrees keeps agreeing.

The module with the fault and the true one, memories and all, become functions from inputs and registers to outputs and
what the registers hold next. Those bits of registers of which the solver finds that, as long as they all agree, they
agree in the next cycle too, agree forever; the fault makes no difference if then all outputs do. Bits that may differ
are dropped, one counterexample after the other, until the rest is closed (van Eijk, 2000). It begins with all that hold
the same at power-on. No invariant is looked for: what no state that is reached would show may remain unproven.

Assumed of designs with ROMs: words of a table, wherever the module has them, are some of its file's, or zero.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from mutation_sites import Mutant, mutated

from hwprm.targets.flow.tools import find_tool

__all__ = ["CORE", "proved"]

#: Seconds of one call of yosys, and counterexamples after which a proof is given up.
SECONDS, ROUNDS = 60, 40
#: What `expose` calls inputs and outputs of a register, and its clock.
Q, D, CLOCK = ".q", ".d", ".c"
CORE = "hwprm_core"
#: Inputs and registers that hold words of a table, by module and table.
HOLDERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    CORE: {
        "layers": ("rom_layers.word.q", "sequencer.layer.q", "sequencer.result_layer.q"),
        "tiles": ("rom_tiles.word.q", "sequencer.now.q"),
        "stores": ("rom_stores.word.q",),
        "params": ("rom_params.word.q",),
        "entries": ("rom_entries.word.q",),
    },
    "sequencer": {"layers": ("layer_word", "layer.q", "result_layer.q"), "tiles": ("tile", "now.q")},
    "lanes": {"layers": ("layer",), "entries": ("entry",)},
    "drain": {"layers": ("layer",), "params": ("param",)},
    "egress": {"layers": ("layer",)},
    "store_unit": {"stores": ("store",)},
    "store_unit.tiles": {"stores": ("store",)},
    **{f"drain.requantiser{r}": {"params": ("param",)} for r in range(8)},
}
Ports = Mapping[str, tuple[str, int]]
Bit = tuple[str, int]
Tables = Mapping[str, Sequence[int]]


def proved(folder: Path, mutant: Mutant, module: str) -> bool:
    """Whether `module`, with all in it, is proved the same with the fault and without, in the bundle in `folder`.

    It is that of `mutant` or `CORE`. False where the proof fails, or takes too long: it then says nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        try:
            text, gold = _gold(folder, module)
            (work / "gold.il").write_text(text)
            _copy(folder, work)
            (work / mutant.file).write_bytes(mutated((work / mutant.file).read_bytes(), mutant))
            gate = _functions(work, module, "gate")
            if gold != gate:
                return False  # the fault takes a register away
            return _closes(work, module, gold, _unequal(mutant, module))
        except subprocess.SubprocessError:
            return False


@cache
def _gold(folder: Path, module: str) -> tuple[str, Ports]:
    """The true `module` of the bundle in `folder`, in yosys' language, and its ports."""
    with tempfile.TemporaryDirectory() as name:
        _copy(folder, Path(name))
        ports = _functions(Path(name), module, "gold")
        return (Path(name) / "gold.il").read_text(), ports


def _copy(folder: Path, work: Path) -> None:
    """Verilog and memory files of the bundle in `folder`: yosys may read nothing outside the folder it works in."""
    for path in [*(folder / "rtl").iterdir(), *(folder / "mem").iterdir()]:
        place = work / path.relative_to(folder)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(path.read_bytes())


def _unequal(mutant: Mutant, module: str) -> set[str]:
    """Registers of `module` that the fault gives another value at power-on: a word of a memory."""
    match = re.match(r" +(\w+)(\[\d+\]) = ", mutant.before)
    inside = "" if mutant.module == module else f"{mutant.module}."
    return {f"{inside}{match[1]}{match[2]}"} if match else set()


def _functions(work: Path, module: str, side: str) -> Ports:
    """Make ``<side>.il`` of `module`, its registers turned into ports; all ports, direction and width."""
    top = CORE if module == CORE else f"\\hwprm_core.{module}"
    lines = [f"read_verilog -sv -DSYNTHESIS {path.relative_to(work)}" for path in sorted((work / "rtl").glob("*.v"))]
    lines += [f"hierarchy -top {top}", "proc", "flatten", "memory_map", "opt_clean", "dffunmap", "opt_clean -purge"]
    lines += ["expose -dff -evert-dff", "opt_clean -purge", f"rename -top {side}"]
    _yosys(work, [*lines, f"write_rtlil {side}.il", f"write_json {side}.json"])
    ports = json.loads((work / f"{side}.json").read_text())["modules"][side]["ports"]
    # JSON has a backslash before names that begin with $.
    return {name.removeprefix("\\"): (port["direction"], len(port["bits"])) for name, port in ports.items()}


def _closes(work: Path, module: str, gold: Ports, unequal: set[str]) -> bool:
    """Drop bits of registers until all others, and the outputs, agree whenever the others do."""
    outputs = [(name, bit) for name, (way, width) in gold.items() if way == "output" for bit in range(width)]
    dropped = {(name, bit) for name, bit in outputs if name.endswith(CLOCK) or name.removesuffix(D) in unequal}
    for _ in range(ROUNDS):
        (work / "check.v").write_text("\n".join(_wrapper(gold, outputs, dropped, _tables(work, module))))
        lines = ["read_rtlil gold.il", "read_rtlil gate.il", "read_verilog check.v", "hierarchy -check -top check"]
        lines += ["flatten", "opt -full", f"sat -timeout {SECONDS} -set given 1 -prove agree 1 -show alike"]
        said = _yosys(work, lines)
        if "SAT proof finished - no model found: SUCCESS" in said:
            return True
        found = re.search(r"\\alike +\S+ +\S+ +([01x]+)", said)
        if found is None:
            return False
        bits = found[1].rjust(len(outputs), "0")[::-1]
        differ = {output for output, bit in zip(outputs, bits, strict=True) if bit != "1"}
        if not differ or any(not name.endswith(D) for name, _ in differ):
            return False
        dropped |= differ
    return False


def _wrapper(ports: Ports, outputs: Sequence[Bit], dropped: set[Bit], tables: Tables) -> Iterator[str]:
    """Both sides on the same inputs and the same registers, but for bits that are `dropped`; which `outputs` agree."""
    inputs = {name: width for name, (direction, width) in ports.items() if direction == "input"}
    numbers = {name: number for number, name in enumerate(ports)}
    apart = {name.removesuffix(D) + Q for name, _ in dropped} & set(inputs)
    yield "module check("
    yield ",\n".join(f"input [{width - 1}:0] i{numbers[name]}" for name, width in inputs.items())
    yield "".join(f",\ninput [{inputs[name] - 1}:0] j{numbers[name]}" for name in sorted(apart))
    yield f", output [{len(outputs) - 1}:0] alike, output agree, output given);"
    for side in ("gold", "gate"):
        links = []
        for name, (direction, width) in ports.items():
            number = numbers[name]
            if direction == "output":
                yield f"wire [{width - 1}:0] {side}{number};"
                links.append(f".\\{name} ({side}{number})")
            elif side == "gate" and name in apart:
                stem = name.removesuffix(Q) + D
                bits = (f"{'j' if (stem, bit) in dropped else 'i'}{number}[{bit}]" for bit in reversed(range(width)))
                links.append(f".\\{name} ({{{', '.join(bits)}}})")
            else:
                links.append(f".\\{name} (i{number})")
        yield f"{side} {side}_side ({', '.join(links)});"
    for place, (name, bit) in enumerate(outputs):
        same = f"gold{numbers[name]}[{bit}] == gate{numbers[name]}[{bit}]"
        yield f"assign alike[{place}] = {'1' if (name, bit) in dropped else same};"
    yield "assign agree = &alike;"
    terms = ["1'b1", *_assumed(ports, numbers, tables)]
    yield f"assign given = {' & '.join(terms)};"
    yield "endmodule"


def _tables(work: Path, module: str) -> Tables:
    """Words that inputs and registers of the `module` may hold."""
    found: dict[str, Sequence[int]] = {}
    for table, holders in HOLDERS.get(module, {}).items():
        path = work / "mem" / f"{table}.mem"
        if path.is_file():
            found |= dict.fromkeys(holders, sorted({int(line, 16) for line in path.read_text().split()} | {0}))
    return found


def _assumed(ports: Ports, numbers: Mapping[str, int], tables: Tables) -> Iterator[str]:
    """Terms that hold where words of tables are some of their files'."""
    for name, words in tables.items():
        if name in ports:
            # Of the true side: the other has what the fault makes of it.
            wire, width = f"i{numbers[name]}", ports[name][1]
            yield "(" + " | ".join(f"({wire} == {width}'h{word:x})" for word in words) + ")"


def _yosys(work: Path, lines: Sequence[str]) -> str:
    (work / "proof.ys").write_text("\n".join([*lines, ""]))
    command = [*find_tool("yosys").command, "proof.ys"]
    done = subprocess.run(command, cwd=work, check=False, capture_output=True, text=True, timeout=3 * SECONDS)
    if done.returncode:
        raise subprocess.SubprocessError(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout

"""A stand-in for yosys, nextpnr and the packers: copies real outputs, trimmed, and notes that it ran."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

#: Real outputs, trimmed.
DATA = Path(__file__).resolve().parent.parent / "unit" / "targets" / "flow" / "data"


def _run(name: str, notes: Path, fail: str, arguments: list[str]) -> None:
    with notes.open("a") as file:
        file.write(f"{name} {' '.join(arguments)}\n")
    print("Executing Verilog\nsome words", flush=True)
    if fail == name:
        sys.exit(3)
    if name == "yosys":
        script = Path(arguments[0]).read_text()
        top = next(name for name in ("hwprm_pins", "hwprm_board", "hwprm_top") if f"-top {name}" in script)
        text = (DATA / "ecp5_netlist.json").read_text()
        Path("netlist.json").write_text(text.replace('"hwprm_top"', f'"{top}"', 1))
    elif name.startswith("nextpnr"):
        options = dict(zip(arguments[:-1], arguments[1:], strict=True))
        report = json.loads((DATA / "ecp5_report.json").read_text())
        next(iter(report["fmax"].values()))["achieved"] = 40.0 + int(options["--seed"])
        Path(options["--report"]).write_text(json.dumps(report))
        Path(options.get("--textcfg") or options["--asc"]).write_text(f"placed with seed {options['--seed']}\n")
    else:
        shutil.copyfile(arguments[0], arguments[1])


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])

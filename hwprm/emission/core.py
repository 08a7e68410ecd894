"""The accelerator as Verilog text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.back import verilog
from amaranth.hdl import Shape

from hwprm.core.garbage import without_collection
from hwprm.gateware import Accelerator, MemoryTemplates, named_ports
from hwprm.isa import Hardware
from hwprm.isa.hosts import AXI, Host

__all__ = ["Core", "complete_cases", "core_verilog"]


@dataclass(frozen=True, kw_only=True)
class Core:
    """Verilog `text` of ``hwprm_core`` and the widths of its probe outputs by name."""

    text: str
    probe_widths: Mapping[str, int]


def core_verilog(hardware: Hardware, *, cells: str | None = None, host: Host = AXI) -> Core:
    """``hwprm_core`` with its memories as instances of the templates' modules, with `cells`, the name of
    a target, its multipliers and accumulators as well; around it what `host` needs. Holds no path and no date.
    """
    with without_collection():
        component = Accelerator(hardware, host=host)
        widths = {
            name: Shape.cast(member.shape).width
            for name, member in component.signature.members.items()
            if name.startswith("probe_")
        }
        platform, ports = MemoryTemplates(cells=cells), named_ports(component)
        text: str = verilog.convert(
            component, name="hwprm_core", platform=platform, ports=ports, emit_src=False, strip_internal_attrs=True
        )
    return Core(text=complete_cases(text), probe_widths=widths)


def complete_cases(text: str) -> str:
    """`text` with an empty default in every case statement that has none.

    Yosys writes a case without one where Amaranth has none to say: of a state machine, and of an assignment to the bit
    that a signal chooses. The variable has been assigned before; linters cannot know that.
    """
    lines: list[str] = []
    open_cases: list[bool] = []
    for line in text.split("\n"):
        word = line.strip().split(" ")[0]
        if word in ("case", "casez"):
            open_cases.append(False)
        elif word.startswith("default") and open_cases:
            open_cases[-1] = True
        elif word == "endcase" and not open_cases.pop():
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}  default: ;")
        lines.append(line)
    return "\n".join(lines)

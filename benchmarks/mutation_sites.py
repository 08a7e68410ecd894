"""Where single faults go into a bundle: every place of its Verilog, and every word of its memory files.

A fault is a line that reads otherwise, or a bit of a file that is flipped. Left alone are declarations, and with them
initial values, which a device may ignore; parameters of instances; and names of parts of words that nobody reads.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Mutant", "draw", "mutated", "sites"]

#: Each of these once in place of each other of its row.
SWAPS = (
    *((" + ", " - "), (" - ", " + "), (" == ", " != "), (" != ", " == "), (" * ", " + ")),
    *(
        (" < ", " <= "),
        (" > ", " >= "),
        (" <= ", " < "),
        (" >= ", " > "),
        (" & ", " | "),
        (" | ", " & "),
        (" ^ ", " | "),
    ),
    *((" && ", " || "), (" || ", " && "), (" << ", " >> "), (" >> ", " << "), (" >>> ", " >> ")),
)
IDENTIFIER = re.compile(r"\\\S+ |(?<![\w'$.\\])[A-Za-z_]\w*(?!['\w])")
CONSTANT = re.compile(r"(\d+)'(s?)([hdb])([0-9a-fA-F_]+)(?![xz?\w])")
DECLARATION = re.compile(
    r"^ *(?:input|output|inout)? *(?:wire|reg)? *(?:signed)? *(?:\[(\d+):(\d+)\])? *(\\\S+ |\w+) *(?:=|;|,|$)"
)
WORDS = {"assign", "if", "else", "begin", "end", "case", "casez", "endcase", "always", "posedge", "default", "initial"}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault: `file` of the bundle, `place` a line (from 1) or bit (from 0), what it reads `before` and `after`."""

    file: str
    module: str
    place: int
    operator: str
    before: str
    after: str

    @property
    def site(self) -> str:
        """Its line and the kind of its fault, whichever bit or signal it is; of memory files its word."""
        if self.operator == "flipped bit":
            return self.before.split(".")[0] if self.before else str(self.place // 64)
        return f"{self.place} {re.sub(r'[^ ]+ for .*', 'signal', re.sub(r'bit [0-9]+', 'bit', self.operator))}"

    @property
    def key(self) -> str:
        """Its name in lists and results."""
        return f"{self.file}:{self.place}:{self.operator}:{self.after}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def sites(folder: Path) -> Iterator[Mutant]:
    """Every single fault of the bundle in `folder`, in a fixed order. Comments and declarations have none."""
    for path in sorted((folder / "rtl").glob("*.v")):
        yield from _verilog(f"rtl/{path.name}", path.read_text().split("\n"))
    widths = {f"{rom['name']}.mem": rom["width"] for rom in json.loads((folder / "manifest.json").read_text())["roms"]}
    for path in sorted((folder / "mem").iterdir()):
        yield from _memory(f"mem/{path.name}", path, widths.get(path.name, 0))


def draw(found: Sequence[Mutant], count: int, quota: int, seed: int) -> list[Mutant]:
    """`count` of `found`: `quota` of every module, the rest uniform.

    A line, or a word, has one fault of each kind: one bit of all that could be stuck at 0.
    """
    order = list(found)
    random.Random(seed).shuffle(order)
    chosen = {(one.file, one.site): one for one in order}
    seen: dict[str, int] = {}
    first: list[Mutant] = []
    rest: list[Mutant] = []
    for one in chosen.values():
        seen[one.module] = seen.get(one.module, 0) + 1
        (first if seen[one.module] <= quota else rest).append(one)
    return first + rest[: max(0, count - len(first))]


def mutated(text: bytes, mutant: Mutant) -> bytes:
    """The file's contents with the fault in it. Raises ValueError where they are not those that it was drawn from."""
    if mutant.operator == "flipped bit":
        data = bytearray(text)
        if mutant.file.endswith(".mem"):
            lines = text.decode().split("\n")
            line, bit = (int(part) for part in mutant.before.split("."))
            lines[line] = f"{int(lines[line], 16) ^ 1 << bit:0{len(lines[line])}x}"
            return "\n".join(lines).encode()
        data[mutant.place // 8] ^= 1 << mutant.place % 8
        return bytes(data)
    lines = text.decode().split("\n")
    if lines[mutant.place - 1] != mutant.before:
        raise ValueError(f"{mutant.file}: line {mutant.place} is another than the one that was drawn; draw again")
    lines[mutant.place - 1] = mutant.after
    return "\n".join(lines).encode()


def _memory(file: str, path: Path, width: int) -> Iterator[Mutant]:
    def flipped(place: int, before: str) -> Mutant:
        return Mutant(file=file, module=file, place=place, operator="flipped bit", before=before, after="")

    if path.suffix != ".mem":
        yield from (flipped(bit, "") for bit in range(8 * path.stat().st_size))
        return
    place = 0
    for number in range(len(path.read_text().split())):
        for bit in range(width):
            yield flipped(place, f"{number}.{bit}")
            place += 1


def _verilog(file: str, lines: Sequence[str]) -> Iterator[Mutant]:
    module, widths, hidden, unread = "", dict[str, int](), False, set[str]()
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        if code.startswith("`"):  # what only synthesis sees is no part of what is simulated
            hidden = code.startswith("`ifdef SYNTHESIS") or (hidden and not code.startswith(("`else", "`endif")))
        if match := re.match(r"module (\\\S+|\w+)", code):
            module, widths = match[1].removeprefix("\\hwprm_core."), _widths(lines[number - 1 :])
            unread = _unread(lines[number - 1 :])
        if hidden or not module or not _is_logic(code) or _sides(code)[0].strip().removeprefix("assign ") in unread:
            continue
        for operator, after in {after: operator for operator, after in _changes(code, widths)}.items():
            made = Mutant(file=file, module=module, place=number, operator=after, before=line, after=operator)
            if made.after != line:
                yield made


def _widths(lines: Sequence[str]) -> dict[str, int]:
    """Bits of every signal that is declared up to the end of the module."""
    widths: dict[str, int] = {}
    for line in lines:
        if line.startswith("endmodule"):
            break
        if re.match(r" *(input|output|wire|reg)\b", line) and (match := DECLARATION.match(line)):
            widths[match[3]] = 1 + int(match[1] or 0) - int(match[2] or 0)
    return widths


def _unread(lines: Sequence[str]) -> set[str]:
    """Signals that are named once beside their declaration, which are not ports."""
    counts: dict[str, int] = {}
    ports = set[str]()
    for line in lines:
        if line.startswith("endmodule"):
            break
        if re.match(r" *(input|output)\b", line):
            ports.update(match[0].strip() for match in IDENTIFIER.finditer(line))
        elif not re.match(r" *(wire|reg)\b|module", line):
            for match in IDENTIFIER.finditer(line):
                counts[match[0].strip()] = counts.get(match[0].strip(), 0) + 1
    return {name for name, count in counts.items() if count == 1 and name not in ports}


def _is_logic(code: str) -> bool:
    first = code.strip().split(" ")[0]
    if first in ("input", "output", "wire", "reg", "module", "endmodule", "parameter", "integer", "(*", "initial", ""):
        return False
    if re.match(r" *\.[A-Z_]+\(", code):  # a parameter
        return False
    return not any(
        word in code for word in ("$display", "$finish", "$fopen", "$fclose", "dump_module", "$readmemh", "fd")
    )


def _changes(code: str, widths: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs of an operator's name and the changed line."""
    head, equals, right = _sides(code)
    for old, new in SWAPS:
        for match in re.finditer(re.escape(old), right):
            yield f"{old.strip()} as {new.strip()}", head + equals + right[: match.start()] + new + right[match.end() :]
    for match in re.finditer(r"(?<![\w)])[~!] ?(?=[\w\\(])", right):
        yield "negation dropped", head + equals + right[: match.start()] + right[match.end() :]
    if choice := re.match(r"(.*) \? (.*) : (.*?) ?;(.*)", right):
        yield "choices swapped", f"{head}{equals}{choice[1]} ? {choice[3]} : {choice[2]} ;{choice[4]}"
    if re.search(r"\bif \(rst\)", code):
        yield "reset dropped", code.replace("(rst)", "(1'b0)")
    elif branch := re.search(r"\bif \((.*)\)", code):
        yield "condition stuck at 0", code.replace(branch[0], "if (1'b0)")
        yield "condition stuck at 1", code.replace(branch[0], "if (1'b1)")
        yield "condition negated", code.replace(branch[0], f"if (!({branch[1]}))")
    yield from _constants(head, equals, right)
    yield from _signals(head, equals, right, widths)
    if equals:
        yield from _stuck(head, equals, right, widths)


def _stuck(head: str, equals: str, right: str, widths: dict[str, int]) -> Iterator[tuple[str, str]]:
    value = re.match(r"(.*?) ?;", right)
    if value is None or CONSTANT.fullmatch(value[1]):
        return
    name = head.strip().removeprefix("assign ").strip()
    part = re.search(r"\[(\d+)(?::(\d+))?\]$", name)
    width = widths.get(name if not name.startswith("\\") else name + " ", 1)
    width = 1 + int(part[1]) - int(part[2] or part[1]) if part else width
    for bit in range(width):
        yield f"bit {bit} stuck at 0", f"{head}{equals}({value[1]} ) & ~{width}'h{1 << bit:x};"
        yield f"bit {bit} stuck at 1", f"{head}{equals}({value[1]} ) | {width}'h{1 << bit:x};"


def _sides(code: str) -> tuple[str, str, str]:
    """Left side, sign, right side of an assignment; of other lines all is the right side."""
    if match := re.match(r"( *(?:always @\(posedge clk\) )?(?:if \(.*\) )?(?:assign )?[^=()?]*?)( <?= )(.*;.*)", code):
        return match[1], match[2], match[3]
    return "", "", code


def _constants(head: str, equals: str, right: str) -> Iterator[tuple[str, str]]:
    for match in CONSTANT.finditer(right):
        width, base = int(match[1]), {"h": 16, "d": 10, "b": 2}[match[3]]
        value = int(match[4], base)
        for bit in range(min(width, 64)):
            text = f"{width}'{match[2]}h{value ^ 1 << bit:x}"
            yield f"constant's bit {bit}", head + equals + right[: match.start()] + text + right[match.end() :]


def _signals(head: str, equals: str, right: str, widths: dict[str, int]) -> Iterator[tuple[str, str]]:
    """One signal of the right side as the next one of its width that is declared behind it, in a circle."""
    names = list(widths)
    for match in IDENTIFIER.finditer(right):
        name = match[0]
        if name not in widths or name in WORDS or name == "clk" or right[: match.start()].endswith("."):
            continue
        alike = [other for other in names if widths[other] == widths[name] and other != "clk"]
        other = alike[(alike.index(name) + 1) % len(alike)]
        if other != name:
            yield (
                f"{other.strip()} for {name.strip()}",
                head + equals + right[: match.start()] + other + right[match.end() :],
            )

"""Single faults in four small bundles: how many of them `hwprm verify` finds.

What: an operator, a constant, a reset, a condition, a signal or a bit is changed in the Verilog of a bundle, or a bit
in a ROM image or the external image; a seeded uniform sample over all places, with a quota for every module, of four
bundles: regular sizes; odd sizes everywhere; residual, stride and average pool; external memory. A fault is found when
`hwprm verify BUNDLE --allow-edited --sim icarus` fails, all else by default: Icarus because it compiles in no time.
How: `--draw` writes the list of faults (`mutants.jsonl`, committed before it is run); otherwise the list is run, bulk
mode and, where that passes, protocol mode, as the verb does in one. Icarus alone runs two images in bulk mode, where
the verb's default, Verilator, runs a hundred: `--again --images 100` runs survivors on as many. What is done is kept in
`--out`. Survivors stand in `survivors.jsonl` with the reason why they make no difference, or why they were missed; a
survivor without a line there counts as missed. `--prove` has yosys compare the module of each survivor with the true
one, for all inputs in all cycles; `--beside` runs it beside the true one, and tells when its outputs differ.
Target: 97 % of the faults that make a difference are found.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from common import RUNS, markdown, parser, say, stopwatch, verdict, write_results
from mutation_beside import differing
from mutation_bundles import BUNDLES, make_bundle
from mutation_proof import CORE, proved
from mutation_sites import Mutant, draw, mutated, sites

from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import HwprmError, ToolError
from hwprm.verification import verify_bundle

#: The faults, and what is known of those that nothing found, beside the results.
MUTANTS, SURVIVORS = "mutants.jsonl", "survivors.jsonl"
#: Where modules are that are compared with the true ones.
CORE_FILE = "rtl/hwprm_core.v"
#: Verdicts of survivors that make no difference: shown by yosys, or by the reason that stands beside.
EQUAL = ("proved", "equivalent")
#: What is said of those that yosys proves.
PROVED = "the module is the same for all inputs in all cycles, by yosys (mutation_proof.py)"
#: What the verb runs in one, the quicker first; each on as many images as there.
MODES: tuple[tuple[Literal["bulk", "protocol"]], ...] = (("bulk",), ("protocol",))
#: What is said of a fault that no simulator compiles; it counts nowhere.
INVALID = "does not compile"
#: Seconds of one simulator run; whatever takes longer hangs, as a run of the verb's hour would.
TIMEOUT = 180.0
TARGET = 0.97
#: What is counted of a bundle, and of a block.
COUNTS = ("mutants", "found", "proved", "equivalent", "missed")
#: What was found of a fault, by bundle and key: nothing where it survived.
Found = dict[tuple[str, str], str]


def main() -> None:
    """Draw, prove, or run, print and write."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    folders = {name: args.out / "bundles" / name for name in BUNDLES}
    for name, folder in folders.items():
        if not folder.is_dir():
            say(f"{name}: emitting")
            make_bundle(name, folder)
    if args.draw:
        _draw(folders, args)
        return
    mutants = [(entry["bundle"], Mutant(**entry["mutant"])) for entry in _lines(args.results / MUTANTS)]
    if args.prove:
        _prove(mutants, folders, args)
        return
    if args.beside:
        _beside(mutants, folders, args)
        return
    with stopwatch() as clock:
        done = _run(mutants, folders, args)
    facts = _facts(mutants, done, args.results / SURVIVORS)
    print(_table(facts))
    say(f"written: {write_results('mutation', facts, args.results)}; {clock.wall:.0f} s")
    if not facts["met"]:
        raise SystemExit(f"{facts['missed']} faults that make a difference are not found")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--draw", action="store_true", help="write the list of faults, run nothing")
    made.add_argument("--prove", action="store_true", help="have yosys compare the survivors' modules, run nothing")
    made.add_argument("--beside", action="store_true", help="run survivors beside the true modules, nothing else")
    made.add_argument("--report", action="store_true", help="tell what is done so far, run nothing")
    made.add_argument("--seed", type=int, default=1, help="of the sample (default: %(default)s)")
    made.add_argument("--count", type=int, default=115, help="faults of each bundle (default: %(default)s)")
    made.add_argument("--quota", type=int, default=2, help="faults of each module, at least (default: %(default)s)")
    made.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    made.add_argument("--images", type=int, help="images of the bulk mode (default: the verb's own under Icarus)")
    made.add_argument("--again", action="store_true", help="run survivors once more, but for equal ones")
    made.add_argument("--out", type=Path, default=RUNS / "mutation", help="finished cases (default: %(default)s)")
    return made.parse_args()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _draw(folders: dict[str, Path], args: Any) -> None:
    """Write the list of faults, `args.count` of each bundle."""
    listed = []
    for name, folder in folders.items():
        found = list(sites(folder))
        drawn = draw(found, args.count, args.quota, args.seed)
        say(f"{name}: {len(drawn)} of {len(found)} faults in {len({mutant.module for mutant in drawn})} modules")
        listed += [json.dumps({"bundle": name, "mutant": mutant.as_dict()}) for mutant in drawn]
    (args.results / MUTANTS).write_text("\n".join([*listed, ""]))


def edited(folder: Path, mutant: Mutant, out: Path) -> Path:
    """A copy of the bundle in `folder` with the fault in it, links for all that is the same."""
    for path in folder.rglob("*"):
        if path.is_file():
            copy = out / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path.absolute())
    (out / mutant.file).unlink()
    (out / mutant.file).write_bytes(mutated((folder / mutant.file).read_bytes(), mutant))
    return out


def judge(name: str, folder: Path, mutant: Mutant, images: int | None) -> dict[str, Any]:
    """What verification finds in the bundle called `name` with the fault in it, `found` empty where it passes."""
    with tempfile.TemporaryDirectory() as work, stopwatch() as clock:
        copy = edited(folder, mutant, Path(work) / "bundle")
        found = ""
        for mode in MODES:
            config = VerifyConfig(sim="icarus", allow_edited=True, work=Path(work) / "cache", timeout=TIMEOUT)
            try:
                report = verify_bundle(copy, replace(config, modes=mode, images=images if mode == ("bulk",) else None))
            except ToolError:
                found = INVALID
            except HwprmError as error:
                found = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            else:
                found = "; ".join(f"{case.mode} {case.name}" for case in report.failures[:3])
            if found:
                break
    return {"bundle": name, "key": mutant.key, "found": found[:200], "seconds": round(clock.wall, 1)}


def _run(mutants: Sequence[tuple[str, Mutant]], folders: dict[str, Path], args: Any) -> Found:
    """What was found of every fault, by bundle and key."""
    kept = args.out / "done.jsonl"
    equal = {(entry["bundle"], entry["key"]) for entry in _lines(args.results / SURVIVORS) if entry["verdict"] in EQUAL}
    done = {(entry["bundle"], entry["key"]): entry["found"] for entry in _lines(kept)}
    left = (
        []
        if args.report
        else [
            (name, m)
            for name, m in mutants
            if (name, m.key) not in done or (args.again and not done[name, m.key] and (name, m.key) not in equal)
        ]
    )
    say(f"{len(left)} of {len(mutants)} faults to run")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, context) as pool, kept.open("a") as file:
        waiting = [pool.submit(judge, name, folders[name], mutant, args.images) for name, mutant in left]
        for number, future in enumerate(as_completed(waiting), 1):
            entry = future.result()
            done[entry["bundle"], entry["key"]] = entry["found"]
            file.write(json.dumps(entry) + "\n")
            file.flush()
            outcome = entry["found"] or "SURVIVES"
            say(f"{number}/{len(left)} {entry['bundle']} {entry['key']}: {outcome} ({entry['seconds']} s)")
    return done


def _survivors(mutants: Sequence[tuple[str, Mutant]], done: Found) -> Iterator[tuple[str, Mutant]]:
    return ((name, mutant) for name, mutant in mutants if not done.get((name, mutant.key), "-"))


def _prove(mutants: Sequence[tuple[str, Mutant]], folders: dict[str, Path], args: Any) -> None:
    """Have a line in the survivors' file for each of them, and for no other: proved, as it was, or open."""
    done = {(entry["bundle"], entry["key"]): entry["found"] for entry in _lines(args.out / "done.jsonl")}
    path = args.results / SURVIVORS
    known = {(entry["bundle"], entry["key"]): entry for entry in _lines(path)}
    lines = []
    for name, mutant in _survivors(mutants, done):
        entry = {"bundle": name, "module": mutant.module, "key": mutant.key, "verdict": "open", "reason": ""}
        entry = known.get((name, mutant.key), entry)
        if entry["verdict"] not in EQUAL and mutant.file == CORE_FILE:
            if proved(folders[name], mutant, mutant.module):
                entry |= {"verdict": "proved", "reason": PROVED}
            say(f"{name} {mutant.module} {mutant.key}: {entry['verdict']}")
        lines.append(json.dumps(entry))
    path.write_text("\n".join([*lines, ""]))


def _beside(mutants: Sequence[tuple[str, Mutant]], folders: dict[str, Path], args: Any) -> None:
    """Tell of each survivor inside the core that is not proved in how many cycles its module's outputs differ."""
    verdicts = {(entry["bundle"], entry["key"]): entry["verdict"] for entry in _lines(args.results / SURVIVORS)}
    for name, mutant in mutants:
        inside = mutant.file == CORE_FILE and mutant.module != CORE
        if inside and verdicts.get((name, mutant.key), "proved") != "proved":
            differs = differing(folders[name], mutant)
            cycles = ", ".join(f"{output} in {count} cycles" for output, count in differs.items())
            say(f"{name} {mutant.module} {mutant.key}: {cycles or 'never differs'}")


def _facts(mutants: Sequence[tuple[str, Mutant]], done: Found, survivors: Path) -> dict[str, Any]:
    verdicts = {(entry["bundle"], entry["key"]): entry["verdict"] for entry in _lines(survivors)}
    rows: list[dict[str, Any]] = []
    for name in BUNDLES:
        mine = [m for bundle, m in mutants if bundle == name and done.get((name, m.key)) not in (None, INVALID)]
        alive = [verdicts.get((name, mutant.key), "open") for _, mutant in _survivors([(name, m) for m in mine], done)]
        counts = Counter(alive)
        equal = sum(counts[kind] for kind in EQUAL)
        row: dict[str, Any] = {
            "bundle": name,
            "mutants": len(mine),
            "found": len(mine) - len(alive),
            "proved": counts["proved"],
        }
        rows.append(row | {"equivalent": counts["equivalent"], "missed": len(alive) - equal})
    total = {key: sum(row[key] for row in rows) for key in COUNTS}
    rate = total["found"] / max(1, total["found"] + total["missed"])
    target = f"{TARGET:.0%} of the faults that make a difference are found"
    return {
        "target": target,
        "met": rate >= TARGET,
        "rate": round(rate, 4),
        "listed": len(mutants),
        **total,
        "rows": rows,
        "blocks": _blocks(mutants, done, verdicts),
    }


def _blocks(
    mutants: Sequence[tuple[str, Mutant]], done: Found, verdicts: Mapping[tuple[str, str], str]
) -> list[dict[str, Any]]:
    """The same by block of the design, all bundles together: modules within one, and memory files, count as one."""
    rows: dict[str, dict[str, Any]] = {}
    for name, mutant in mutants:
        found = done.get((name, mutant.key), INVALID)
        if found == INVALID:
            continue
        block = "memory files" if mutant.operator == "flipped bit" else mutant.module.split(".")[0]
        row = rows.setdefault(block, {"block": block} | dict.fromkeys(COUNTS, 0))
        said = "found" if found else verdicts.get((name, mutant.key), "open")
        row["mutants"] += 1
        row[said if said in COUNTS else "missed"] += 1
    return [rows[block] for block in sorted(rows)]


def _table(facts: dict[str, Any]) -> str:
    head = ("faults", "found", "equal, proved", "equal, by reason", "missed")
    tables = []
    for what, rows in (("bundle", facts["rows"]), ("block", facts["blocks"])):
        cells = [(row[what], *(row[key] for key in COUNTS)) for row in rows]
        tables.append(markdown((what, *head), [*cells, ("all", *(facts[key] for key in COUNTS))]))
    return "\n\n".join([*tables, f"{facts['rate']:.1%}: {verdict(facts['met'])}"])


if __name__ == "__main__":
    main()

"""How many public networks `hwprm check` accepts, and what stops the others.

What: 117 networks that nobody here wrote (`coverage_networks.txt`), built by pytorchcv and timm with random weights, as
they are; accepted when `check` has no error. With --compile those that are accepted are quantised with a few random
images, at the smallest of a few sizes that the network takes, and compiled for an 8 x 8 array, too; --verify NAME,NAME
simulates those whole, one image, its words and every cycle compared. Then what stops how many networks, and how many it
alone stops.
How: a process for each network, with a limit on its time. What the results know already is not measured again; --fresh
forgets it, --only NAME,NAME measures those again.
Needs: `pip install --no-deps pytorchcv requests timm huggingface_hub`; torchvision, of which these use nothing here, is
replaced by an empty stand-in.
Target: no network that was accepted once is refused (`ACCEPTED` of the 117).
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import multiprocessing
import re
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from common import HERE, markdown, parser, say, write_results

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.frontend import Severity, check, to_graph
from hwprm.quantization import quantize_images, quantize_network
from hwprm.verification import verify_bundle

LIST = HERE / "coverage_networks.txt"
#: Networks that are accepted at least.
ACCEPTED = 107
IMAGES = 2
#: What is told of networks that are simulated whole.
WHOLE = ("layers", "values", "wrong", "predicted", "simulated", "seconds")
#: Rows of the images that networks are compiled for, smallest first, where that is less than what they are made for.
ROWS = (32, 64, 96, 128, 160, 192)

Entry = dict[str, Any]


def main() -> None:
    """Measure every network that the results lack and print both tables."""
    args = _arguments()
    known = {} if args.fresh else _known(args)
    for library, name, shape in listed():
        entry = known.get(name)
        asked = name in args.only if args.only else entry is None
        if asked:
            say(f"{library} {name}: check")
            entry = known[name] = {"library": library, "name": name, "shape": list(shape)}
            entry |= _apart(_checked, (library, name, shape), args.limit)
        if args.compile and entry and entry["state"] == "accepted" and (asked or "compile" not in entry):
            say(f"{library} {name}: compile")
            entry["compile"] = _apart(_compiled, (library, name, shape), args.compile_limit)
        if name in args.verify and entry:
            say(f"{library} {name}: verify")
            entry["verify"] = _apart(_verified, (library, name, shape), args.compile_limit)
        entries = [known[name] for _, name, _ in listed() if name in known]
        write_results("coverage", _facts(entries), args.results)
    print(tables(_facts(entries)))
    if sum(entry["state"] == "accepted" for entry in entries) < ACCEPTED and len(entries) == len(list(listed())):
        raise SystemExit(f"fewer than {ACCEPTED} networks are accepted")


def tables(facts: Mapping[str, Any]) -> str:
    """The networks by state, and the causes of refusals."""
    states = [[name, count] for name, count in facts["states"].items()]
    causes = [[cause["what"], cause["stops"], cause["alone"], cause["example"]] for cause in facts["causes"]]
    whole = [
        [entry["name"], "x".join(map(str, entry["verify"]["shape"])), *(entry["verify"][key] for key in WHOLE)]
        for entry in facts["networks"]
        if "shape" in entry.get("verify", ())
    ]
    header = ("what stops networks", "how many", "alone", "for example")
    parts = [markdown(("state", "networks"), states), markdown(header, causes)]
    return "\n\n".join([*parts, *([markdown(("simulated whole", "image", *WHOLE), whole)] if whole else [])])


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--compile", action="store_true", help="quantise and compile what is accepted")
    made.add_argument("--fresh", action="store_true", help="measure all networks again")
    made.add_argument("--only", type=lambda text: text.split(","), default=[], help="names to measure (again)")
    made.add_argument("--verify", type=lambda text: text.split(","), default=[], help="names to simulate whole")
    made.add_argument("--limit", type=float, default=300, help="seconds a check may take (default: %(default)s)")
    made.add_argument("--compile-limit", type=float, default=900, help="seconds to compile (default: %(default)s)")
    return made.parse_args()


def listed() -> Iterable[tuple[str, str, tuple[int, ...]]]:
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            library, name, shape = line.split()
            yield library, name, tuple(map(int, shape.split("x")))


def _known(args: argparse.Namespace) -> dict[str, Entry]:
    file = args.results / "coverage.json"
    entries = json.loads(file.read_text(encoding="utf-8"))["networks"] if file.is_file() else []
    return {entry["name"]: entry for entry in entries}


def _facts(entries: list[Entry]) -> dict[str, Any]:
    states: dict[str, int] = defaultdict(int)
    for entry in entries:
        states[entry["state"]] += 1
        if "compile" in entry:
            states[f"of these {entry['compile']['state']}"] += 1
        if "verify" in entry:
            states[f"simulated whole: {entry['verify']['state']}"] += 1
    return {"target": ACCEPTED, "states": dict(sorted(states.items())), "causes": _causes(entries), "networks": entries}


def _causes(entries: list[Entry]) -> list[dict[str, Any]]:
    """What stops networks: how many, and how many that nothing else stops."""
    stopped: dict[str, list[str]] = defaultdict(list)
    alone: dict[str, int] = defaultdict(int)
    for entry in entries:
        for cause in entry.get("causes", ()):
            stopped[cause].append(entry["name"])
            alone[cause] += len(entry["causes"]) == 1
    order = sorted(stopped, key=lambda cause: (-len(stopped[cause]), cause))
    return [
        {"what": cause, "stops": len(stopped[cause]), "alone": alone[cause], "example": stopped[cause][0]}
        for cause in order
    ]


def _apart(work: Callable[..., Entry], args: tuple[Any, ...], limit: float) -> Entry:
    """What `work` finds in a process of its own, within `limit` seconds."""
    context = multiprocessing.get_context("fork")  # it has loaded torch already
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(there, work, args))
    process.start()
    there.close()
    found: Entry = {"state": "ran out of time"}
    if here.poll(limit):
        try:
            found = here.recv()
        except EOFError:
            found = {"state": "died"}
    process.kill()
    process.join()
    return found


def _send(there: Connection, work: Callable[..., Entry], args: tuple[Any, ...]) -> None:
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    start = time.process_time()
    try:
        found = work(*args)
    except Exception as error:  # a network of others fails in any way; the table says how
        line = str(error).partition("\n")[0]
        found = {"state": "failed", "causes": [f"{type(error).__name__}: {line}"]}
    there.send(found | {"cpu_seconds": round(time.process_time() - start, 1)})


def _checked(library: str, name: str, shape: tuple[int, ...]) -> Entry:
    found = [f for f in check(built(library, name), shape) if f.severity is Severity.ERROR]
    causes = sorted({f"{_short(finding.op)}: {_general(finding.problem)}" for finding in found})
    return {"state": "refused" if found else "accepted", "causes": causes}


def _compiled(library: str, name: str, shape: tuple[int, ...]) -> Entry:
    module = built(library, name)
    shape = smallest(module, shape)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
    net = quantize_network(to_graph(module, shape), images, 1 / 255)
    report = compile_network(net, ArrayConfig(rows=8, cols=8)).cycles
    between = all(layer.bound <= layer.cycles <= layer.limit for layer in report.layers)
    state = "compiled" if between else "compiled out of bounds"
    return {"state": state, "shape": list(shape), "layers": len(net.layers), "cycles": report.total}


def _verified(library: str, name: str, shape: tuple[int, ...]) -> Entry:
    module = built(library, name)
    shape = smallest(module, shape)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
    net = quantize_network(to_graph(module, shape), images, 1 / 255)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        program = compile_network(net, ArrayConfig(rows=8, cols=8))
        emit_bundle(program, quantize_images(images[:1], 1 / 255, net), None, out)
        report = verify_bundle(out, VerifyConfig(modes=("bulk",), images=1))
    return {
        "state": "exact" if report.ok and report.cycles_simulated == report.cycles_predicted else "WRONG",
        "shape": list(shape),
        "layers": len(net.layers),
        "values": report.values_compared,
        "wrong": report.mismatches,
        "predicted": report.cycles_predicted,
        "simulated": report.cycles_simulated,
        "seconds": round(report.seconds, 1),
    }


def smallest(module: torch.nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The first of `ROWS` that `module`, made for images of `shape`, computes anything of; its own where none does."""
    for rows in ROWS:
        size = (shape[0], rows, rows * shape[2] // shape[1])
        try:
            if rows < shape[1]:
                with torch.no_grad():
                    module(torch.rand(1, *size))
                return size
        except (RuntimeError, ValueError, AssertionError, IndexError):  # as many ways as there are networks
            continue
    return shape


def built(library: str, name: str) -> torch.nn.Module:
    sys.meta_path.append(_Empty())
    if library == "timm":
        net: torch.nn.Module = importlib.import_module("timm").create_model(name, pretrained=False)
    else:
        net = importlib.import_module("pytorchcv.model_provider").get_model(name, pretrained=False)
    return net.eval()


def _short(op: str) -> str:
    return op.removeprefix("aten.").split(".")[0]


def _general(text: str) -> str:
    """`text` without the numbers and names of one network, so that alike problems are counted together."""
    return re.sub(r"\(?\b\d+(, ?\d+)*\b\)?", "N", re.sub(r"'[^']*'", "'...'", text))


class _Anything(type):
    """A class that has every attribute."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Stand(ModuleType):
    """A module in which everything is found, and is a class."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Empty(MetaPathFinder, Loader):
    """Finds torchvision and all that is in it, when nobody else does."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Stand(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


if __name__ == "__main__":
    main()

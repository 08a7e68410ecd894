"""One random network from torch to RTL: float module -> float graph -> integers in torch -> in numpy -> simulators."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.compiler import Program, compile_network
from hwprm.config import ArrayConfig, MemoryConfig, QuantizeConfig, VerifyConfig
from hwprm.core.errors import HwprmError, MismatchError, ModelError
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.graph import Graph, Linear, evaluate
from hwprm.intnet import IntegerNetwork, reference
from hwprm.nets.random import RandomNetwork, random_network
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.quantization import crosscheck, quantize_images, quantize_network
from hwprm.verification import verify_bundle

__all__ = ["Outcome", "run_case"]

#: As in `VerifyConfig.sim`.
Simulators = Literal["verilator", "icarus", "both"]
#: Images that calibrate, and those that are simulated.
CALIBRATION, SIMULATED = 4, 2
#: Redraws before a seed is given up: networks that take too long, or that pruning has made constant.
ATTEMPTS = 50


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one seed; `failure` is None where everything was equal."""

    seed: int
    rows: int
    cols: int
    weight_bits: int
    act_bits: int
    weights: str
    #: Whether its tensors are all ``signed``, all ``unsigned``, or ``mixed``.
    signs: str
    layers: int
    cycles: int
    values: int
    constant: int
    seconds: float
    network: str
    failure: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Case:
    module: RandomNetwork
    array: ArrayConfig
    bits: QuantizeConfig
    #: How fast external memory is, in bulk mode.
    memory: MemoryConfig
    mode: Literal["protocol", "bulk"]


def run_case(seed: int, simulators: Simulators, work: Path, *, most_cycles: int = 6000) -> Outcome:
    """Draw the network of `seed` and take it all the way.

    Networks of more than `most_cycles` are drawn again. Everything that is wrong ends up in `Outcome.failure`.
    """
    start = time.monotonic()
    facts: dict[str, Any] = dict.fromkeys(("layers", "cycles", "values", "constant"), 0) | {"signs": ""}
    failure, case = None, _draw(seed, 0)
    try:
        for attempt in range(ATTEMPTS):
            case = _draw(seed, attempt)
            program, images = _compiled(case, seed)
            if program is None:
                facts["constant"] += 1
            elif program.cycles.total <= most_cycles:
                facts |= {"layers": len(program.layers), "cycles": program.cycles.total, "signs": _signs(program)}
                facts["values"] = _simulated(case, program, images, simulators, work)
                break
        else:
            failure = f"no network of at most {most_cycles} cycles in {ATTEMPTS} attempts"
    except HwprmError as error:
        failure = f"{type(error).__name__}: {error}"
    return Outcome(
        seed=seed,
        rows=case.array.rows,
        cols=case.array.cols,
        weight_bits=case.bits.weight_bits,
        act_bits=case.bits.act_bits,
        weights=case.array.weights,
        seconds=round(time.monotonic() - start, 1),
        network=str(case.module),
        failure=failure,
        **facts,
    )


def _draw(seed: int, attempt: int) -> _Case:
    rng = random.Random(f"{seed}/{attempt}")
    wide, narrow = rng.randint(2, 16), rng.randint(2, 16)
    weight_bits, act_bits = rng.choice(((8, 8), (8, 8), (wide, narrow)))
    return _Case(
        module=random_network(rng.getrandbits(32), steps=rng.randint(1, 9), size=rng.choice((7, 12, 17))),
        array=ArrayConfig(
            rows=rng.randint(1, 12),
            cols=rng.randint(1, 12),
            multiplier_stages=rng.choice((1, 1, 2)),
            weights=rng.choice(("rom", "axi")),
            axi_data_bits=rng.choice((64, 128, 256)),
            axi_burst=rng.choice((2, 8, 32)),
            axi_outstanding=rng.choice((1, 2, 4)),
        ),
        bits=QuantizeConfig(weight_bits=weight_bits, act_bits=act_bits),
        memory=MemoryConfig(latency=rng.randint(1, 200), bandwidth=rng.choice(("1", "2/3", "1/2", "1/7"))),
        mode=rng.choice(("protocol", "bulk")),
    )


def _compiled(case: _Case, seed: int) -> tuple[Program | None, NDArray[np.int64]]:
    """The program, None where the outputs depend on no input any more, and images; checks every link on the way."""
    rng = np.random.default_rng(seed)
    graph = to_graph(case.module, case.module.image_shapes)
    x = {node.name: rng.normal(size=(CALIBRATION, *node.shape)) for node in graph.inputs}
    positive = random.Random(f"{seed}/signs")  # a third of the inputs are unsigned
    x = {name: np.abs(array) if positive.random() < 1 / 3 else array for name, array in x.items()}
    _check_floats(case.module, graph, x)
    try:
        if seed % 2:
            graph, _ = compact_graph(graph)
        net = quantize_network(graph, x, 1.0, case.bits)
    except ModelError as error:
        if "prune" in str(error):  # nothing is left of a layer
            return None, np.empty(0, np.int64)
        raise
    images = quantize_images(x, 1.0, net)
    tensors = reference.run(net, images)
    crosscheck(net, images, tensors)
    try:
        return compile_network(net, case.array), images[:SIMULATED]
    except ModelError as error:
        if "does not depend on the input" not in str(error):
            raise
        _check_constant(net)
        return None, images


def _signs(program: Program) -> str:
    hw = program.hardware
    return "mixed" if hw.mixed else "signed" if hw.signed else "unsigned"


def _check_floats(module: RandomNetwork, graph: Graph, x: dict[str, NDArray[np.float64]]) -> None:
    """The graph computes what the module does, to rounding in float64; to that of float32 where it adds up weights.

    A linear layer that reads repeated pixels has one weight for each pixel, the sum, in the type of the weights.
    """
    read = sum(part.in_features for part in module.modules() if isinstance(part, torch.nn.Linear))
    kept = sum(node.weight.shape[1] for node in graph.nodes if isinstance(node, Linear))
    close = 1e-9 if read == kept else 1e-6
    with torch.no_grad():
        wanted = module.double()(*(torch.from_numpy(array) for array in x.values()))
    got = evaluate(graph, x)
    for name, want in zip(graph.outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        error = np.abs(got[name].reshape(want.shape) - want.numpy()).max()
        if not error <= close * max(1.0, float(want.abs().max())):
            raise MismatchError(f"output {name!r} of the float graph is {error:.1e} off the module's")


def _check_constant(net: IntegerNetwork) -> None:
    """Some output is the same whatever the image: then, and only then, may the compiler refuse."""
    low, high = net.image_limits
    images = np.random.default_rng(0).integers(low, high, (16, *low.shape), endpoint=True)
    tensors = reference.run(net, images)
    if not any(bool((tensors[name] == tensors[name][:1]).all()) for name in net.outputs):
        raise MismatchError("refused as constant, but every output depends on the image")


def _simulated(case: _Case, program: Program, images: NDArray[np.int64], simulators: Simulators, work: Path) -> int:
    """How many values of all layers were compared. Raises MismatchError when one is wrong, or cycles or stalls are."""
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        bundle = emit_bundle(program, images, None, folder / "bundle")
        config = VerifyConfig(
            sim=simulators,
            images=SIMULATED,
            icarus_images=SIMULATED,
            protocol_images=1,
            trace_images=SIMULATED if case.mode == "bulk" else 0,
            modes=(case.mode,),
            work=work / "builds",
            optimise=False,
        )
        report = verify_bundle(bundle.folder, config, memory=case.memory)
        report.raise_on_failure()
        return report.values_compared
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""What eight bits cost whole public networks: signal to noise of hwprm's integers, beside plain fake quantisation.

What: signal to noise, in dB, of the outputs of the networks of `coverage.py` that were simulated whole, with random
weights; weights and activations of 8 bits. The signal is what the outputs of an image have of their own: what all
images have in common decides nothing and is left out.
How: random images of bytes, coarse patches with noise on them, calibrate batch norms, hwprm and the fake quantisation,
others are measured. Fake quantisation is what torch does without hwprm: the exported network, step by step, with the
weights of each filter rounded to -127..127 and every activation, of the whole tensor, rounded to the largest value that
the same images show, to 0..255 or, where it is negative somewhere, to -127..127; batch norms, ReLUs and clamps that a
layer takes in are not rounded in front of. Its `affine` variant has zero points, so that 255 steps reach from the
smallest value to the largest, which the accelerator does not have. Integers come from the torch reference, which is the
numpy reference's equal. Batch norms that begin with a scale of zero begin with one: a silent branch has no noise.
Needs: what `coverage.py` needs.
Target: hwprm at most 0.5 dB below the fake quantisation, for each network.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from common import markdown, parser, say, stopwatch, verdict, write_results
from coverage import built, listed, smallest
from numpy.typing import NDArray
from signs import decibels
from torch import nn

from hwprm.frontend import to_graph
from hwprm.intnet import IntegerNetwork
from hwprm.quantization import quantize_images, quantize_network, run_torch

#: Images that calibrate and images that are measured, of up to so many rows; and those that run at a time.
COUNTS = {64: (128, 64), 4096: (32, 16)}
BATCH = 16
#: Seeds of the weights; dB are means over them.
SEEDS = (0, 1, 2)
#: dB that hwprm may be worse.
MARGIN = 0.5
#: What the fake quantisation rounds, and how.
WAYS = ("stored", "affine", "read")
COLUMNS = ("integers", *WAYS)

FloatArray = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Entry = dict[str, Any]
Op = Callable[..., Any]

aten = torch.ops.aten
#: What has weights, and takes in a batch norm.
WEIGHTED = {aten.conv2d.default, aten.conv2d.padding, aten.linear.default}
#: What is rounded behind no matter what comes before it, unless what makes that takes it in.
CLAMPS = {aten.relu.default, aten.relu_.default, aten.hardtanh.default, aten.hardtanh_.default, aten.clamp.default}
#: What moves numbers and makes none, or picks among them.
MOVES = {
    *(aten.flatten.using_ints, aten.view.default, aten.reshape.default, aten.permute.default, aten.clone.default),
    *(aten.cat.default, aten.slice.Tensor, aten.select.int, aten.split.Tensor, aten.chunk.default, aten.pad.default),
    *(aten.max_pool2d.default, aten.dropout.default, aten.dropout_.default, aten.unsqueeze.default),
    *(aten.squeeze.dims, aten.squeeze.dim, aten.contiguous.default, aten.upsample_nearest2d.vec),
    *(aten.split_with_sizes.default, aten.constant_pad_nd.default, aten.expand.default, aten.transpose.int),
}


def main() -> None:
    """Measure, print and write."""
    args = _arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    file = args.results / "noise.json"
    known = {entry["name"]: entry for entry in json.loads(file.read_text())["networks"]} if file.is_file() else {}
    whole = simulated(json.loads((args.results / "coverage.json").read_text(encoding="utf-8")))
    for library, name, shape in listed():
        if name in whole and (name in args.only if args.only else name not in known):
            say(f"{library} {name}")
            known[name] = {"library": library, "name": name, **_mean([_drawn(library, name, shape, s) for s in SEEDS])}
            write_results("noise", _facts(known), args.results)
    facts = _facts(known)
    print(table(facts))
    say(f"written: {write_results('noise', facts, args.results)}; {verdict(facts['met'])}")
    if not facts["met"]:
        raise SystemExit("a network misses its target")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--only", type=lambda text: text.split(","), default=[], help="names to measure (again)")
    return made.parse_args()


def simulated(coverage: Mapping[str, Any]) -> dict[str, Entry]:
    """Of the results of `coverage.py`, what simulation said of those networks that were simulated whole."""
    return {entry["name"]: entry["verify"] for entry in coverage["networks"] if "verify" in entry}


def _facts(known: Mapping[str, Entry]) -> dict[str, Any]:
    entries = [known[name] for _, name, _ in listed() if name in known]
    met = all(entry["integers"] >= entry["stored"] - MARGIN for entry in entries)
    return {"target": MARGIN, "met": met, "networks": entries}


def table(facts: Mapping[str, Any]) -> str:
    """A row for each network."""
    rows = [
        (
            *(entry["name"], "x".join(map(str, entry["shape"])), entry["layers"]),
            *(f"{entry[key]:.1f}" for key in COLUMNS),
            f"{entry['integers'] - entry['stored']:+.1f}",
            entry["cpu_seconds"],
        )
        for entry in facts["networks"]
    ]
    header = ("network", "image", "layers", *(f"{key}, dB" for key in COLUMNS), "difference, dB", "quantised in CPU s")
    return markdown(header, rows)


def _drawn(library: str, name: str, shape: tuple[int, ...], seed: int) -> Entry:
    torch.manual_seed(seed)
    return measure(built(library, name), shape)


def _mean(each: list[Entry]) -> Entry:
    """What all have in common, and means of what is measured."""
    means = {key: sum(one[key] for one in each) / len(each) for key in (*COLUMNS, "cpu_seconds")}
    return {**each[0], **{key: round(value, 2) for key, value in means.items()}}


def measure(module: nn.Module, shape: tuple[int, ...]) -> Entry:
    """dB of the outputs of `module`, at the smallest size that it takes, and what quantising it took."""
    shape = smallest(module, shape)
    count, more = next(counts for rows, counts in COUNTS.items() if shape[1] <= rows)
    x = patches(count + more, shape)
    real = torch.from_numpy(x).float() / 255
    settle(module, real[:count])
    wanted = _flat(module(part) for part in _batches(real[count:]))
    with stopwatch() as clock:
        net = quantize_network(to_graph(module, shape), x[:count], 1 / 255)
    found = {"integers": decibels(wanted, _integers(net, x[count:]))}
    found |= {way: decibels(wanted, fake(module, real[:count], real[count:], way)) for way in WAYS}
    return {"shape": list(shape), "layers": len(net.layers), "cpu_seconds": clock.cpu, **found}


def _integers(net: IntegerNetwork, x: Bytes) -> FloatArray:
    """Outputs ``(n, K)`` of `net` for the images `x`, in real values."""
    (name,) = net.outputs
    parts = (quantize_images(x[i : i + BATCH], 1 / 255, net) for i in range(0, len(x), BATCH))
    made = np.concatenate([run_torch(net, part)[name] for part in parts])
    real: FloatArray = made.reshape(len(x), -1) * net.tensor[name].scale
    return real


def patches(count: int, shape: tuple[int, ...]) -> Bytes:
    """`count` images of `shape`: 4 x 4 random colours that run into each other, and noise."""
    torch.manual_seed(0)
    coarse = torch.nn.functional.interpolate(torch.rand(count, shape[0], 4, 4), shape[1:], mode="bilinear")
    return ((0.75 * coarse + 0.25 * torch.rand(count, *shape)) * 255).round().byte().numpy()


def settle(module: nn.Module, real: torch.Tensor) -> None:
    """Batch norms take the statistics of the images `real`, and none is silent."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the mean over batches
            norm.reset_running_stats()
            norm.train()
            if norm.affine and not norm.weight.any():
                norm.weight.fill_(1)
        for part in _batches(real):
            module(part)
        module.eval()


def _batches(real: torch.Tensor) -> Iterator[torch.Tensor]:
    return (real[i : i + BATCH] for i in range(0, len(real), BATCH))


def _flat(parts: Iterator[torch.Tensor]) -> FloatArray:
    with torch.no_grad():
        return torch.cat([part.flatten(1) for part in parts]).double().numpy()


def fake(module: nn.Module, seen: torch.Tensor, real: torch.Tensor, way: str) -> FloatArray:
    """Outputs ``(n, K)`` of `module`, fake quantised in a `way`, for the images `real`; calibrated on those `seen`."""
    with torch.no_grad():
        exported = torch.export.export(module, (real[:BATCH],)).module()
        assert isinstance(exported, torch.fx.GraphModule)
        run = FakeQuantised(exported, way)
        for part in _batches(seen):
            run.run(part)
        run.calibrating = False
        return _flat(_first(run.run(part)) for part in _batches(real))


def _first(outputs: Any) -> torch.Tensor:
    made = outputs[0] if isinstance(outputs, tuple | list) else outputs
    assert isinstance(made, torch.Tensor)
    return made


class FakeQuantised(torch.fx.Interpreter):
    """Runs an exported network with weights and activations rounded; first a few times to find the ranges.

    `way` is one of `WAYS`.
    """

    def __init__(self, module: torch.fx.GraphModule, way: str) -> None:
        super().__init__(module)
        self.way = way
        self.calibrating = True
        self.ranges: dict[str, tuple[float, float]] = {}
        self.stored = {node.name for node in module.graph.nodes if way != "read" and _stored(node)}

    def run_node(self, n: torch.fx.Node) -> Any:
        """What `n` makes, rounded where it is stored."""
        if n.target not in WEIGHTED:
            made = super().run_node(n)
        else:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            x = self._rounded(f"{n.name} reads", args[0]) if self.way == "read" and _depends(n) else args[0]
            weight = args[1] if self.calibrating else _whole(args[1])
            made = self.call_function(n.target, (x, weight, *args[2:]), kwargs)
        return self._rounded(n.name, made) if n.name in self.stored else made

    def _rounded(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """`x` in eight bits for what was seen of it; that is noted only, while that is found."""
        low, high = self.ranges.get(name, (0.0, 0.0))
        if self.calibrating:
            self.ranges[name] = min(low, float(x.min())), max(high, float(x.max()))
            return x
        return rounded(x, low, high, self.way == "affine")


def _whole(weight: torch.Tensor) -> torch.Tensor:
    """`weight` ``(M, ...)`` in whole steps of each filter's own."""
    step = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True).clamp_min(1e-30) / 127
    return (weight / step).round() * step


def rounded(x: torch.Tensor, low: float, high: float, affine: bool) -> torch.Tensor:
    """`x` in eight bits for values from `low`, at most 0, to `high`."""
    if affine or low == 0:
        step = (high - low) / 255 or 1.0
        zero = round(-low / step)
        return ((x / step).round().clamp(-zero, 255 - zero)) * step
    step = max(-low, high) / 127
    return (x / step).round().clamp(-127, 127) * step


def _stored(node: torch.fx.Node) -> bool:
    """Whether the result of `node` is an activation that plain quantisation rounds."""
    if node.op != "call_function" or node.target in MOVES or not isinstance(node.meta.get("val"), torch.Tensor):
        return False
    if not node.meta["val"].is_floating_point() or not _depends(node):
        return False
    users = list(node.users)
    if any(user.op == "output" for user in users):
        return False
    if len(users) != 1:
        return True
    behind = users[0].target
    return behind not in CLAMPS and not (behind is aten.batch_norm.default and node.target in WEIGHTED)


def _depends(node: torch.fx.Node) -> bool:
    """Whether `node` depends on the image."""
    seen, left = set(), [node]
    while left:
        one = left.pop()
        if one.op == "placeholder":
            return True
        new = [n for n in one.all_input_nodes if n not in seen]
        seen.update(new)
        left += new
    return False


if __name__ == "__main__":
    main()

"""Widths found for all layers at once against the same share of every layer, at equal MACs.

What: LeNet-5, trained for three epochs on the embedded MNIST subset, narrowed to 20, 10 and 5 % of its MACs with
`hwprm.pruning.widths` and, from the same ranking of the channels, with one share for all layers ("uniform"); both are
cut alike and fine-tuned for two epochs from three seeds. No augmentation. A few minutes on one core.
How: the uniform network is the narrowest that has at least as many MACs as the one it is compared with.
Target: the global widths are the more accurate ones on average over budgets and seeds.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from common import markdown, parser, say, verdict, write_results
from networks import embedded
from numpy.typing import NDArray

from hwprm import api
from hwprm.config import TrainConfig, WidthsConfig
from hwprm.graph import Graph
from hwprm.model import Model, Stage
from hwprm.pruning.channels.blocks import Blocks, Meter, channel_blocks, count_macs, narrow
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.widths.selection import fill, select
from hwprm.pruning.widths.widths import Ranking, cut, rank_channels
from hwprm.training import accuracy

SHARES = (0.2, 0.1, 0.05)
SEEDS = (0, 1, 2)
METER = Meter(name="macs", of=count_macs)

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def main() -> None:
    """Train, find, cut, fine-tune, print and write."""
    args = parser(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    say("training the dense LeNet-5")
    dense = api.train("lenet5", embedded(), TrainConfig(epochs=3, augment="none"))
    blocks = channel_blocks(channel_groups(dense.graph))
    rows = []
    for share in SHARES:
        say(f"{share:.0%} of the MACs")
        config = WidthsConfig(keep=share)
        ranking = rank_channels(blocks, embedded(), config, METER, share)
        budget = int(share * METER.total(dense.graph))
        chosen = fill(blocks, ranking.order, METER, budget, 1, select(blocks, ranking.order, METER, budget, 1))
        rows.append(_judged("global", share, blocks, ranking, chosen.keep))
        rows.append(_judged("uniform", share, blocks, ranking, _uniform(blocks, ranking.order, chosen.cost)))
    gain = float(np.mean([_mean(row) * (1 if row["widths"] == "global" else -1) for row in rows])) * 2
    print(_table(rows))
    print(f"\nglobal less uniform, mean: {gain:.2f} points; {verdict(gain > 0)}")
    facts = {
        "target": "more accurate than uniform widths of at least as many MACs, on average",
        "met": gain > 0,
        "gain_points": round(gain, 3),
        "dense": {"macs": METER.total(dense.graph), "per_cent": dense.meta["accuracy"]["dense"]},
        "rows": rows,
        "cpu_seconds": round(time.process_time() - started, 1),
    }
    say(f"written: {write_results('widths', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("global widths gain nothing")


def _uniform(blocks: Blocks, order: IntArray, cost: int) -> BoolArray:
    """The first channels of every block, the same share of each, that together cost `cost` or just more."""
    even = blocks.even(order)
    below = select(blocks, even, METER, cost - 1, 1)
    counts = np.bincount(blocks.of[even[: below.ranked + 1]], minlength=len(blocks.sizes))
    return blocks.first(even, blocks.rounded(counts, 1))


def _judged(widths: str, share: float, blocks: Blocks, ranking: Ranking, keep: BoolArray) -> dict[str, Any]:
    """What the network with the groups `keep` costs, and its accuracy before and after fine-tuning."""
    graph: Graph = cut(blocks, keep, ranking, embedded())
    data = embedded()
    tuned = []
    for seed in SEEDS:
        model = Model(graph=graph, stage=Stage.DENSE)
        done = api.train(model, data, TrainConfig(epochs=2, augment="none", seed=seed))
        tuned.append(done.meta["accuracy"]["dense"])
    return {
        "widths": widths,
        "share": share,
        "filters": {node.name: len(node.bias) for node in narrow(blocks.groups, keep).weighted},
        "macs": METER.total(graph),
        "cut_per_cent": accuracy(graph, data.x_test, data.y_test, data.input_scale),
        "tuned_per_cent": tuned,
    }


def _mean(row: dict[str, Any]) -> float:
    return float(np.mean(row["tuned_per_cent"]))


def _table(rows: list[dict[str, Any]]) -> str:
    header = ("MACs kept", "widths", "filters", "MACs", "per cent after the cut", "after fine-tuning, mean", "seeds")
    lines = []
    for row in rows:
        filters, seeds = (
            "-".join(map(str, row["filters"].values())),
            ", ".join(f"{x:.2f}" for x in row["tuned_per_cent"]),
        )
        cells = (row["macs"], f"{row['cut_per_cent']:.2f}", f"{_mean(row):.2f}", seeds)
        lines.append((f"{row['share']:.0%}", row["widths"], filters, *cells))
    return markdown(header, lines)


if __name__ == "__main__":
    main()

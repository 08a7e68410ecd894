"""The pruned networks of examples/checkpoints load, and are as small as their rows say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwprm.model.plan import Plan
from hwprm.pipeline.recipes import load_recipe
from hwprm.sources import as_model

FOLDERS = sorted(path.parent for path in Path("examples/checkpoints").glob("*/plan.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_checkpoint(folder: Path) -> None:
    recipe = load_recipe(folder.name)
    model = as_model(folder, ())
    last = model.meta["waterfall"][-1][recipe.count]
    assert last["ratio"] >= recipe.compression
    plan = Plan.load(folder)
    convs = {node.name for node in model.graph.weighted if node.weight.ndim == 4}
    counted = [layer for name, layer in plan.layers.items() if name in convs or recipe.count == "all_weights"]
    # Blank filters stay where a residual sum needs their channel.
    assert 1 <= sum(len(layer.rows) * len(layer.cols) for layer in counted) / last["left"] < 1.02
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert {"train", "shrink", "finetune"} == {line["stage"] for line in lines}

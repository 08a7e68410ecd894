"""What is told of a run while it runs."""

from __future__ import annotations

import json
from pathlib import Path

from hwprm.config import AdmmConfig, TrainConfig
from hwprm.model import Model, Stage
from hwprm.pruning.admm.admm import admm
from hwprm.reporting.record.live import Watch
from hwprm.training.context import Context
from tests.unit.training.synthetic import blobs, tiny_graph


def test_numbers_alone_are_told_and_all_is_logged(tmp_path: Path) -> None:
    told = []
    watch = Watch(lambda stage, done, total, metrics: told.append(metrics))
    model = Model(graph=tiny_graph(), stage=Stage.DENSE)
    config = AdmmConfig(compression=3, stages=1, epochs=2, final_epochs=1)
    train = TrainConfig(batch=30, distill=0.0)
    admm(model, blobs(), config, Context(config=train, progress=watch, checkpoint=watch.checkpoint(tmp_path)))
    assert any("primal.fc1" in metrics for metrics in told)
    assert all(isinstance(value, float | int) for metrics in told for value in metrics.values())
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    updates = [update for entry in entries for update in entry.get("updates", [])]
    assert len(updates) > 2 and all("dual.fc1" in update for update in updates)

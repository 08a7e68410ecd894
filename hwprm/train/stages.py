"""`train`: a `Model` from a graph, or a better one from a model."""

from __future__ import annotations

from hwprm.config.train import TrainConfig
from hwprm.data import Dataset
from hwprm.graph import Graph
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.train.checkpoint import Checkpoint
from hwprm.train.engine import fit
from hwprm.train.evaluate import accuracy
from hwprm.train.progress import Progress, silent

__all__ = ["train"]


def train(
    network: Graph | Model,
    dataset: Dataset,
    config: TrainConfig,
    *,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
    teacher: Graph | None = None,
) -> Model:
    """Train a dense network, or train a model on (fine-tune) with every zero weight of a pruned one kept zero.

    With a `teacher` (the dense network) its outputs are part of the loss, see `fit`.

    A Graph becomes a model of stage dense; a Model keeps its stage. Test accuracy (per cent), seconds and the
    per-epoch losses go into the model's meta. Raises what `fit` raises.
    """
    from hwprm.prune.masked import ZeroMasks

    model = network if isinstance(network, Model) else Model(graph=network, stage=Stage.DENSE)
    module = GraphModule(model.graph)
    hooks = ZeroMasks.of(module) if model.stage is not Stage.DENSE else None
    result = fit(
        module, dataset, config, stage="train", hooks=hooks, progress=progress, checkpoint=checkpoint, teacher=teacher
    )
    graph = module.to_graph()
    done = accuracy(graph, dataset.x_test, dataset.y_test, dataset.input_scale)
    before = float(model.meta.get("seconds", {}).get(model.stage.value, 0.0))
    return model.advance(
        graph,
        model.stage,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=config.seed,
        accuracy={model.stage.value: done},
        seconds={model.stage.value: before + result.seconds},
        log=[{"stage": "train", "epoch": i + 1, **entry} for i, entry in enumerate(result.history)],
    )

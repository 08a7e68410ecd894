"""`train`: a `Model` from a graph, or a better one from a model."""

from __future__ import annotations

from hwprm.core.errors import ConfigError
from hwprm.data import Dataset
from hwprm.graph import Graph
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.training.augment import Augmentation
from hwprm.training.context import Context
from hwprm.training.engine import fit
from hwprm.training.evaluate import held_out_accuracy
from hwprm.training.masks import ZeroMasks
from hwprm.training.statistics import recalibrated
from hwprm.training.whitening import whitened

__all__ = ["finetune", "train"]


def train(network: Graph | Model, dataset: Dataset, context: Context) -> Model:
    """Train a dense network, or train a model on (fine-tune) with every zero weight of a pruned one kept zero.

    With a teacher (the dense network) its outputs are part of the loss, see `fit`.

    A Graph becomes a model of stage dense; a Model keeps its stage. Test accuracy (per cent), seconds and the
    per-epoch losses go into the model's meta. Raises what `fit` raises, ConfigError for ``config.whiten`` with a model
    that was trained.
    """
    model = network if isinstance(network, Model) else Model(graph=network, stage=Stage.DENSE)
    if images := context.config.whiten:
        if model.meta.get("log"):
            raise ConfigError(
                "train.whiten begins an untrained network with whitening filters, this one was trained; set it to 0"
            )
        model = model.advance(whitened(model.graph, dataset, images, context.config.seed), model.stage)
    return _run(model, dataset, context, "train", model.stage.value)


def finetune(model: Model, dataset: Dataset, context: Context) -> Model:
    """Train the compact `model` on as `train` does; accuracy and seconds go by the name ``finetuned``.

    Every step works on the small matrices, so an epoch is the shorter the more was pruned.
    """
    return _run(model, dataset, context, "finetune", "finetuned")


def _run(model: Model, dataset: Dataset, context: Context, stage: str, key: str) -> Model:
    module = GraphModule(model.graph)
    hooks = ZeroMasks.of(module) if model.stage is not Stage.DENSE else None
    result = fit(module, dataset, context, stage=stage, hooks=hooks)
    config = context.config
    augmentation = Augmentation.of(config, dataset.name)
    graph = recalibrated(module.to_graph(), dataset, config.recalibrate, config.seed, augmentation)
    done = held_out_accuracy(graph, dataset, config)
    before = float(model.meta.get("seconds", {}).get(key, 0.0))
    return model.advance(
        graph,
        model.stage,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=config.seed,
        augmentation=augmentation.to_json(),
        accuracy={key: done},
        qat=None,
        seconds={key: before + result.seconds},
        log=[{"stage": stage, "epoch": i + 1, **entry} for i, entry in enumerate(result.history)],
    )

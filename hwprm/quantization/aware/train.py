"""`train_integers`: a model whose integers were trained, from one whose floats were."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from hwprm.config.qat import QatConfig
from hwprm.config.quantize import QuantizeConfig
from hwprm.core.errors import ConfigError, MismatchError
from hwprm.data import Dataset
from hwprm.graph import Batch, by_input, plain, scale_of
from hwprm.intnet import IntegerNetwork, quantize_images
from hwprm.model import Model
from hwprm.nets import GraphModule
from hwprm.quantization.accuracy import stored_accuracy
from hwprm.quantization.aware.module import IntegerModule
from hwprm.quantization.emulate import run_torch
from hwprm.quantization.network import quantize_network
from hwprm.training.augment import Augmentation
from hwprm.training.context import Context
from hwprm.training.engine import fit
from hwprm.training.masks import ZeroMasks

__all__ = ["train_integers"]

#: Calibration images on which the module is compared with the integer network that it stands for.
COMPARED = 16


def train_integers(
    model: Model, dataset: Dataset, config: QuantizeConfig, options: QatConfig, context: Context
) -> Model:
    """Train `model` on, every forward pass in the integers of `config`; zeros stay zero.

    With compensated rounding training starts from what that makes of the weights; it rounds to the nearest itself.
    Options of training are those of `context` with `options` on top; its teacher's outputs are part of the loss.
    Batch norms are folded first. ``meta.qat`` of the result says with which bits and ranges it is to be quantised,
    which the verbs do; accuracy (of the integers, per cent), seconds and epochs go by the name ``qat``. At the end
    every integer of a few images is compared with that of the network that `quantize_network` makes.

    Raises what `fit` and `quantize_network` raise, UnsupportedError naming a layer that adds up weights, ConfigError
    for a precision other than float32, MismatchError where an integer differs.
    """
    train = options.over(context.config)
    if train.precision != "float32":
        raise ConfigError(
            f"training in integers computes exact sums, which {train.precision} cannot; set train.precision to float32"
        )
    images = plain(dataset.x_train)
    module = IntegerModule(model.graph, images, dataset.input_scale, config, options.ranges)
    if config.rounding == "compensated":
        module.compensate()
    hooks = _Hooks.over(module)
    done = fit(
        module,
        dataset,
        Context(config=train, progress=context.progress, checkpoint=context.checkpoint, teacher=context.teacher),
        stage="qat",
        hooks=hooks,
    )
    graph, trained = module.to_graph(), module.trained
    net = quantize_network(graph, images, dataset.input_scale, trained.over(config), known=trained.calibration)
    compare(module, net, dataset)
    before = float(model.meta.get("seconds", {}).get("qat", 0.0))
    return model.advance(
        graph,
        model.stage,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=train.seed,
        augmentation=Augmentation.of(train, dataset.name).to_json(),
        accuracy={"qat": stored_accuracy(net, dataset.x_test, dataset.input_scale, dataset.y_test)},
        qat=trained.to_json(),
        seconds={"qat": before + done.seconds},
        log=[{"stage": "qat", "epoch": i + 1, **entry} for i, entry in enumerate(done.history)],
    )


def compare(module: IntegerModule, net: IntegerNetwork, dataset: Dataset) -> None:
    """Raise MismatchError unless `module` makes the integers of `net` of the first images of `dataset`."""
    stored: Batch = plain(dataset.x_train)[:COMPARED]
    arrays = by_input(stored, [node.name for node in module.graph.inputs])
    real = [
        torch.from_numpy(np.asarray(array)).float() * scale_of(dataset.input_scale, name)
        for name, array in arrays.items()
    ]
    got, wanted = module.integers(*real), run_torch(net, quantize_images(stored, dataset.input_scale, net))
    for name, values in wanted.items():
        if name not in got or not np.array_equal(values, got[name]):
            raise MismatchError(
                f"layer {name!r}: the integers that were trained are not those of the network that was made of them; "
                "please report it, with the model"
            )


class _Hooks(ZeroMasks):
    """Zeros stay zero; what the result hangs on beside weights is told."""

    told = ""

    @classmethod
    def over(cls, module: IntegerModule) -> _Hooks:
        """Those of `module` as it starts."""
        hooks = cls(ZeroMasks.of(module).masks)
        hooks.told = repr((module.config, module.calibration, module.learned))
        return hooks

    def after_epoch(self, module: GraphModule, epoch: int, epochs: int) -> dict[str, float]:
        learned = cast(IntegerModule, module)
        return {"swing": float(learned.swings.detach().abs().max())} if learned.learned else {}

    def options(self) -> str:
        return self.told

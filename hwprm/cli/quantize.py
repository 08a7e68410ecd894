"""`hwprm quantize`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Chosen, Take, verb
from hwprm.config import QatOptions, Settings
from hwprm.core.errors import ConfigError

if TYPE_CHECKING:
    from hwprm.data import Dataset
    from hwprm.intnet import IntegerNetwork
    from hwprm.model import Model
    from hwprm.quantization import Quality

__all__ = ["quantize"]

#: Options of training that training in integers shares with it; epochs and the rate are its own.
TRAINING = (
    *("momentum", "clip", "augment", "copies", "seed", "threads", "channels_last", "device", "label_smoothing"),
    "loss_limit",
)
#: Folder of the model that was trained in integers, in that of the integer network.
MODEL = "model"


@verb(
    app,
    Take("quantize", first=("weight_bits", "act_bits")),
    Take("qat", prefix=True, first=("epochs",)),
    Take("run", only=("teacher",)),
    Take("train", prefix=True, only=TRAINING),
    Take("data", first=("name",)),
)
def quantize(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    model: Annotated[str, typer.Argument(help="Model folder, .pt2 or .onnx file.")],
) -> Outcome:
    """Quantise a model; the result is an integer network folder, with the accuracies of both where there are labels.

    With --qat-epochs the network is trained on in the integers first; the folder then has it as model, too.

    Examples:
        hwprm quantize pruned
        hwprm quantize net.pt2 --data images.npz --weight-bits 4 --act-bits 8 --qat-epochs 10 -o integer
    """
    from hwprm.core.files import new_folder
    from hwprm.reporting import describe, tables
    from hwprm.sources import as_dataset, check_there

    check_there(model)
    out = settings.run.out or Path("integer")
    if settings.qat.epochs:
        _trained(talk, settings, model, out)
    else:
        _check(chosen)
        with new_folder(out) as folder:
            data = as_dataset(settings.data)
            talk.say(f"data: {data.name}, {data.source}")
            with talk.stage("quantize"):
                _integers(model, data, settings, folder)
    facts = describe(out)
    then = onward("compile", out, settings=settings)
    return Outcome(data=facts | {"out": str(out)}, tables=tables(facts), where=out, then=then)


def _check(chosen: Chosen) -> None:
    """Raise ConfigError for flags of a training that does not run. A file of options may serve several commands."""
    for (section, _), flag in chosen.flags.items():
        if section in ("qat", "train") or flag == "--teacher":
            raise ConfigError(f"{flag} has no effect: nothing is trained; add --qat-epochs N, or leave it out")


def _trained(talk: Talk, settings: Settings, model: str, out: Path) -> None:
    """Train `model` in integers, then quantise it into the new folder `out`."""
    from hwprm import api
    from hwprm.cli.steps import working_on
    from hwprm.core.files import new_folder
    from hwprm.sources import as_model, plain_network

    if plain_network(model) is not None:
        raise ConfigError(f"{model} is of integers already, which are not trained; give the float model it came from")
    with working_on(talk, settings, "quantize", out, model) as work:
        data = work.split.dataset
        start = as_model(model, data.image_shape)
        done = api.qat(
            start,
            data,
            QatOptions(qat=settings.qat, quantize=settings.quantize, train=settings.train),
            teacher=settings.run.teacher,
            progress=work.progress,
            checkpoint=work.checkpoint,
        )
        with new_folder(out) as folder:
            _integers(done, data, settings, folder, start)
            done.save(folder / MODEL)


def _integers(model: str | Model, data: Dataset, settings: Settings, folder: Path, floats: Model | None = None) -> None:
    """Quantise `model` into `folder`; `floats` is what it was before it was trained in integers."""
    from hwprm import api
    from hwprm.core.files import write_file
    from hwprm.quantization import stored_accuracy
    from hwprm.reporting.facts.facts import ACCURACY, QUALITY_FILE

    net = api.quantize(model, data, settings.quantize)
    net.save(folder)
    if quality := _quality(model, net, data):
        write_file(folder / QUALITY_FILE, json.dumps(quality.to_json()) + "\n")
    if accuracy := _accuracies(floats or model, net, data):
        if floats is not None and (labels := data.test_labels) is not None:
            rounded = api.quantize(floats, data, settings.quantize)
            accuracy["rounded"] = stored_accuracy(rounded, data.x_test, data.input_scale, labels)
        write_file(folder / ACCURACY, json.dumps(accuracy, indent=1) + "\n")


def _accuracies(source: str | Model, net: IntegerNetwork, data: Dataset) -> dict[str, float]:
    """Per cent of the test images of `data`, of the float model `source` by its last stage and of `net`."""
    from hwprm.quantization import stored_accuracy
    from hwprm.reporting.facts.facts import in_order
    from hwprm.sources import as_model, plain_network
    from hwprm.training import accuracy

    if (labels := data.test_labels) is None:
        return {}
    found = {"integer": stored_accuracy(net, data.x_test, data.input_scale, labels)}
    if plain_network(source) is not None:
        return found
    model = as_model(source, data.image_shape)
    stage = [model.stage.value, *in_order(model.meta.get("accuracy", {}))][-1]
    return {stage: accuracy(model.graph, data.x_test, labels, data.input_scale)} | found


def _quality(source: str | Model, net: IntegerNetwork, data: Dataset) -> Quality | None:
    """What quantisation did to each layer; nothing where `source` is of integers already."""
    from hwprm.quantization import measure_quality
    from hwprm.sources import as_model, plain_network

    if plain_network(source) is not None:
        return None
    graph = as_model(source, data.image_shape).graph
    return measure_quality(graph, net, data.x_test, data.input_scale, data.test_labels)

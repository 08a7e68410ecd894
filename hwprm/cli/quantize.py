"""`hwprm quantize`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

if TYPE_CHECKING:
    from hwprm.data import Dataset
    from hwprm.intnet import IntegerNetwork
    from hwprm.quantization import Quality

__all__ = ["quantize"]


@verb(app, Take("quantize", first=("weight_bits", "act_bits")), Take("data", first=("name",)))
def quantize(
    talk: Talk,
    settings: Settings,
    model: Annotated[str, typer.Argument(help="Model folder, .pt2 or .onnx file.")],
) -> Outcome:
    """Quantise a model; the result is an integer network folder, with the accuracies of both where there are labels.

    Examples:
        hwprm quantize pruned
        hwprm quantize net.pt2 --data images.npz --weight-bits 6 --act-bits 8 -o integer
    """
    from hwprm import api
    from hwprm.core.files import new_folder, write_file
    from hwprm.reporting import describe, tables
    from hwprm.reporting.facts.facts import ACCURACY, QUALITY_FILE
    from hwprm.sources import as_dataset, check_there

    check_there(model)
    out = settings.run.out or Path("integer")
    with new_folder(out) as folder:
        data = as_dataset(settings.data)
        talk.say(f"data: {data.name}, {data.source}")
        with talk.stage("quantize"):
            net = api.quantize(model, data, settings.quantize)
            net.save(folder)
            if quality := _quality(model, net, data):
                write_file(folder / QUALITY_FILE, json.dumps(quality.to_json()) + "\n")
            if accuracy := _accuracies(model, net, data):
                write_file(folder / ACCURACY, json.dumps(accuracy, indent=1) + "\n")
    facts = describe(out)
    then = onward("compile", out, settings=settings)
    return Outcome(data=facts | {"out": str(out)}, tables=tables(facts), where=out, then=then)


def _accuracies(source: str, net: IntegerNetwork, data: Dataset) -> dict[str, float]:
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


def _quality(source: str, net: IntegerNetwork, data: Dataset) -> Quality | None:
    """What quantisation did to each layer; nothing where `source` is of integers already."""
    from hwprm.quantization import measure_quality
    from hwprm.sources import as_model, plain_network

    if plain_network(source) is not None:
        return None
    graph = as_model(source, data.image_shape).graph
    return measure_quality(graph, net, data.x_test, data.input_scale, data.test_labels)

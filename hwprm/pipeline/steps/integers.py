"""The steps around the integer network: making it, counting its cycles, and scoring everything on the test split."""

from __future__ import annotations

import json

from hwprm import api
from hwprm.compiler import estimate, sum_bits
from hwprm.config.steps import QAT, WIDTHS
from hwprm.core.files import write_file
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.pipeline.step import Facts, Step, Task
from hwprm.pipeline.steps.given import Given, dense_of
from hwprm.pipeline.steps.models import ROUNDED, TRAIN_INTEGERS
from hwprm.pruning.accounting import account, against
from hwprm.quantization import measure_quality, stored_accuracy
from hwprm.reporting.facts.facts import QUALITY_FILE
from hwprm.training import accuracy

__all__ = ["COUNT", "QUANTIZE", "SCORE"]


def quantize(task: Task) -> Facts:
    """Quantise what the step before left, and count what a memory would hold of it."""
    given: Given = task.given
    assert task.before is not None
    model, dense, data = Model.load(task.before), dense_of(task), given.split.dataset
    net = api.quantize(model, data, task.settings.quantize, name=task.inputs["name"])
    net.save(task.place)
    bias_bits = max(sum_bits(net).values())  # the hardware keeps biases at the width of the whole sum
    own = task.settings.quantize.layer_bits
    counts = account(model.graph, dense.graph, weight_bits=net.weight_bits, bias_bits=bias_bits, layer_bits=own)
    facts: Facts = {"waterfall": [against(counts.row("integer"), model.meta.get("waterfall", []))]}
    if given.judged is None:  # as every stage before: where those held the test split back, the step `score` reads it
        facts["accuracy"] = {"integer": stored_accuracy(net, data.x_test, data.input_scale, data.y_test)}
        quality = measure_quality(model.graph, net, data.x_test, data.input_scale, data.y_test)
        write_file(task.place / QUALITY_FILE, json.dumps(quality.to_json()) + "\n")
    return facts


def count(task: Task) -> Facts:
    """Exact cycles of the integer network for an image."""
    net = IntegerNetwork.load(task.out / QUANTIZE.place)
    total = estimate(net, task.settings.array).total
    write_file(task.place, json.dumps({"cycles": total}) + "\n")
    return {"cycles": total}


def score(task: Task) -> Facts:
    """Accuracy of all that the row reports on the test split, which nothing before has seen."""
    data, top, steps = task.given.test, task.inputs["top"], task.inputs["steps"]
    found, floats = {}, [step for step in steps if step != QAT]
    for step in ("dense", *floats):
        model = dense_of(task) if step == "dense" else Model.load(task.out / "stages" / step)
        key = {"finetune": "finetuned", WIDTHS: "narrowed"}.get(step, model.stage.value)
        found[key] = accuracy(model.graph, data.x_test, data.y_test, data.input_scale, top=top)
    if QAT in steps:
        net = IntegerNetwork.load(task.out / TRAIN_INTEGERS.place / ROUNDED)
        found["rounded"] = stored_accuracy(net, data.x_test, data.input_scale, data.y_test, top=top)
    net = IntegerNetwork.load(task.out / QUANTIZE.place)
    found["integer"] = stored_accuracy(net, data.x_test, data.input_scale, data.y_test, top=top)
    write_file(task.place, json.dumps(found, indent=1) + "\n")
    return {"accuracy": found}


QUANTIZE = Step(name="quantize", place="stages/quantize", run=quantize, options=("quantize",), inputs=("name",))
SCORE = Step(name="score", place="stages/score.json", run=score, inputs=("name", "steps", "top"))
COUNT = Step(name="count", place="stages/cycles.json", run=count, options=("array",))

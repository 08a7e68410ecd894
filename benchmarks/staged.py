"""Runs a plan of stages that train and prune one network, each stage from what another left; goes on where it stopped.

What: dense training, at smaller images first if the plan says so, cutting to widths, gradual shrinking, compaction,
fine-tuning, quantisation and the score on the test split, for networks that take hours. A plan is a TOML file: tables
of options as recipes have them, and one ``[[stage]]`` for each step, with options of its own in tables below it.
How: `python benchmarks/staged.py examples/plans/resnet18-cifar.toml --data-dir DIR --out DIR`. Every epoch is kept, and
the same command goes on. `--start FILE ...` takes up finished stages from archives that `--pack STAGE FILE` made;
NAME=FILE where this plan calls the stage NAME.
`--device cuda` runs it on a GPU; `--epochs 0.01` scales the epochs of all stages, to try a plan out.
Judged on images held out of the training split; a stage `score` alone reads the test split, of what led to
it. The last stage, or `--stage NAME`, and all that it needs is run: what an archive makes needless is not.
Target: none, it measures nothing by itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import say
from numpy.typing import NDArray
from staged_plan import READS, Plan, Step, needed, read_plan, way_to

from hwprm import api
from hwprm.config import PruneOptions, TrainConfig
from hwprm.core.errors import ConfigError
from hwprm.core.files import new_folder, write_file
from hwprm.data import Dataset
from hwprm.data.dataset import stratified_order
from hwprm.graph import AvgPool2d, Graph, Node
from hwprm.model import Model, Stage
from hwprm.nets import reference_network
from hwprm.pipeline.rows import JUDGED
from hwprm.pruning.accounting import account, against
from hwprm.reporting.record.live import LiveLog
from hwprm.reporting.record.record import applied, write_record
from hwprm.sources import Split, as_model, as_split
from hwprm.training.distributed import Group, process_group

#: What training calls the files of a teacher's answers.
ANSWERS = "logits-*.safetensors"


@dataclass
class Bench:
    """Where the stages of a plan are worked on."""

    plan: Plan
    out: Path
    split: Split
    test: Dataset
    sizes: dict[int, Split] = field(default_factory=dict)
    #: Folder of what teachers answered.
    answers: Path = field(init=False)

    def __post_init__(self) -> None:
        self.answers = self.out / ".answers"

    def model(self, name: str | None) -> Model:
        """What stage `name` left, or the plan's network with random weights."""
        if name is not None:
            return Model.load(self.out / name)
        made, whole = self.untrained(self.plan.width), self.untrained(1.0).graph
        rows = []
        if self.plan.width < 1:
            rows = [account(whole, whole).dense().row(Stage.DENSE.value)]
            rows.append(against(account(made.graph, made.graph).dense().row("widths"), rows))
        return made.advance(made.graph, made.stage, name=self.plan.network, waterfall=rows)

    def untrained(self, width: float, name: str | None = None) -> Model:
        """The network `name`, or the plan's, with `width` times the channels and random weights."""
        data = self.split.dataset
        network = reference_network(name or self.plan.network, self.plan.seed, width=width, classes=data.classes)
        return as_model(network.train(False), data.image_shape)

    def other(self, name: str, width: float = 1.0) -> Model:
        """The network `name` with `width` times the channels and random weights."""
        made = self.untrained(width, name)
        return made.advance(made.graph, made.stage, name=name)

    def images(self, pixels: int | None) -> Split:
        """The data, its images `pixels` high and wide."""
        if pixels is None:
            return self.split
        if pixels not in self.sizes:
            self.sizes[pixels] = _smaller(self.split, pixels)
        return self.sizes[pixels]


def main() -> None:
    """Run every stage that is not finished; of the processes that torchrun started the first one alone writes."""
    args = _arguments()
    with process_group(TrainConfig(device=args.device)) as group:
        _work(args, group)


def _work(args: argparse.Namespace, group: Group) -> None:
    given: dict[tuple[str, str], Any] = {("train", "device"): args.device}
    if args.data_dir:
        given["data", "data_dir"] = args.data_dir
    if args.precision:
        given["train", "precision"] = args.precision
    plan = read_plan(args.plan, given, args.epochs)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.pack:
        stage, file = args.pack
        pack(args.out, stage, Path(file))
        return
    with group.first_alone():
        for file in args.start:
            unpack(file, args.out)
    data = as_split(plan.steps[0].settings.data)
    if data.x_validation is None or data.y_validation is None:
        raise ConfigError("a plan is judged on images held out of the training split; set data.validation")
    judged = replace(data, dataset=replace(data.dataset, x_test=data.x_validation, y_test=data.y_validation))
    bench = Bench(plan=plan, out=args.out, split=judged, test=data.dataset)
    bench.answers = args.answers or bench.answers
    wanted = needed(plan, args.out, args.stage or plan.steps[-1].name)
    for step in plan.steps:
        if step.name in wanted:
            _run(bench, step, group)
        elif group.rank == 0 and (args.out / step.name).exists():
            say(f"{step.name}: finished before")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--data-dir", type=Path, help="folder of the data set")
    parser.add_argument("--out", type=Path, default=Path("runs/staged"), help="default: %(default)s")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", help="number format of all stages, in place of the plan's")
    parser.add_argument("--stage", help="run this stage and what it needs (default: the last one)")
    parser.add_argument("--epochs", type=float, default=1.0, help="scale of the epochs of all stages")
    parser.add_argument(
        "--start", nargs="+", default=[], metavar="[NAME=]FILE", help="archives of finished stages to go on from"
    )
    parser.add_argument("--answers", type=Path, help="folder of teachers' answers (default: in --out)")
    parser.add_argument("--pack", nargs=2, metavar=("STAGE", "FILE"), help="write an archive of a finished stage")
    return parser.parse_args()


def _run(bench: Bench, step: Step, group: Group) -> None:
    if group.rank == 0:
        say(f"{step.name}: {step.do}")
    if step.do in ("train", "shrink", "finetune"):
        _train(bench, step, group)
    else:
        group.from_first(lambda: _train(bench, step, Group()) if step.do in READS else _finish(bench, step))


def _train(bench: Bench, step: Step, group: Group) -> None:
    """What all processes of `group` share."""
    started = time.process_time()
    data = _fewer(bench.images(step.pixels), step.images)
    before = bench.model(step.start) if step.network is None else bench.other(step.network, step.width)
    model = before.advance(_resized(before.graph, data.dataset.image_shape), before.stage)
    with ExitStack() as kept:
        group.from_first(lambda: kept.enter_context(kept_answers(bench.answers, _scratch(bench, step))))
        made = _make(bench, step, model, data)
    if group.rank:
        return
    made = made.advance(_resized(made.graph, bench.split.dataset.image_shape), made.stage, judged=JUDGED)
    with new_folder(bench.out / step.name) as folder:
        made.save(folder)
        write_record(made, folder, step.settings, applied("data", *READS[step.do]))
    shutil.rmtree(_scratch(bench, step), ignore_errors=True)
    say(f"{step.name}: {made.meta['accuracy']}, {time.process_time() - started:.0f} CPU seconds")


@contextmanager
def kept_answers(kept: Path, scratch: Path) -> Iterator[None]:
    """Inside, `scratch` has the answers of teachers that other stages asked; new ones are moved to `kept` at the end.

    A file's name is a digest of images, teacher and precision, so that none is taken for another.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    for file in kept.glob(ANSWERS):
        if not (scratch / file.name).exists():
            (scratch / file.name).symlink_to(file.resolve())
    try:
        yield
    finally:
        for file in scratch.glob(ANSWERS):
            if not file.is_symlink():
                kept.mkdir(parents=True, exist_ok=True)
                file.replace(kept / file.name)
                file.symlink_to((kept / file.name).resolve())


def _make(bench: Bench, step: Step, model: Model, data: Split) -> Model:
    """What `step` makes of `model`."""
    settings = step.settings
    teacher = None if step.teacher is None else bench.model(step.teacher)
    if teacher is not None:
        teacher = teacher.advance(_resized(teacher.graph, data.dataset.image_shape), teacher.stage)
    kept = LiveLog(folder=_scratch(bench, step), resume=True, epoch=lambda metrics: say(f"{step.name} {metrics}"))
    shared: dict[str, Any] = {"teacher": teacher, "checkpoint": kept}
    if step.do == "widths":
        # What is cut away in whole channels is not computed any more; zeros in larger arrays are.
        thin = api.widths(model, data, replace(settings.widths, cut=True)).model
        assert thin is not None
        return thin
    if step.do == "train":
        return api.train(model, data, settings.train, **shared)
    if step.do == "compact":
        return api.prune(model, data, PruneOptions(purify=settings.purify, stop_after="compact"))
    if step.do == "finetune":
        return api.prune(model, data, PruneOptions(finetune=settings.finetune, train=settings.train), **shared)
    options = PruneOptions(shrink=settings.shrink, train=settings.train, stop_after="shrink")
    # A masked model goes on being shrunk: its zeros stay.
    return api.prune(replace(model, stage=Stage.DENSE), data, options, **shared)


def _finish(bench: Bench, step: Step) -> None:
    """An ensemble, the integer network, or every accuracy on the test split."""
    from hwprm.intnet import IntegerNetwork
    from hwprm.quantization import stored_accuracy
    from hwprm.training import accuracy

    data = bench.test
    if step.do == "ensemble":
        both = api.ensemble([bench.model(name) for name in step.of], bench.split)
        with new_folder(bench.out / step.name) as folder:
            both.save(folder)
        say(f"{step.name}: {both.meta['accuracy']}")
        return
    if step.do == "quantize":
        assert step.start is not None
        net = api.quantize(bench.model(step.start), bench.split, step.settings.quantize, name=bench.plan.network)
        with new_folder(bench.out / step.name) as folder:
            net.save(folder)
        return
    found: dict[str, Any] = {}
    whole = bench.untrained(1.0).graph
    for other in way_to(bench.plan, step):
        if not (bench.out / other.name).exists():
            continue
        if other.do in ("train", "widths", "shrink", "compact", "finetune"):
            graph = bench.model(other.name).graph
            found[other.name] = accuracy(graph, data.x_test, data.y_test, data.input_scale)
            found[f"{other.name} compression"] = account(graph, whole).row(other.name)
        if other.do == "quantize":
            net = IntegerNetwork.load(bench.out / other.name)
            found[other.name] = stored_accuracy(net, data.x_test, data.input_scale, data.y_test)
    write_file(bench.out / step.name, json.dumps(found, indent=1) + "\n")
    say(json.dumps({key: value for key, value in found.items() if isinstance(value, float)}))


def _scratch(bench: Bench, step: Step) -> Path:
    """Where a stage keeps its epochs."""
    return bench.out / f".{step.name}"


def _resized(graph: Graph, image_shape: Any) -> Graph:
    """`graph` that reads images of another size: averages over a whole map are of the new one."""
    channels, *sides = image_shape
    old = graph.input.shape[1:]
    nodes: list[Node] = [replace(graph.input, shape=(channels, *sides))]
    for node in graph.nodes:
        if isinstance(node, AvgPool2d) and node.kernel == graph.shapes[node.inputs[0]][1:]:
            whole = (node.kernel[0] * sides[0] // old[0], node.kernel[1] * sides[1] // old[1])
            node = replace(node, kernel=whole, stride=whole)
        if node.inputs:
            nodes.append(node)
    return Graph(tuple(nodes), graph.outputs)


def _fewer(split: Split, images: int | None) -> Split:
    """`split` with so many training images."""
    if images is None:
        return split
    data = split.dataset
    kept = np.sort(stratified_order(data.y_train, seed=0)[:images])
    return replace(split, dataset=replace(data, x_train=data.x_train[kept], y_train=data.y_train[kept]))


def _smaller(split: Split, pixels: int) -> Split:
    """`split` with images of `pixels` x `pixels`, each the mean of what it covers."""
    data = split.dataset
    small = replace(data, x_train=_averaged(data.x_train, pixels), x_test=_averaged(data.x_test, pixels))
    return replace(split, dataset=small, x_validation=small.x_test)


def _averaged(images: Any, pixels: int) -> NDArray[np.uint8]:
    import torch
    from torch.nn.functional import interpolate

    parts = []
    for start in range(0, len(images), 5000):
        part = torch.from_numpy(np.asarray(images[start : start + 5000])).float()
        parts.append(interpolate(part, (pixels, pixels), mode="area").round().to(torch.uint8).numpy())
    return np.concatenate(parts)


def pack(out: Path, stage: str, file: Path) -> None:
    """Write the finished `stage` as an archive, its weights rounded to bfloat16: half as many bytes."""
    import torch

    model = Model.load(out / stage)
    arrays: dict[str, Any] = {
        node.name: {
            key: torch.from_numpy(getattr(node, key)).bfloat16().float().numpy()
            for key in ("weight", "bias", "mean", "var")
            if hasattr(node, key)
        }
        for node in model.graph.nodes
        if hasattr(node, "weight")
    }
    graph = model.graph.replace(*(replace(model.graph.by_name[name], **new) for name, new in arrays.items()))
    with new_folder(out / f".packed-{stage}") as folder:
        replace(model, graph=graph).save(folder)
        shutil.copy(out / stage / "log.jsonl", folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        with tarfile.open(part, "w:xz") as archive:
            archive.add(folder, stage)
        part.replace(file)
    shutil.rmtree(out / f".packed-{stage}")
    say(f"{file}: {file.stat().st_size} bytes")


def unpack(start: str, out: Path) -> None:
    """Put the stage in the archive `start`, or ``NAME=archive``, where it would be."""
    given, _, file = start.rpartition("=")
    with tarfile.open(file) as archive:
        stage = archive.getmembers()[0].name.split("/")[0]
        if not (out / (given or stage)).exists():
            with new_folder(out / (given or stage)) as folder:
                archive.extractall(folder, filter="data")
                for part in (folder / stage).iterdir():
                    part.rename(folder / part.name)
                (folder / stage).rmdir()


if __name__ == "__main__":
    main()

"""From whatever a verb was given (an object, a name, a path) to the noun it needs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.core.errors import ConfigError, InputError, ModelError
from hwprm.core.names import as_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwprm.bundle import Bundle
    from hwprm.config import ArrayConfig, EmitConfig, QuantizeConfig
    from hwprm.data import Dataset
    from hwprm.graph import Graph, Images, Shapes
    from hwprm.intnet import IntegerNetwork
    from hwprm.model import Model
    from hwprm.model.plan import Plan

__all__ = [
    "Split",
    "array_of",
    "as_dataset",
    "as_model",
    "as_network",
    "as_plan",
    "as_split",
    "check_there",
    "emit_of",
    "holds",
    "plain_network",
    "title",
]

#: File that tells what a folder holds.
MARKS = {
    "model": "model.json",
    "network": "network.json",
    "bundle": "manifest.json",
    "run": "run.json",
    "plan": "plan.json",
    "row": "result.json",
    "widths": "widths.json",
    "silicon": "silicon.json",
    "study": "study.json",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A data set whose training part lacks the validation images; those are there, or None where none were held out."""

    dataset: Dataset
    x_validation: Images | None = None
    y_validation: NDArray[np.int64] | None = None

    @property
    def held_out(self) -> tuple[Images, NDArray[np.int64]] | None:
        """The validation images and their labels."""
        return (
            None if self.x_validation is None or self.y_validation is None else (self.x_validation, self.y_validation)
        )


def as_split(data: Any) -> Split:
    """A Split itself, a Dataset without validation images, what a DataConfig describes, images in memory
    (`hwprm.data.set_in_memory`), or a set by name or path.
    """
    from hwprm.config import DataConfig
    from hwprm.data import Dataset, Preparation, is_memory, load_dataset, set_in_memory, split_validation

    if isinstance(data, Split):
        return data
    if isinstance(data, Dataset):
        return Split(dataset=data)
    if is_memory(data):
        return Split(dataset=set_in_memory(data))
    if not isinstance(data, DataConfig | str | Path):
        raise InputError(
            f"data is a name, a path, a DataConfig, arrays (x, y), a mapping of them or a torch data set or loader, "
            f"not {type(data).__name__}"
        )
    config = data if isinstance(data, DataConfig) else DataConfig(name=str(data))
    folder = Path(config.data_dir) if config.data_dir else None
    preparation = Preparation(
        size=config.image_size,
        resize=config.resize or round(config.image_size * 8 / 7),
        random_crop=config.random_crop,
        crop_area=config.crop_area,
        min_side=config.min_side,
        workers=config.workers,
    )
    dataset = load_dataset(config.name, data_dir=folder, download=config.download, preparation=preparation)
    if not config.validation:
        return Split(dataset=dataset)
    # A fixed seed: the images held out are the same ones in every verb, whatever is trained with.
    rest, images, labels = split_validation(dataset, config.validation, seed=0)
    return Split(dataset=rest, x_validation=images, y_validation=labels)


def as_dataset(data: Any) -> Dataset:
    """The data set of `as_split`, without its validation images."""
    return as_split(data).dataset


def emit_of(bundle: Bundle) -> EmitConfig:
    """Cells and host that a bundle was emitted with, as options; a netlist's cells count as plain ones."""
    from hwprm.config import EmitConfig
    from hwprm.config.emit import TARGETS

    manifest, line = bundle.manifest, bundle.manifest.serial
    known = manifest.target in TARGETS and not manifest.netlist
    plain = replace(EmitConfig(), target=manifest.target if known else TARGETS[0])  # type: ignore[arg-type]  # it is one
    if line is None:
        return replace(plain, host="stream8") if manifest.host == "stream8" else plain
    # Of a bundle that does not keep its clock any will do that makes the same cycles.
    clock = line.clock or line.divider / 1e3
    silence = line.silence / clock / 1e3
    return replace(plain, host="uart", clock=clock, baud=line.baud or 1000, silence=silence)


def array_of(bundle: Bundle) -> ArrayConfig:
    """The array that a bundle was compiled for; its network's filters stand in their order already."""
    from hwprm.config import ArrayConfig

    own = bundle.manifest.array
    external: Any = bundle.manifest.external  # plain numbers; options take some of them only, and check it
    plain = ArrayConfig(
        rows=own.rows,
        cols=own.cols,
        multiplier_stages=own.multiplier_stages,
        pipeline="fast" if own.pipeline == "fast" else "short",
        acc_bits=own.acc_bits,
        batch=own.batch,
        phases="auto" if any(layer.phases > 1 for layer in bundle.manifest.layers) else "off",
        order_filters=False,
    )
    if external is None:
        return plain
    return replace(
        plain,
        weights="axi",
        axi_data_bits=external.beat_bits,
        axi_burst=external.burst_beats,
        axi_outstanding=external.outstanding,
        axi_entry_buffer=external.entry_buffer,
        axi_weight_buffer=external.weight_buffer,
    )


def as_model(network: Any, image_shape: Shapes, seed: int = 0) -> Model:
    """A Model itself, or one of stage dense from a Graph, a torch module, a known name, a file or a model folder.

    Raises ModelError when a path holds no model, InputError for an unknown name.
    """
    from hwprm.graph import Graph
    from hwprm.model import Model, Stage

    if isinstance(network, Model):
        return network
    if isinstance(network, Graph):
        return Model(graph=network, stage=Stage.DENSE)
    if isinstance(network, str | Path) and Path(network).is_dir():
        return _load_folder(Path(network))
    return Model(graph=_as_graph(network, image_shape, seed), stage=Stage.DENSE)


def as_plan(source: Any) -> Plan:
    """A Plan itself, that of a Model or of a model folder, or the one in an exported folder or a file ``plan.json``.

    Raises ModelError when there is none.
    """
    from hwprm.model import Model
    from hwprm.model.plan import Plan

    if isinstance(source, Plan):
        return source
    if isinstance(source, Model):
        return Plan.of(source)
    path = Path(source)
    return Plan.of(_load_folder(path)) if path.is_dir() and holds(path) != "plan" else Plan.load(path)


def holds(source: Any) -> str | None:
    """What the folder `source` holds, a key of `MARKS`, else None."""
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    return next((kind for kind, file in MARKS.items() if (Path(source) / file).exists()), None)


def _as_graph(network: Any, image_shape: Shapes, seed: int) -> Graph:
    from hwprm.frontend import load, to_graph, traced
    from hwprm.nets import NETWORKS, lenet5_graph, reference_network

    if not isinstance(network, str | Path):
        return traced(network, image_shape)
    path = Path(network)
    if path.suffix in (".pt2", ".onnx") or path.exists():
        return to_graph(load(path, image_shape), image_shape)
    name = str(network)
    check_there(name)
    if name == "lenet5":
        return lenet5_graph(seed=seed)
    return to_graph(reference_network(name, seed).eval(), NETWORKS[name].image)


def check_there(source: Any) -> None:
    """Raise InputError where `source` is a text that is neither a file, nor a folder, nor the name of a network.

    That takes no time: whoever needs images besides need not load them first.
    """
    if not isinstance(source, str | Path) or Path(source).exists() or Path(source).suffix:  # whoever reads files tells
        return
    from hwprm.nets import NETWORKS

    known, name = ("lenet5", *NETWORKS), str(source)
    if name in known:
        return
    if near := difflib.get_close_matches(name, known, n=1):
        raise InputError(f"no network is called {name!r}; did you mean {near[0]!r}?")
    raise InputError(
        f"there is no folder or file {name!r}, and no network is called so; give a model folder, a .pt2 or .onnx "
        f"file, or one of {', '.join(known)}"
    )


def _load_folder(folder: Path) -> Model:
    from hwprm.model import Model
    from hwprm.model.plan import load_export

    kind = holds(folder)
    if kind == "plan":
        return load_export(folder)
    if kind == "network":
        raise ModelError(f"{folder} holds an integer network, a float model is needed; give the folder it came from")
    if kind == "bundle":
        raise ModelError(f"{folder} holds a bundle, a float model is needed; give the folder it came from")
    return Model.load(folder)


def plain_network(source: Any) -> IntegerNetwork | None:
    """The integer network that `source` is, or that its folder holds; None when it must be quantised first."""
    from hwprm.bundle import Bundle
    from hwprm.intnet import IntegerNetwork

    if isinstance(source, IntegerNetwork):
        return source
    if isinstance(source, Bundle):
        return source.network
    kind = holds(source)
    if kind == "network":
        return IntegerNetwork.load(Path(source))
    return Bundle.load(Path(source)).network if kind == "bundle" else None


def as_network(source: Any, data: Any, config: QuantizeConfig | None, name: str | None = None) -> IntegerNetwork:
    """`plain_network`, or a float network quantised with the training images of `data`.

    `data`, as `as_dataset` takes it, is not touched where it is not needed.
    Raises ConfigError when `config` asks for other widths than those of a network that was quantised before.
    """
    from hwprm.config import QuantizeConfig

    net = plain_network(source)
    if net is None:
        from hwprm.graph import plain
        from hwprm.quantization import Trained, quantize_network  # needs torch, which integers do without

        dataset = as_dataset(data)
        model = as_model(source, dataset.image_shape)
        called = name or as_name(str(model.meta.get("name", title(source))))
        trained = Trained.of(model.meta["qat"]) if "qat" in model.meta else None
        if trained is not None:
            config = trained.over(config or QuantizeConfig())
        known = None if trained is None else trained.calibration
        return quantize_network(
            model.graph, plain(dataset.x_train), dataset.input_scale, config, name=called, known=known
        )
    for key in ("weight_bits", "act_bits"):
        asked, own = getattr(config or QuantizeConfig(), key), getattr(net, key)
        if asked not in (own, getattr(QuantizeConfig(), key)):  # a default is no wish
            raise ConfigError(
                f"quantize.{key} = {asked}, but {title(source)!r} is a network of integers already, with {own}; "
                "give the float model, or leave the option out"
            )
    return net


def title(source: Any) -> str:
    """A name for a network: its own, or that of its file or folder, where it has one."""
    return Path(source).stem if isinstance(source, str | Path) else "network"

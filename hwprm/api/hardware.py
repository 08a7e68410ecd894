"""Verbs from integers to a proven design and its figures: quantize, compile, verify, estimate, synth, pnr."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm.core.extras import says_what_it_lacks

if TYPE_CHECKING:
    from torch import nn

    from hwprm.bundle import Bundle
    from hwprm.compiler import CycleReport
    from hwprm.config import (
        ArrayConfig,
        DataConfig,
        EmitConfig,
        MemoryConfig,
        QuantizeConfig,
        SiliconConfig,
        VerifyConfig,
    )
    from hwprm.core.progress import Progress
    from hwprm.data import Dataset
    from hwprm.graph import Graph
    from hwprm.intnet import IntegerNetwork
    from hwprm.model import Model
    from hwprm.sources import Split
    from hwprm.targets import Placement, Resources, Synthesis
    from hwprm.verification import VerifyReport

    Data = Dataset | Split | DataConfig | str | Path
    Network = nn.Module | Graph | Model | str | Path


__all__ = ["compile", "estimate", "pnr", "quantize", "size", "synth", "verify"]

#: Calibration images on which the two references are compared.
CROSSCHECKED = 4


@says_what_it_lacks
def quantize(
    model: Network, data: Data = "mnist", config: QuantizeConfig | None = None, *, name: str | None = None
) -> IntegerNetwork:
    """The integer network of `model`, its scales calibrated with the training images of `data`.

    The references in torch and in numpy compute its first calibration images and are compared in every integer.
    Raises ModelError when an accumulator cannot be held, DataError when the images do not fit, MismatchError when the
    references differ.
    """
    return _integers(model, data, config, name)


@says_what_it_lacks
def compile(
    source: Network | IntegerNetwork,
    data: Data = "mnist",
    *,
    out: Path | str,
    array: ArrayConfig | None = None,
    quantize: QuantizeConfig | None = None,
    emit: EmitConfig | None = None,
) -> Bundle:
    """Quantise where needed, compile for `array`, and emit the new folder `out`: Verilog, ROMs, test bench, images.

    Zero filters and columns of the network are removed exactly. The test images of `data` become the bundle's.
    Raises InputError when `out` is not empty or cannot be made, or the design is too large for ``emit.device``,
    ConfigError when the array cannot hold the network, PassError when the compiler itself changes an integer on the
    first of the images.
    """
    from hwprm.compiler import compile_network
    from hwprm.config import ArrayConfig, EmitConfig
    from hwprm.core.files import check_output
    from hwprm.emission import check_host, emit_bundle, host_of
    from hwprm.intnet import quantize_images
    from hwprm.sources import as_dataset
    from hwprm.targets import sized

    check_output(Path(out))
    array, emit = ArrayConfig.given(array), EmitConfig.given(emit)
    host = host_of(emit)
    check_host(host, external=array.weights == "axi", batch=array.batch)
    dataset = as_dataset(data)
    net = _integers(source, dataset, quantize)
    count = emit.images
    images = quantize_images(dataset.x_test[:count], dataset.input_scale, net)
    program = compile_network(net, array, images=images)
    if emit.device and (wrong := sized(program, emit.device, emit.target, host).too_large):
        raise wrong
    labels = None if dataset.test_labels is None else dataset.test_labels[:count]
    return emit_bundle(program, images, labels, Path(out), target=emit.target, host=host)


def verify(
    bundle: Bundle | Path | str,
    config: VerifyConfig | None = None,
    *,
    memory: MemoryConfig | None = None,
    junit: Path | str | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Simulate `bundle` and compare every integer with the reference; write JUnit results to `junit`.

    `memory` is how fast the testbench's external memory is, for a design that reads one.
    `progress` is told as `hwprm.core.progress` says, in a line what comes next. A mismatch is in the report (``ok``,
    ``raise_on_failure()``).

    Raises BundleError for an incomplete or edited bundle, ToolError when the simulator is missing.
    """
    from hwprm.config import VerifyConfig
    from hwprm.core.progress import without_numbers
    from hwprm.verification import verify_bundle

    file = None if junit is None else Path(junit)
    return verify_bundle(
        _folder(bundle), VerifyConfig.given(config), memory=memory, junit=file, progress=without_numbers(progress)
    )


@says_what_it_lacks
def estimate(
    source: Network | IntegerNetwork | Bundle,
    array: ArrayConfig | None = None,
    *,
    data: Data = "mnist",
    quantize: QuantizeConfig | None = None,
    memory: MemoryConfig | None = None,
) -> CycleReport:
    """Exact cycles per layer and per image, the promise and the bound, without emitting or simulating.

    `data` calibrates a float model; integer networks and bundles do not need it. Without `array` a bundle is counted
    for its own, anything else for 8 x 8. `memory` is what an array with external weights waits for.
    """
    from hwprm.compiler import estimate as run
    from hwprm.config import ArrayConfig, MemoryConfig, QuantizeConfig
    from hwprm.sources import array_of, as_network

    bundle = _bundle(source)
    own = array is None and bundle is not None
    array = array_of(bundle) if bundle and array is None else ArrayConfig.given(array)
    net = as_network(source, data, QuantizeConfig.given(quantize))
    return run(net, array, None if memory is None else MemoryConfig.given(memory), as_is=own)


@says_what_it_lacks
def size(
    source: Network | IntegerNetwork | Bundle,
    array: ArrayConfig | None = None,
    *,
    data: Data = "mnist",
    quantize: QuantizeConfig | None = None,
    target: str = "ecp5-85k",
    emit: EmitConfig | None = None,
) -> Resources:
    """What `source` takes of the device `target` by a model, without tools: docs/silicon.md says how near it comes.

    `source`, `array`, `data` and `quantize` as in `estimate`; `emit` says cells and host, by default a bundle's own.
    Where the device is too small ``too_large`` says so, and which array would fit. Raises ConfigError for an unknown
    device, and a host that cannot serve the array, UnsupportedError for a device that has no model.
    """
    from hwprm.compiler import draft
    from hwprm.config import ArrayConfig, EmitConfig, QuantizeConfig
    from hwprm.emission import check_host, host_of
    from hwprm.sources import array_of, as_network, emit_of
    from hwprm.targets import sized

    bundle = _bundle(source)
    own = array is None and bundle is not None
    array = array_of(bundle) if bundle and array is None else ArrayConfig.given(array)
    emit = emit_of(bundle) if bundle and emit is None else EmitConfig.given(emit)
    host = host_of(emit)
    check_host(host, external=array.weights == "axi", batch=array.batch)
    program = draft(as_network(source, data, QuantizeConfig.given(quantize)), array, as_is=own)
    return sized(program, target, emit.target, host)


def synth(
    bundle: Bundle | Path | str, config: SiliconConfig | None = None, *, progress: Progress | None = None
) -> Synthesis:
    """Synthesise `bundle` for ``config.target``; what a call before found is kept and not made again.

    A design too large for the device is in the result (``too_large``).
    `hwprm.targets.synthesis_facts` makes plain JSON of it.
    With ``config.netlist`` that new folder gets the bundle with its design in cells of the device.
    Raises ConfigError for an unknown target, or one whose netlist cannot be simulated where one is wanted, InputError
    when its folder is not empty, BundleError for an incomplete or edited bundle, ToolError when yosys is missing or
    fails.
    """
    from hwprm.config import SiliconConfig
    from hwprm.core.files import check_output
    from hwprm.core.progress import without_numbers
    from hwprm.emission import write_netlist_bundle
    from hwprm.targets import core_netlist, synthesise

    config, tell = SiliconConfig.given(config), without_numbers(progress)
    if config.netlist:
        check_output(config.netlist)
        write_netlist_bundle(*core_netlist(_folder(bundle), config, tell), config.netlist)
    return synthesise(_folder(bundle), config, tell)


def pnr(
    bundle: Bundle | Path | str, config: SiliconConfig | None = None, *, progress: Progress | None = None
) -> Placement:
    """Place and route `bundle` with seeds 1 to ``config.seeds``; seeds that ran before are kept and not run again.

    A clock that is missed is in the result (``missed``). `hwprm.targets.placement_facts` makes plain JSON of it.
    Raises what `synth` raises, UnsupportedError for a device without place and route, InputError for a design too
    large for the device.
    """
    from hwprm.config import SiliconConfig
    from hwprm.core.progress import without_numbers
    from hwprm.targets import place_and_route

    return place_and_route(_folder(bundle), SiliconConfig.given(config), without_numbers(progress))


def _bundle(source: Network | IntegerNetwork | Bundle) -> Bundle | None:
    """The bundle that `source` is, or is the folder of."""
    from hwprm.bundle import Bundle
    from hwprm.sources import holds

    if isinstance(source, Bundle):
        return source
    return Bundle.load(Path(str(source))) if holds(source) == "bundle" else None


def _folder(bundle: Bundle | Path | str) -> Path:
    from hwprm.bundle import Bundle

    return bundle.folder if isinstance(bundle, Bundle) else Path(bundle)


def _integers(
    source: Network | IntegerNetwork, data: Data, config: QuantizeConfig | None, name: str | None = None
) -> IntegerNetwork:
    """`source` as integers; where it is quantised here, with both references compared on `CROSSCHECKED` images."""
    from hwprm.bundle import Bundle
    from hwprm.config import QuantizeConfig
    from hwprm.intnet import IntegerNetwork, quantize_images
    from hwprm.sources import as_dataset, as_network, holds

    config = QuantizeConfig.given(config)
    if isinstance(source, IntegerNetwork | Bundle) or holds(source) in ("network", "bundle"):
        return as_network(source, data, config, name)
    from hwprm.graph import plain
    from hwprm.quantization import crosscheck  # needs torch, which integers do without

    dataset = as_dataset(data)
    net = as_network(source, dataset, config, name)
    images = quantize_images(plain(dataset.x_train)[:CROSSCHECKED], dataset.input_scale, net)
    crosscheck(net, images)
    return replace(net, crosschecked=len(images))

"""Float graph to `IntegerNetwork`: scales, integer weights, integer biases, requantisation. See docs/numerics.md."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwprm.config.options import nearest
from hwprm.config.quantize import QuantizeConfig
from hwprm.core.errors import ConfigError
from hwprm.core.numerics import (
    WIDE_BITS,
    choose_multiplier,
    filter_bounds,
    integer_range,
    product_bounds,
    quantize,
    signed_range,
)
from hwprm.graph import Batch, Graph, Scale, by_input
from hwprm.intnet import Gate, GemmLayer, IntegerNetwork, Residual, Tensor, Term, real_images
from hwprm.intnet.regions import meeting_terms
from hwprm.quantization.calibrate import codes_of
from hwprm.quantization.calibration import Calibration, InputFacts, calibrated
from hwprm.quantization.compensation import compensated, lost_mean
from hwprm.quantization.given import Given
from hwprm.quantization.grids import found_steps
from hwprm.quantization.lowering.averages import common_multiple, divided_weights
from hwprm.quantization.lowering.fused import FusedLayer, FusedNetwork
from hwprm.quantization.lowering.lower import lower
from hwprm.quantization.lowering.views import FusedTerm
from hwprm.quantization.moments import Moments, input_moments
from hwprm.quantization.residuals import silent_step, too_coarse, whole_steps
from hwprm.quantization.tables import tabulated, told_range

__all__ = ["Quantiser", "check_layer_bits", "moments_of", "quantize_network"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Pair = tuple[int, int]

#: Largest requantisation factor asked for; an output step far below an accumulator step would hold no information.
FACTOR_MAX = 256.0
#: Bits that a bias may take at most, so that a filter of vanishing weights cannot widen every accumulator.
BIAS_BITS_MAX = 40


def quantize_network(
    graph: Graph,
    calibration_images: Batch,
    input_scale: Scale,
    config: QuantizeConfig | None = None,
    *,
    name: str = "network",
    known: Calibration | None = None,
) -> IntegerNetwork:
    """The integer network of `graph`, batch norms folded, with activation scales from the calibration images.

    `calibration_images` are stored images ``(n, C, H, W)`` (or vectors ``(n, K)``), for several inputs by name, whose
    real value is ``x * input_scale``; the first `config.images` are used. What `known` says is not calibrated: it is
    what the weights were trained with. Raises ModelError when an accumulator needs more than 46 bits or nothing is left
    to compute, DataError for unusable images, UnsupportedError as `lower` does, ConfigError for bits of a layer that
    the network has not.
    """
    config = config or QuantizeConfig()
    separate = set(known.separate) if known else set()
    while True:
        fused = lower(graph, separate=separate)
        check_layer_bits(fused, config)
        calibration = calibrated(fused, calibration_images, input_scale, config, known)
        given = Given.of(graph, fused, config.act_bits)
        moments = moments_of(fused, calibration_images, input_scale, config)
        quantiser = Quantiser(fused, calibration, config, given, moments)
        layers = tuple(quantiser.layer(layer) for layer in fused.layers)
        if not quantiser.too_coarse:
            return quantiser.network(name, layers)
        separate |= quantiser.too_coarse


def check_layer_bits(fused: FusedNetwork, config: QuantizeConfig) -> None:
    """Raise ConfigError unless every layer that `config` names is one of `fused`."""
    known = [layer.name for layer in fused.layers]
    for name in config.layer_bits or {}:
        if name not in known:
            raise ConfigError(
                f"quantize.layer_bits names {name!r}{nearest(name, known)}, which is no layer of this network; its "
                f"layers are {', '.join(known)}"
            )


def moments_of(
    fused: FusedNetwork, images: Batch, input_scale: Scale, config: QuantizeConfig
) -> dict[str, tuple[Moments, ...]] | None:
    """What compensated rounding of `fused` goes by, for stored calibration `images`; None where none is asked for."""
    if config.rounding == "nearest":
        return None
    first = {name: x[: config.images] for name, x in by_input(images, fused.inputs).items()}
    return input_moments(fused, real_images(first, input_scale, {name: fused.shapes[name] for name in fused.inputs}))


class Quantiser:
    """Walks the fused layers and keeps the tensors made so far."""

    def __init__(
        self,
        fused: FusedNetwork,
        calibration: Calibration,
        config: QuantizeConfig,
        given: Given | None = None,
        moments: Mapping[str, tuple[Moments, ...]] | None = None,
    ) -> None:
        self.fused = fused
        self.given = given or Given()
        #: Of the inputs of layers whose rounding is compensated.
        self.moments = moments or {}
        self.ranges = calibration.ranges
        self.config = config
        self.tensors = {name: self._input(name, calibration.inputs[name]) for name in fused.inputs}
        #: (low, high) of every tensor's integers.
        self.limits = {name: self.tensors[name].limits for name in fused.inputs}
        #: Real value of one accumulator step of each filter ``(M,)``, by layer.
        self.acc_scales: dict[str, FloatArray] = {}
        #: Smallest and largest sum of any filter at any moment, by layer: without its residual, and with it.
        self.reach: dict[str, tuple[Pair, Pair]] = {}
        #: Sums that must not join the layer of an operand, whose accumulators are too coarse.
        self.too_coarse: set[str] = set()

    def network(self, name: str, layers: tuple[GemmLayer, ...]) -> IntegerNetwork:
        """The network of the `layers` made so far, which are all."""
        return IntegerNetwork(
            name=name,
            tensors=tuple(self.tensors.values()),
            layers=layers,
            inputs=self.fused.inputs,
            outputs=self.fused.outputs,
            weight_bits=self.config.weight_bits,
            act_bits=self.config.act_bits,
        )

    def _input(self, name: str, facts: InputFacts) -> Tensor:
        """An input whose range fills its integers; as it is where it is stored in unsigned integers of as many bits."""
        bits = self.config.act_bits
        if name in self.given.steps:
            step, signed = self.given.steps[name], self.given.signed[name]
            return Tensor(name=name, shape=self.fused.shapes[name], bits=bits, scale=step, signed=signed)
        as_it_is = facts.stored_bits == bits and not facts.signed
        scale = facts.step if as_it_is else self.ranges[name] / integer_range(bits, facts.signed)[1]
        return Tensor(name=name, shape=self.fused.shapes[name], bits=bits, scale=scale, signed=facts.signed)

    def layer(self, layer: FusedLayer) -> GemmLayer:
        """The integer layer of `layer`, whose sources have been made."""
        wide = layer.name in self.fused.outputs
        weights, acc_scales = self._weights(layer)
        bias = quantize(
            layer.bias + self._lost(layer, weights, acc_scales), acc_scales, *signed_range(BIAS_BITS_MAX + 1)
        )
        residual = self._residual(layer, acc_scales)
        low, high = self._reach(layer, weights, bias, residual)
        bits = WIDE_BITS if wide else self.config.act_bits
        signed = wide or not _never_negative(layer, low)
        if layer.identity and layer.name not in self.given.steps and layer.name not in self.given.codes:
            out_scale = float(acc_scales[0])
        elif wide:
            out_scale = _wide_scale(low, high, acc_scales)
        else:
            out_scale = self._scale(layer, acc_scales, integer_range(bits, signed)[1])
        factors = [choose_multiplier(float(scale / out_scale)) for scale in acc_scales]
        shape = self.fused.shapes[layer.name]
        tensor = Tensor(name=layer.name, shape=shape, bits=bits, scale=out_scale, signed=signed)
        clamp, table = _clamp(layer, tensor), None
        if layer.functions:
            largest, step = self.ranges[layer.name], self.given.steps.get(layer.name)
            tensor, table = tabulated(layer, tensor, clamp, largest, step)
        made = GemmLayer(
            name=layer.name,
            terms=tuple(_integer_term(term, weight) for term, weight in zip(layer.terms, weights, strict=True)),
            bias=bias,
            mult=np.array([mult for mult, _ in factors], np.int64),
            shift=np.array([shift for _, shift in factors], np.int64),
            clamp=clamp,
            pool=layer.pool,
            residual=residual,
            wide=wide,
            upsample=layer.upsample,
            table=table,
        )
        self.tensors[layer.name], self.limits[layer.name] = tensor, made.limits
        self.acc_scales[layer.name] = acc_scales
        return made

    def _residual(self, layer: FusedLayer, acc_scales: FloatArray) -> Residual | None:
        if layer.residual is None:
            return None
        source, channel = layer.residual.source, np.array(layer.residual.channels, np.int64)
        if layer.residual.gate:
            by = layer.residual.gate
            gate = Gate(source=by.source, channel=np.array(by.channels, np.int64))
            return Residual(source=source, channel=channel, mult=np.ones_like(channel), gate=gate)
        mult = np.rint(self.tensors[source].scale / acc_scales).astype(np.int64)
        return Residual(source=source, channel=channel, mult=mult)

    def _weights(self, layer: FusedLayer) -> tuple[list[IntArray], FloatArray]:
        """Integer weights of each term, and the real value of one accumulator step of each filter ``(M,)``."""
        x_scales = [self.tensors[term.source].scale for term in layer.terms]
        config = self.config.of_layer(layer.name)
        limit = signed_range(config.weight_bits)[1]
        if layer.divisors:
            multiple = common_multiple(layer.divisors, limit)
            weights = [divided_weights(term.weight, multiple) for term in layer.terms]
            return weights, np.full(len(layer.bias), x_scales[0] / multiple)
        if layer.residual and layer.residual.gate:  # a step of the product is one of the sums, and there are no weights
            step = self.tensors[layer.residual.source].scale * self.tensors[layer.residual.gate.source].scale
            return [np.zeros(term.weight.shape, np.int64) for term in layer.terms], np.full(len(layer.bias), step)
        # The largest scale is the reference; a silent term has no say, so that compacting it away changes nothing.
        heard = [scale for term, scale in zip(layer.terms, x_scales, strict=True) if term.weight.any()]
        reference = max(heard or x_scales)
        real = [term.weight * (scale / reference) for term, scale in zip(layer.terms, x_scales, strict=True)]
        rows = np.concatenate([weight.reshape(len(weight), -1) for weight in real], axis=1)
        if layer.residual is None:
            scales = weight_scales(rows, layer.bias, reference, config)
        else:
            added, bits = self.tensors[layer.residual.source].scale / reference, config.act_bits
            scales = weight_scales(rows, layer.bias, reference, config, added * silent_step(bits))
            if too_coarse(added, scales) or (self.given.quantised and np.isfinite(found_steps(rows, limit)).any()):
                self.too_coarse.add(layer.residual.sum)
            scales = added / whole_steps(added, scales, bits)
        lowest = -limit
        if self.given.quantised and layer.residual is None:
            steps = found_steps(rows, limit)
            scales, lowest = np.where(np.isfinite(steps), steps, scales), -limit - 1
        elif layer.name in self.moments:
            of_terms = zip(real, self.moments[layer.name], strict=True)
            return [compensated(weight, scales, limit, moments) for weight, moments in of_terms], reference * scales
        return [quantize(weight, scales.reshape(-1, 1, 1, 1), lowest, limit) for weight in real], reference * scales

    def _lost(self, layer: FusedLayer, weights: list[IntArray], acc_scales: FloatArray) -> FloatArray:
        """What the sums of each filter ``(M,)`` lose on average by compensated rounding; none by any other."""
        lost = np.zeros(len(layer.bias))
        if layer.name not in self.moments:
            return lost
        for term, weight, moments in zip(layer.terms, weights, self.moments[layer.name], strict=True):
            lost += lost_mean(term.weight, weight, acc_scales / self.tensors[term.source].scale, moments)
        return lost

    def _scale(self, layer: FusedLayer, acc_scales: FloatArray, highest: int) -> float:
        """Output scale of an inner layer, of its codes where it has a table: its calibrated range fills the positive
        integers, up to `highest`.
        """
        largest = float(acc_scales.max())
        given = self.given.codes if layer.functions else self.given.steps
        if layer.name in given:
            return max(given[layer.name], largest / FACTOR_MAX)
        wanted = self.ranges[layer.name]
        if layer.functions:
            wanted = told_range(layer.functions, self.ranges[codes_of(layer.name)], wanted / highest)
        if wanted == 0:  # silent on every calibration image: keep the accumulator's step
            return largest
        return max(wanted / highest, largest / FACTOR_MAX)

    def _reach(
        self, layer: FusedLayer, weights: list[IntArray], bias: IntArray, residual: Residual | None
    ) -> tuple[IntArray, IntArray]:
        """Smallest and largest sum of every filter ``(M,)`` at any moment, bias and residual included."""
        parts = []
        for term, weight in zip(layer.terms, weights, strict=True):
            x_low, x_high = self.limits[term.source]
            parts.append(filter_bounds(weight.reshape(len(bias), -1), min(x_low, 0), max(x_high, 0)))
        together = [np.array(group, np.int64) for group in meeting_terms([term.region for term in layer.terms])]
        low, high = (np.stack(side) for side in zip(*parts, strict=True))
        low = np.min([low[group].sum(axis=0) for group in together], axis=0) + np.minimum(bias, 0)
        high = np.max([high[group].sum(axis=0) for group in together], axis=0) + np.maximum(bias, 0)
        alone = int(low.min()), int(high.max())
        if residual:
            x_low, x_high = product_bounds(self.limits[name] for name in residual.sources)
            low, high = low + residual.mult * x_low, high + residual.mult * x_high
        self.reach[layer.name] = alone, (int(low.min()), int(high.max()))
        return low, high


def _wide_scale(low: IntArray, high: IntArray, acc_scales: FloatArray) -> float:
    """One scale for all filters of an output, whose sums reach from `low` to `high` ``(M,)``: no factor is above 1, and
    no word ever saturates.
    """
    worst = float((acc_scales * np.maximum(-low, high)).max())
    # The multiplier's own rounding (2**-16) and the final one must not push the worst case over the edge.
    room = (signed_range(WIDE_BITS)[1] - 1) / (1 + 2.0**-15)
    return max(float(acc_scales.max()), worst / room)


def _integer_term(term: FusedTerm, weight: IntArray) -> Term:
    return Term(
        source=term.source,
        weight=weight,
        stride=term.stride,
        padding=term.padding,
        dilation=term.dilation,
        groups=term.groups,
        region=term.region,
    )


def _never_negative(layer: FusedLayer, lowest: IntArray) -> bool:
    """Whether a layer whose sums do not fall below `lowest` ``(M,)`` makes nothing negative: its tensor is unsigned."""
    if layer.low is not None and layer.low >= 0:
        return True
    return bool((lowest >= 0).all()) and (layer.high is None or layer.high >= 0)


def _clamp(layer: FusedLayer, tensor: Tensor) -> tuple[int, int]:
    """The integers between which a layer's results lie: its clamp, cut to what its `tensor` holds."""
    ends = tensor.limits
    low = ends[0] if layer.low is None else int(quantize(layer.low, tensor.scale, *ends))
    high = ends[1] if layer.high is None else int(quantize(layer.high, tensor.scale, *ends))
    return low, high


def weight_scales(
    weight: FloatArray, bias: FloatArray, x_scale: float, config: QuantizeConfig, silent: float = 1.0
) -> FloatArray:
    """Real value of one weight step of each filter, ``(M,)``: its largest weight becomes the largest integer.

    weight ``(M, K)`` holds all terms, for activations of step `x_scale`; bias ``(M,)``.
    A filter of zeros takes the largest step of its layer, `silent` where all are zeros. A filter whose bias would need
    too many accumulator bits gets a coarser step: coarse enough for the bias, yet so fine that the rounding of all its
    weights together stays far below one output step.
    """
    rows = np.abs(weight)
    scales = rows.max(axis=1) / signed_range(config.weight_bits)[1]
    scales[scales == 0] = scales.max()
    # Counted without zeros, so that compacting zero columns away changes no scale.
    bias_bits = 2 * config.act_bits + 1 + np.ceil(np.log2(np.count_nonzero(rows, axis=1) + 1))
    scales = np.maximum(scales, np.abs(bias) / (x_scale * 2.0 ** np.minimum(bias_bits, BIAS_BITS_MAX)))
    # Below the smallest normal float a step has no precision left: treat such a filter as zero.
    usable = scales >= np.finfo(np.float64).tiny * 2.0**64
    benign = float(scales[usable].max()) if usable.any() else silent
    result: FloatArray = np.where(usable, scales, benign)
    return result

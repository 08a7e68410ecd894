"""`IntegerModule`: a float network that computes what its integer network does, and is trained through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwprm.config.quantize import QuantizeConfig
from hwprm.core.errors import ModelError
from hwprm.core.numerics import integer_range
from hwprm.graph import WEIGHTED, Batch, BatchNorm, Graph, Scale
from hwprm.intnet import GemmLayer
from hwprm.nets import GraphModule
from hwprm.quantization.aware.places import Places, find_places
from hwprm.quantization.aware.straight import EXACT, Facts, instead, run_layer
from hwprm.quantization.calibration import Calibration, Trained, calibrated
from hwprm.quantization.lowering.fused import FusedLayer
from hwprm.quantization.lowering.lower import prepared
from hwprm.quantization.network import Quantiser, check_layer_bits, moments_of

__all__ = ["IntegerModule"]

FloatArray = NDArray[np.float64]
Ranges = Literal["fixed", "learned"]
#: No range that is learned well is that far from the calibrated one, as a logarithm.
FAR = 7.0


class IntegerModule(GraphModule):
    """`graph`, batch norms folded, with float parameters; ``forward`` gives what the integers of now mean.

    Before every pass the integer network of the parameters of now is made by `Quantiser`, as `quantize_network` makes
    it: no rounding is written here. Ranges are those of the calibration `images`; ``learned`` ones are parameters, as
    the logarithm of how often they are the calibrated one (Esser et al., arXiv 1902.08153, in another scale). Raises
    what `quantize_network` raises, UnsupportedError for layers that add up weights.
    """

    def __init__(
        self, graph: Graph, images: Batch, input_scale: Scale, config: QuantizeConfig, ranges: Ranges = "fixed"
    ) -> None:
        super().__init__(_trainable(graph))
        self.config, self.images, self.input_scale = config, images, input_scale
        self.named = [node.name for node in self.graph.nodes if isinstance(node, WEIGHTED)]
        self._fuse(None)
        check_layer_bits(self.fused, config)
        shared = [layer.name for layer in self.fused.layers if ranges == "learned" and self._learns(layer)]
        #: Logarithms of the learned ranges by the calibrated ones, in the order of `learned`.
        self.learned = shared
        if shared:
            self.swings = nn.Parameter(torch.zeros(len(shared)))

    def forward(self, *images: Tensor) -> Tensor | tuple[Tensor, ...]:
        made, scales = self._run(images)
        shapes = [self.graph.shapes[name] for name in self.graph.outputs]
        returned = [(made[name] * scales[name]).to(images[0].dtype) for name in self.fused.returned]
        found = tuple(out.reshape(len(out), *shape) for out, shape in zip(returned, shapes, strict=True))
        return found[0] if len(found) == 1 else found

    def integers(self, *images: Tensor) -> dict[str, NDArray[np.int64]]:
        """Every tensor's integers ``(n, C, H, W)`` for real `images` of each input."""
        with torch.no_grad():
            made, _ = self._run(images)
        return {name: value.to(torch.int64).cpu().numpy() for name, value in made.items()}

    def compensate(self) -> None:
        """Weights and biases become what compensated rounding makes of them (`hwprm.quantization.compensation`)."""
        filled = replace(self.fused, layers=self._filled())
        moments = moments_of(filled, self.images, self.input_scale, self.config)
        quantiser = Quantiser(filled, self._calibration(), self.config, moments=moments)
        parameters = self._weights()
        vector = np.concatenate([np.zeros(1, np.float32), *(p.detach().cpu().numpy().ravel() for p in parameters)])
        for layer, places in zip(filled.layers, self.places, strict=True):
            made = quantiser.layer(layer)
            steps = quantiser.acc_scales[layer.name]
            for term, at in zip(made.terms, places.terms, strict=True):
                per_unit = steps / quantiser.tensors[term.source].scale
                at.fill(vector, term.weight * per_unit.reshape(-1, 1, 1, 1))
            places.bias.fill(vector, made.bias * steps)
        with torch.no_grad():
            parts = np.split(vector[1:], np.cumsum([p.numel() for p in parameters])[:-1])
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.copy_(torch.from_numpy(part).reshape(parameter.shape))

    @property
    def trained(self) -> Trained:
        """What the history of the model keeps, so that it is quantised as it was trained."""
        self._quantised()  # the last step may have parted a sum
        return Trained(
            weight_bits=self.config.weight_bits,
            act_bits=self.config.act_bits,
            layer_bits=dict(self.config.layer_bits or {}),
            calibration=self._calibration(),
        )

    def _fuse(self, known: Calibration | None) -> None:
        self.fused, self.places = find_places(self.graph, self.named, known.separate if known else ())
        filled = replace(self.fused, layers=self._filled())
        self.calibration = calibrated(filled, self.images, self.input_scale, self.config, known)

    def _learns(self, layer: FusedLayer) -> bool:
        fixed = layer.identity or layer.functions or layer.name in self.fused.outputs
        return not fixed and self.calibration.ranges[layer.name] > 0

    def _calibration(self) -> Calibration:
        if not self.learned:
            return self.calibration
        swings = self.swings.detach().cpu().numpy().astype(np.float64)
        for name, swing in zip(self.learned, swings, strict=True):
            if not abs(swing) <= FAR:
                raise ModelError(
                    f"qat: training diverges, the range of {name!r} is e^{swing:.1f} times the calibrated one; lower "
                    "the learning rate qat.lr or set qat.ranges to fixed"
                )
        factors = np.exp(swings)
        own = {
            name: self.calibration.ranges[name] * float(factor)
            for name, factor in zip(self.learned, factors, strict=True)
        }
        return replace(self.calibration, ranges={**self.calibration.ranges, **own})

    def _quantised(self) -> tuple[Quantiser, dict[str, GemmLayer]]:
        """The integer layers of the parameters of now."""
        while True:
            quantiser = Quantiser(self.fused, self._calibration(), self.config)
            layers = {layer.name: quantiser.layer(layer) for layer in self._filled()}
            if not quantiser.too_coarse:
                return quantiser, layers
            # As weights shrink, a sum may no longer join: from then on it is a layer of its own.
            apart = self.calibration.separate | quantiser.too_coarse
            self._fuse(replace(self.calibration, separate=apart))

    def _filled(self) -> tuple[FusedLayer, ...]:
        """The fused layers with the parameters of now."""
        vector = np.concatenate([np.zeros(1), *(p.detach().cpu().numpy().ravel() for p in self._weights())])
        if not np.isfinite(vector).all():
            raise ModelError("qat: training diverged, a weight is not finite; lower the learning rate qat.lr")
        pairs = zip(self.fused.layers, self.places, strict=True)
        return tuple(places.filled(layer, vector) for layer, places in pairs)

    def _weights(self) -> list[nn.Parameter]:
        """The parameters in the order of `Places`."""
        return [parameter for name in self.named for parameter in (self.weight(name), self.bias(name))]

    def _run(self, images: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], dict[str, float]]:
        quantiser, layers = self._quantised()
        device = images[0].device
        vector = torch.cat([torch.zeros(1, device=device), *(p.flatten() for p in self._weights())])
        tensors = {name: self._input(quantiser, name, x) for name, x in zip(self.fused.inputs, images, strict=True)}
        swings = dict(zip(self.learned, self.swings, strict=True)) if self.learned else {}
        for fused, places in zip(self.fused.layers, self.places, strict=True):
            layer = layers[fused.name]
            steps = quantiser.acc_scales[fused.name]
            weights = [
                _rounded(p, term.weight, vector, quantiser.tensors[term.source].scale / steps)
                for p, term in zip(places.terms, layer.terms, strict=True)
            ]
            bias = _rounded(places.bias, layer.bias, vector, 1 / steps)
            facts = self._facts(quantiser, layer, (weights, bias), swings.get(fused.name))
            tensors[fused.name] = run_layer(layer, fused, facts, tensors)
        return tensors, {name: tensor.scale for name, tensor in quantiser.tensors.items()}

    def _facts(
        self, quantiser: Quantiser, layer: GemmLayer, made: tuple[list[Tensor], Tensor], swing: Tensor | None
    ) -> Facts:
        weights, bias = made
        alone, reach = quantiser.reach[layer.name]
        factor = layer.mult / np.exp2(layer.shift.astype(np.float64))
        step = float((quantiser.acc_scales[layer.name] / np.where(factor > 0, factor, 1)).max())
        return Facts(
            weights=weights,
            bias=bias,
            step=step,
            result=quantiser.tensors[layer.name].scale,
            factor=torch.from_numpy(factor).to(bias.device),
            sums=_exact(alone, bias.device),
            total=_exact(reach, bias.device),
            swing=None if swing is None else torch.exp(swing - swing.detach()),
        )

    def _input(self, quantiser: Quantiser, name: str, x: Tensor) -> Tensor:
        """Integers of real images: in float64, and of stored integers those that they were."""
        tensor, facts = quantiser.tensors[name], self.calibration.inputs[name]
        real = x.detach().double()
        if facts.stored_bits is not None:  # float32 may have lost what decides a tie
            stored = real / facts.step
            near = stored.round()
            real = torch.where((stored - near).abs() <= 1e-6 * near.clamp(min=1), near, stored) * facts.step
        codes = torch.floor(real / tensor.scale + 0.5).clamp(*integer_range(tensor.bits, tensor.signed))
        return codes.float().reshape(len(x), *tensor.shape)


def _trainable(graph: Graph) -> Graph:
    """`graph` prepared, in float32, with fixed batch norms where some are left."""
    changed = []
    for node in prepared(graph).nodes:
        if isinstance(node, WEIGHTED):
            arrays: Mapping[str, NDArray[np.float32]] = {
                key: np.asarray(getattr(node, key), np.float32) for key in ("weight", "bias")
            }
            node = replace(node, **arrays)  # type: ignore[arg-type]  # both are fields
        elif isinstance(node, BatchNorm):
            node = replace(node, fixed=True)
        changed.append(node)
    return Graph(tuple(changed), prepared(graph).outputs)


def _rounded(places: Places, whole: NDArray[np.int64], vector: Tensor, per_unit: FloatArray) -> Tensor:
    """The integers `whole`, whose gradient reaches the weights of `vector` that stand there, ``per_unit`` each ``(M,)``
    of a filter.
    """
    exact = torch.from_numpy(whole.astype(np.float64)).to(vector.device)
    if not places.trained:
        return exact
    first, count = int(places.index.flat[0]), places.index.size
    if first and (places.index.ravel() == np.arange(first, first + count)).all():  # as it stands in the network
        real = vector[first : first + count].reshape(places.index.shape)
    else:
        real = vector[torch.from_numpy(places.index).to(vector.device)]
    factors = torch.from_numpy(per_unit).to(vector.device, vector.dtype)
    return instead(real * factors.reshape(-1, *(1,) * (whole.ndim - 1)), exact)


def _exact(reach: tuple[int, int], device: torch.device) -> torch.dtype:
    small = reach[0] >= -EXACT and reach[1] <= EXACT
    return torch.float32 if small and device.type == "cpu" else torch.float64

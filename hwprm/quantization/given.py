"""Steps of activations that a quantised model gives (`Rounded`): what they become, and what of them says nothing new.
numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwprm.core.errors import ConfigError
from hwprm.core.numerics import integer_range
from hwprm.graph import Graph, Pointwise, Rounded
from hwprm.quantization.lowering.fused import FusedNetwork
from hwprm.quantization.lowering.given import input_steps

__all__ = ["Given"]


@dataclass(frozen=True, kw_only=True)
class Given:
    """Steps that are not calibrated, by the names of inputs and layers, and those of codes in front of tables."""

    steps: Mapping[str, float] = field(default_factory=dict)
    codes: Mapping[str, float] = field(default_factory=dict)
    #: Whether the integers of an input fall below 0, by name.
    signed: Mapping[str, bool] = field(default_factory=dict)
    #: Whether the model is quantised, so that its weights may be whole multiples of a step.
    quantised: bool = False

    @classmethod
    def of(cls, graph: Graph, fused: FusedNetwork, act_bits: int) -> Given:
        """What `graph`, of which `fused` was made, says. Raises ConfigError for integers that need other bits."""
        rounded = [node for node in graph.nodes if isinstance(node, Rounded)]
        _check(rounded, act_bits)
        inputs = input_steps(graph)
        steps = {name: node.step for name, node in inputs.items()}
        codes: dict[str, float] = {}
        functions = {layer.name for layer in fused.layers if layer.functions}
        seen: set[str] = set()
        for node in graph.nodes:
            layer = fused.tensor_of.get(node.name, "")
            if isinstance(node, Pointwise):
                seen.add(layer)
            elif isinstance(node, Rounded) and layer and layer not in fused.inputs:
                (codes if layer in functions - seen else steps)[layer] = node.step
        signed = {name: node.low < 0 for name, node in inputs.items()}
        return cls(steps=steps, codes=codes, signed=signed, quantised=bool(rounded))


def _check(rounded: list[Rounded], act_bits: int) -> None:
    """Raise ConfigError unless the integers of all fit `act_bits` bits, signed or not."""
    wide: list[tuple[Rounded, int]] = []
    for node in rounded:
        bits = _bits(node)
        if bits > act_bits:
            wide.append((node, bits))
    if not wide:
        return
    most = max(bits for _, bits in wide)
    shown = ", ".join(f"{node.name} ({node.low} .. {node.high})" for node, _ in wide[:4])
    more = f" and {len(wide) - 4} others" if len(wide) > 4 else ""
    raise ConfigError(
        f"the model is quantised to integers that do not fit {act_bits} bits once their zero points are taken off: "
        f"{shown}{more}; keep them exactly with quantize.act_bits = {most}, or quantise the model with "
        "symmetric activations (onnxruntime: extra_options={'ActivationSymmetric': True})"
    )


def _bits(node: Rounded) -> int:
    """The fewest bits that hold the integers of `node`."""
    return next(
        bits
        for bits in range(1, 64)
        if integer_range(bits, node.low < 0)[0] <= node.low and node.high <= integer_range(bits, node.low < 0)[1]
    )

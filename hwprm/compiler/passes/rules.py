"""What every pass must leave as it was, checked after each: a table of rules.

That the network made is a network at all (ranges, shapes, accumulators) its constructor checks
(`hwprm.intnet.checks`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwprm.compiler.passes.rewritten import Rewritten
from hwprm.core.errors import PassError
from hwprm.intnet import IntegerNetwork

__all__ = ["RULES", "check_rules"]


def same_ends(before: IntegerNetwork, after: Rewritten) -> str:
    """Inputs and outputs keep name, order, shape, width and scale, and all channels their number."""
    net = after.network
    if (net.inputs, net.outputs) != (before.inputs, before.outputs):
        return f"inputs and outputs are {net.inputs} -> {net.outputs}, they were {before.inputs} -> {before.outputs}"
    for name in (*before.inputs, *before.outputs):
        if net.tensor[name] != before.tensor[name]:
            return f"{name!r} is {net.tensor[name]}, it was {before.tensor[name]}"
        if after.kept.get(name) != tuple(range(before.tensor[name].shape[0])):
            return f"the channels of {name!r} have moved; the host counts on their order"
    return ""


def same_widths(before: IntegerNetwork, after: Rewritten) -> str:
    """Weights and activations keep their bits."""
    widths = [(net.weight_bits, net.act_bits) for net in (before, after.network)]
    return "" if widths[0] == widths[1] else f"weight and activation bits are {widths[1]}, they were {widths[0]}"


def honest_map(before: IntegerNetwork, after: Rewritten) -> str:
    """The map names each tensor that is left, and for each of its channels another one that there was."""
    net = after.network
    left = {name for name in net.tensor if name in before.tensor}
    if after.kept.keys() != left:
        return f"the map names {sorted(after.kept)}, left are {sorted(left)}"
    for name, numbers in after.kept.items():
        if len(numbers) != net.tensor[name].shape[0]:
            return f"the map names {len(numbers)} channels of {name!r}, which has {net.tensor[name].shape[0]}"
        if len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(before.tensor[name].shape[0])):
            return f"the map's channels of {name!r} repeat, or are none of its {before.tensor[name].shape[0]}"
    return ""


def same_tensors(before: IntegerNetwork, after: Rewritten) -> str:
    """Tensors that are left keep height, width, bits, scale and sign, and layers their order."""
    for name in after.kept:
        one, other = before.tensor[name], after.network.tensor[name]
        if replace(one, shape=other.shape) != other or one.shape[1:] != other.shape[1:]:
            return f"{name!r} is {other}, it was {one}"
    order = [layer.name for layer in after.network.layers if layer.name in before.tensor]
    if order != [layer.name for layer in before.layers if layer.name in after.network.tensor]:
        return f"layers changed places: {', '.join(order)}"
    return ""


#: Each says what is wrong, or nothing.
RULES: tuple[Callable[[IntegerNetwork, Rewritten], str], ...] = (same_widths, honest_map, same_ends, same_tensors)


def check_rules(name: str, before: IntegerNetwork, after: Rewritten) -> None:
    """Raise PassError for the pass called `name` at the first of `RULES` that it broke."""
    for rule in RULES:
        if broken := rule(before, after):
            raise PassError(name, f"broke the rule {rule.__name__}: {broken}")

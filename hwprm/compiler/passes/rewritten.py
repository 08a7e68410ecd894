"""What a pass of the compiler is, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork

__all__ = ["KeptChannels", "Pass", "Rewritten", "all_channels", "as_it_is"]

#: For each tensor of a network that is left: the numbers its channels had before, in the order they have now.
KeptChannels = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rewritten:
    """A network that a pass made from another, and where its channels come from.

    On the channels that `kept` names every tensor is equal to the same tensor before, integer for integer, whatever
    the images. Tensors that the pass added are not in it. A pass that changes nothing returns the network itself.
    """

    network: IntegerNetwork
    kept: KeptChannels


#: A pass reads a network, and the array that it is for, and nothing else.
Pass = Callable[[IntegerNetwork, ArrayConfig], Rewritten]


def all_channels(net: IntegerNetwork) -> dict[str, tuple[int, ...]]:
    """Every channel of every tensor of `net`, in order."""
    return {tensor.name: tuple(range(tensor.shape[0])) for tensor in net.tensors}


def as_it_is(net: IntegerNetwork) -> Rewritten:
    """`net` unchanged."""
    return Rewritten(network=net, kept=all_channels(net))

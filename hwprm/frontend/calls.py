"""The calls of an exported program, as the operators' files see them; see `hwprm.graph.rules.imports`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hwprm.frontend.places import Place, index_of, read, vector
from hwprm.frontend.values import Activation, Value, as_array
from hwprm.frontend.walk import Handler, Walk, shape_of
from hwprm.graph import OPERATORS, Node
from hwprm.graph.rules.arrays import FloatArray, IntArray, Shape
from hwprm.graph.rules.imports import Import, Make, RefusalError, Source

__all__ = ["imported"]


def imported() -> Iterator[tuple[Import, Handler]]:
    """What the operators say how they are recognised, each with a handler of its calls."""
    for kind in OPERATORS.values():
        for entry in kind.imports():
            yield entry, _handler(entry.make)


def _handler(make: Make) -> Handler:
    def handler(walk: Walk, node: torch.fx.Node, args: Mapping[str, Any]) -> Value:
        made: Value = make(_Call(walk, node, args))
        return made

    return handler


class _Call:
    """A `Call` of `node` with the arguments `args`, met on `walk`."""

    def __init__(self, walk: Walk, node: torch.fx.Node, args: Mapping[str, Any]) -> None:
        self.walk = walk
        self.node = node
        self.args = args

    @property
    def target(self) -> str:
        return str(self.node.target)

    @property
    def made(self) -> Shape:
        return shape_of(self.node)

    def shape(self, key: str) -> Shape:
        return shape_of(self.args[key])

    def source(self, key: str, *, padded: bool = False, last: bool = False) -> Source:
        node = self.args[key]
        if not last:
            return self.walk.place(node, padded=padded)
        value, shape = self.walk.activation(node), self.shape(key)[1:]
        index = np.moveaxis(index_of(self.walk.draft, value, shape), -1, 0)
        base = self.walk.draft.shapes[value.name]
        pixels = math.prod(base[1:])
        channels, places = np.divmod(index.reshape(len(index), -1) - 1, pixels)
        # The same pixels of each channel, all of them: whoever treats all pixels alike leaves them where they are.
        alike = (channels == channels[:, :1]).all() and (places == places[:1]).all()
        if len(base) == 3 and index.all() and alike and np.array_equal(np.sort(places[0]), np.arange(pixels)):
            order = (channels[:, :1] * pixels + np.arange(1, pixels + 1)).reshape(-1, *base[1:])
            chosen = Activation(name=value.name, index=order, view=(self.node.name, self.target))
            return _Pixels(
                name=read(self.walk.draft, chosen, order.shape).name, pixels=places[0].reshape(index.shape[1:])
            )
        whole = Activation(name=value.name, index=index, view=(self.node.name, self.target))
        place = read(self.walk.draft, whole, index.shape)
        if any(place.padding):
            raise RefusalError("it reads a zero-padded map", "pad directly before a conv2d")
        return _Pixels(name=place.name, pixels=np.arange(math.prod(index.shape[1:])).reshape(index.shape[1:]))

    def samples(self, key: str, *, zeros: bool) -> Source:
        value = self.walk.activation(self.args[key])
        if not zeros and value.index is not None and not value.index.all():
            return self.source(key)
        return _Samples(name=value.name, value=value)

    def entries(self, key: str) -> tuple[str, IntArray | None]:
        return vector(self.walk.draft, self.walk.activation(self.args[key]), self.shape(key)[1:])

    def constant(self, key: str, what: str) -> FloatArray:
        return as_array(self.walk.constant(self.args[key], what))

    def size(self, name: str) -> int:
        return math.prod(self.walk.draft.shapes[name])

    def never_negative(self, name: str) -> bool:
        return self.walk.draft.never_negative(name)

    def name(self, owned: str | None = None) -> str:
        if owned is None:
            return self.walk.plain_name(self.node)
        return self.walk.layer_name(self.node, self.args[owned])

    def add(self, node: Node, *, like: Source | None = None) -> Activation:
        made = self.walk.add(node)
        if isinstance(like, _Samples):
            return Activation(name=made.name, index=like.value.index, view=like.value.view)
        if isinstance(like, _Pixels):
            channels, *size = self.walk.draft.shapes[made.name]
            index = 1 + np.arange(channels) * math.prod(size) + like.pixels[..., None]
            return Activation(name=made.name, index=index, view=(self.node.name, self.target))
        return made

    def stands_for(self, source: Source) -> Activation:
        return Activation(name=source.name)


@dataclass(frozen=True, kw_only=True)
class _Samples(Place):
    """The tensor whose samples `value` shows."""

    value: Activation


@dataclass(frozen=True, kw_only=True)
class _Pixels(Place):
    """A map whose channels stand in the last axis of the tensor that is read, and its pixels, from 0, where `pixels`
    says.
    """

    pixels: IntArray

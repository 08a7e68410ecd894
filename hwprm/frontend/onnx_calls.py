"""A program that grows from the nodes of an ONNX model: constants, which stay arrays, and calls of torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.frontend.program import refused
from hwprm.frontend.values import Constant
from hwprm.graph.rules.imports import RefusalError

__all__ = ["Growing", "Item", "Known", "OnnxCall", "shape_of"]

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """A tensor that the image does not change; `name` is that of the initializer that it was made of, if one was."""

    array: NDArray[Any]
    name: str = ""


#: What a tensor of the model is, None where an optional one is left out.
Item = torch.fx.Node | Known


class Growing:
    """A graph of torch's calls, with what its placeholders stand for and what its nodes are called in the model."""

    def __init__(self) -> None:
        self.graph = torch.fx.Graph()
        self.inputs: list[torch.fx.Node] = []
        self.constants: dict[str, Constant] = {}
        self.titles: dict[str, tuple[str, str]] = {}
        self._names: set[str] = set()
        self._placed: dict[int, tuple[Known, torch.fx.Node]] = {}

    def input(self, name: str, shape: Shape, dtype: torch.dtype) -> torch.fx.Node:
        """A tensor that depends on the image."""
        node = self._named("placeholder", name, name)
        node.meta["val"] = torch.empty(shape, dtype=dtype, device="meta")
        self.inputs.append(node)
        return node

    def call(self, title: tuple[str, str], target: Any, args: Sequence[Any], numbers: Mapping[str, Any]) -> Any:
        """The node that calls `target` with `args`, and with `numbers` by their names.

        Raises RefusalError when the shapes do not fit.
        """
        placed = torch.fx.node.map_aggregate(
            tuple(args), lambda part: self._place(part, title[0]) if isinstance(part, Known) else part
        )
        try:
            made = target(*torch.fx.node.map_arg(placed, lambda source: source.meta["val"]), **numbers)
        except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError) as error:
            first = str(error).strip().partition("\n")[0]
            raise RefusalError(f"it does not fit its inputs ({first})", "check the model: onnx.checker") from error
        return self._put(title, target, placed, numbers, made)

    def refuse(self, title: tuple[str, str], sources: Sequence[Any], why: Mapping[str, Any], shape: Shape) -> Any:
        """A node that is refused for the reason `why`, reads `sources` and would make a tensor of `shape`."""
        return self._put(title, refused, tuple(sources), why, torch.empty(shape, device="meta"))

    def _put(self, title: tuple[str, str], target: Any, args: Any, numbers: Mapping[str, Any], made: Any) -> Any:
        node = self._named("call_function", title[0], target, args, numbers)
        self.titles[node.name] = title
        node.meta["val"] = made
        return node

    def _place(self, known: Known, reader: str) -> torch.fx.Node:
        """The placeholder of a constant that the node `reader` reads."""
        if id(known) in self._placed:
            return self._placed[id(known)][1]
        array = known.array if known.array.dtype.kind in "fiub" else known.array.astype(np.float32)
        tensor = torch.from_numpy(np.array(array, order="C"))
        node = self._named("placeholder", f"{known.name or 'constant'}.constant", "constant")
        path = _owned(known.name, reader)
        node.meta["val"] = tensor.to("meta")
        self.constants[node.name] = Constant(tensor=tensor, origins=(path,) if path else ())
        self._placed[id(known)] = known, node
        return node

    def _named(
        self, op: str, wish: str, target: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> torch.fx.Node:
        """A new node, called like `wish`."""
        plain = re.sub(r"[^0-9A-Za-z]+", "_", wish).strip("_") or "node"
        name, i = plain, 1
        while name in self._names:
            i += 1
            name = f"{plain}_{i}"
        self._names.add(name)
        node = self.graph.create_node(op, target, args, dict(kwargs or {}))
        node.name = name
        return node


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxCall:
    """One node of a model: its operator, its attributes and its inputs."""

    growing: Growing
    #: What findings call it: its name and its operator.
    title: tuple[str, str]
    attributes: Mapping[str, Any]
    inputs: Sequence[Item | None]
    #: How many results it has.
    results: int
    opset: int

    def __call__(self, target: Any, *args: Any, **numbers: Any) -> Any:
        """Put a call of torch's operator `target` into the program; it stands for its result."""
        return self.growing.call(self.title, target, args, numbers)

    def has(self, i: int) -> bool:
        """Whether input `i` is given."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def item(self, i: int) -> Item:
        """Input `i`. Raises RefusalError when it is left out."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None:
            raise RefusalError(f"its input {i} is missing", "check the model: onnx.checker")
        return found

    def shape(self, i: int = 0) -> Shape:
        """Shape of input `i`, batch included."""
        return shape_of(self.item(i))

    def known(self, i: int, what: str) -> NDArray[Any]:
        """The constant that is input `i`. Raises RefusalError when the image changes it."""
        found = self.item(i)
        if not isinstance(found, Known):
            raise RefusalError(f"its {what} is computed from the image", f"use a constant as {what}")
        return found.array

    def made(self, i: int, array: NDArray[Any]) -> Known:
        """The constant `array`, made of the constant that is input `i`."""
        found = self.item(i)
        return Known(array=array, name=found.name if isinstance(found, Known) else "")

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute `name`."""
        return self.attributes.get(name, default)

    def numbers(self, name: str, i: int) -> list[Any] | None:
        """Numbers that an attribute or, in later versions, input `i` holds; None when neither does."""
        if name in self.attributes:
            value = self.attributes[name]
            return list(value) if isinstance(value, list | tuple) else [value]
        return self.known(i, name).ravel().tolist() if self.has(i) else None

    def reshaped(self, shape: Sequence[int]) -> Any:
        """The first input in `shape`."""
        return self(torch.ops.aten.reshape.default, self.item(0), list(shape))

    def axis(self, value: int, rank: int | None = None) -> int:
        """An axis from 0."""
        rank = len(self.shape()) if rank is None else rank
        if not -rank <= value < rank:
            raise RefusalError(f"its axis {value} is none of {rank}", "check the model: onnx.checker")
        return value % rank


def _owned(constant: str, reader: str) -> str:
    """The name of `constant` with its module in front, which that of a node tells where torch has made a new constant:
    ``/features/features.0/Conv``.
    """
    parts = reader.split("/")
    if "::" not in constant and "." in constant:
        return constant
    return f"{parts[-2]}.{constant or 'constant'}" if len(parts) > 2 and not parts[0] else ""


def shape_of(item: Item) -> Shape:
    """The shape of an item, batch included."""
    return tuple(item.array.shape) if isinstance(item, Known) else tuple(item.meta["val"].shape)

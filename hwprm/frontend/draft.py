"""A graph that grows: its nodes so far, their shapes and names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from hwprm.core.names import as_name
from hwprm.graph import BatchNorm, Node
from hwprm.graph.rules.arrays import Array, Shape

__all__ = ["Draft"]


class Draft:
    """The nodes so far, the shapes that they make and their names; names of layers are `reserved` for these."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self.nodes: list[Node] = []
        #: Of what stands for a refused call, too.
        self.shapes: dict[str, Shape] = {}
        #: Tensors that a ReLU, a clamp or what follows them keeps at 0 or more.
        self.positive: set[str] = set()
        #: Names that belong to a layer, so that no other node may take them, and names in use.
        self.reserved = set(reserved)
        self.used: set[str] = set()
        #: Type of the network's numbers.
        self.kind: DTypeLike = np.float32
        #: Factors that make of a byte's real value, 0 to 1, the number that the network reads.
        self.bytes: set[str] = set()
        #: Nodes whose product with what they are functions of became another function.
        self.gates: set[str] = set()

    def claim(self, wish: str, *, own: bool = False) -> str:
        """A free name like `wish`; that of a layer only to the layer itself (`own`)."""
        wish = as_name(wish)  # modules may be called what no file can
        name, i = wish, 1
        while name in self.used or (name in self.reserved and not (own and name == wish)):
            i += 1
            name = f"{wish}_{i}"
        self.used.add(name)
        return name

    def put(self, node: Node) -> str:
        """Add `node`; its name."""
        self.shapes[node.name] = node.infer_shape(*(self.shapes[name] for name in node.inputs))
        self.nodes.append(node)
        if node.never_negative([source in self.positive for source in node.inputs]):
            self.positive.add(node.name)
        return node.name

    def affine(self, label: str, source: str, scale: Array, shift: Array, kind: DTypeLike | None = None) -> str:
        """``x * scale + shift``, both ``(C,)``, as a batch norm that training leaves alone; its name.
        Its type is `kind`, else the network's.

        The factor of a byte is multiplied in, so that a network that divides its bytes by 255 begins with nothing.
        """
        kind = self.kind if kind is None else kind
        before = next((node for node in self.nodes if node.name == source and source in self.bytes), None)
        if isinstance(before, BatchNorm):
            scale, source = scale * before.weight.astype(np.float64), before.inputs[0]
            if (scale.astype(kind) == 1).all() and not shift.any():
                return source
        arrays = {"weight": scale, "bias": shift, "mean": np.zeros_like(scale), "var": np.ones_like(scale)}
        parts = {key: array.astype(kind) for key, array in arrays.items()}
        return self.put(BatchNorm(name=self.claim(label), inputs=(source,), **parts, eps=0.0, fixed=True))

    def byte(self, source: str) -> str:
        """The numbers 0 to 255 that the input `source` is read as; images of bytes stand for 0 to 1."""
        channels = self.shapes[source][0]
        name = self.affine(f"{source}_bytes", source, np.full(channels, 255.0), np.zeros(channels))
        self.bytes.add(name)
        return name

    def drop_unread_factors(self, outputs: Sequence[str]) -> None:
        """Take away factors of bytes, and gates, that went into what follows."""
        read, kept = set(outputs), []
        for node in reversed(self.nodes):
            if node.name in read or node.name not in self.bytes | self.gates:
                kept.append(node)
                read |= set(node.inputs)
        self.nodes = kept[::-1]

    def never_negative(self, name: str) -> bool:
        """Whether the tensor `name` is known to be 0 or more everywhere, by a ReLU or clamp."""
        return name in self.positive

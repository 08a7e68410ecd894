"""Random small networks of every supported shape, for property tests."""

import numpy as np

from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu


class Builder:
    """Appends nodes to a chain and keeps the shape of its end."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng = rng
        self.nodes: list[Node] = [Input(name="x", inputs=(), shape=shape)]

    @property
    def end(self) -> str:
        return self.nodes[-1].name

    @property
    def shape(self) -> tuple[int, ...]:
        return Graph(tuple(self.nodes), (self.end,)).shapes[self.end]

    def add(self, kind: type[Node], **fields: object) -> None:
        name = f"{kind.__name__.lower()}{len(self.nodes)}"
        self.nodes.append(kind(name=name, inputs=(self.end,), **fields))

    def conv(self) -> None:
        rng, (c, h, w) = self.rng, self.shape
        groups = int(rng.choice([g for g in (1, 1, 2, c) if c % g == 0]))
        m = groups * int(rng.integers(1, 4))
        kernel = (int(rng.integers(1, min(h, 3) + 1)), int(rng.integers(1, min(w, 3) + 1)))
        dilation = tuple(
            int(rng.integers(1, 3)) if (k - 1) * 2 + 1 <= s else 1 for k, s in zip(kernel, (h, w), strict=True)
        )
        weight = rng.normal(size=(m, c // groups, *kernel))
        if rng.random() < 0.2:
            weight[rng.integers(m)] = 0
        self.add(
            Conv2d,
            weight=weight,
            bias=rng.normal(size=m),
            stride=tuple(map(int, rng.integers(1, 3, 2))),
            padding=tuple(map(int, rng.integers(0, 3, 4))),
            dilation=dilation,
            groups=groups,
        )

    def linear(self) -> None:
        m = int(self.rng.integers(1, 7))
        self.add(Linear, weight=self.rng.normal(size=(m, self.shape[0])), bias=self.rng.normal(size=m))

    def norm(self) -> None:
        c, rng = self.shape[0], self.rng
        arrays = {key: rng.normal(size=c) for key in ("weight", "bias", "mean")}
        self.add(BatchNorm, **arrays, var=rng.uniform(0.1, 2, size=c))

    def relu(self) -> None:
        self.add(Relu)

    def pool(self) -> None:
        rng, (_, h, w) = self.rng, self.shape
        kernel = (int(rng.integers(1, min(h, 3) + 1)), int(rng.integers(1, min(w, 3) + 1)))
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in (kernel[0], kernel[0], kernel[1], kernel[1]))
        stride = tuple(map(int, rng.integers(1, 4, 2)))
        self.add(MaxPool2d, kernel=kernel, stride=stride, padding=padding, ceil_mode=bool(rng.integers(2)))


def random_graph(seed: int) -> Graph:
    """A chain of up to eight random operators on a random image, ending in a linear layer or a map."""
    rng = np.random.default_rng(seed)
    builder = Builder(rng, (int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9))))
    for _ in range(rng.integers(1, 7)):
        getattr(builder, str(rng.choice(["conv", "conv", "pool", "norm", "relu"])))()
    if rng.random() < 0.7:
        builder.add(Flatten)
        for _ in range(rng.integers(1, 4)):
            builder.linear()
            if rng.random() < 0.5:
                builder.relu()
            if rng.random() < 0.3:
                builder.norm()
    else:
        builder.conv()
    return Graph(tuple(builder.nodes), (builder.end,))

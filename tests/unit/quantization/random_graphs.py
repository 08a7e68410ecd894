"""Random small networks of every supported shape, for property tests."""

import numpy as np

from hwprm.graph import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Channels,
    Clamp,
    Concat,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Upsample,
)


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


class _Branches:
    """Nodes that read any earlier tensor of a fitting size."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        shape = (int(rng.integers(1, 4)), int(rng.integers(4, 8)), int(rng.integers(4, 8)))
        self.nodes: list[Node] = [Input(name="x", inputs=(), shape=shape)]
        self.shapes: dict[str, tuple[int, ...]] = {"x": shape}

    def add(self, kind: type[Node], *inputs: str, **fields: object) -> str:
        node = kind(name=f"{kind.__name__.lower()}{len(self.nodes)}", inputs=inputs, **fields)
        self.nodes.append(node)
        self.shapes[node.name] = node.infer_shape(*(self.shapes[name] for name in inputs))
        return node.name

    def any(self, fits: object = lambda shape: True) -> str:
        names = [name for name, shape in self.shapes.items() if fits(shape)]
        return str(self.rng.choice(names[-6:]))

    def conv(self, source: str, m: int, stride: int = 1, k: int = 3) -> str:
        c, rng = self.shapes[source][0], self.rng
        groups = int(rng.choice([g for g in (1, 1, 2, c) if c % g == 0 and m % g == 0]))
        arrays = {"weight": rng.normal(size=(m, c // groups, k, k)), "bias": rng.normal(size=m)}
        return self.add(Conv2d, source, **arrays, stride=(stride, stride), padding=(k // 2,) * 4, groups=groups)

    def step(self) -> None:
        rng, name = self.rng, self.any()
        shape = self.shapes[name]
        match rng.integers(12):
            case 0:
                self.conv(name, int(rng.integers(1, 5)), int(rng.integers(1, 3)) if shape[1] > 3 else 1)
            case 1:
                others = [self.any(lambda s: s == shape) for _ in range(rng.integers(1, 3))]
                self.add(Add, name, *others)
            case 2:
                self.add(Concat, name, *[self.any(lambda s: s[1:] == shape[1:]) for _ in range(rng.integers(1, 3))])
            case 3:
                count = int(rng.integers(1, shape[0] + 2))
                self.add(Channels, name, indices=tuple(map(int, rng.integers(0, shape[0], count))))
            case 4:
                low, high = sorted(rng.normal(size=2).tolist())
                self.add(
                    Clamp, name, low=low if rng.random() < 0.7 else None, high=high if rng.random() < 0.7 else None
                )
            case 5:
                pad = int(rng.integers(0, 2))
                stride = tuple(map(int, rng.integers(1, 3, 2)))
                self.add(AvgPool2d, name, kernel=(2 + pad, 2 + pad), stride=stride, padding=(pad,) * 4)
            case 6:
                self.add(MaxPool2d, name, kernel=(2, 2), stride=(1, 2), padding=(1, 0, 0, 1))
            case 7:
                self.add(Relu, name)
            case 8:
                self.add(Upsample, self.any(lambda s: max(s[1:]) < 8), factors=tuple(map(int, rng.integers(1, 3, 2))))
            case 9:
                fields = {"padding": (1, 1, 0, 1), "ceil_mode": bool(rng.integers(2)), "count_include_pad": False}
                self.add(AvgPool2d, name, kernel=(3, 2), stride=tuple(map(int, rng.integers(1, 3, 2))), **fields)
            case 10:
                self.add(AdaptiveAvgPool2d, name, size=tuple(map(int, rng.integers(1, 6, 2))))
            case _:
                arrays = {key: rng.normal(size=shape[0]) for key in ("weight", "bias", "mean")}
                self.add(BatchNorm, name, **arrays, var=rng.uniform(0.1, 2, size=shape[0]))


def random_branches(seed: int) -> Graph:
    """A random network with sums, concatenations, channel choices, averages, clamps and upsamplings.

    At times with two outputs, one of which may be read inside.
    """
    builder = _Branches(np.random.default_rng(seed))
    for _ in range(builder.rng.integers(3, 10)):
        if min(builder.shapes[builder.nodes[-1].name][1:]) > 2:
            builder.step()
    last = builder.nodes[-1].name
    joined = builder.add(Concat, builder.conv(last, 2, k=1), builder.conv(last, 2))
    flat = builder.add(Flatten, builder.add(Channels, joined, indices=(2, 0, 3)))
    weight = builder.rng.normal(size=(3, builder.shapes[flat][0]))
    outputs = [builder.add(Linear, flat, weight=weight, bias=builder.rng.normal(size=3))]
    if seed % 3 == 0:
        outputs.append(last if seed % 2 else builder.add(Concat, builder.conv(last, 2), last))
    return Graph(tuple(builder.nodes), tuple(outputs))

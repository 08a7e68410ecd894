"""Random networks of every operator that hwprm runs, in arrangements that real networks have; for tests and fuzzing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.graph import Shapes

__all__ = ["RandomNetwork", "random_network"]

Shape = tuple[int, int, int]
Pair = tuple[int, int]
#: From tensors to a tensor.
Function = Callable[..., Tensor]

MAX_CHANNELS = 40


@dataclass(frozen=True)
class Step:
    """Value number ``len(inputs) + index`` is `function` of the values `reads`; `text` says what it does."""

    function: Function
    reads: tuple[int, ...]
    text: str


class RandomNetwork(nn.Module):
    """Runs `steps` one after the other; `inputs` are the shapes that it reads, `outputs` the values it returns.

    The inputs are called `image` and, where there are two, `extra`.
    """

    def __init__(self, inputs: Sequence[Shape], steps: Sequence[Step], outputs: Sequence[int]) -> None:
        super().__init__()
        self.inputs, self.steps, self.outputs = tuple(inputs), tuple(steps), tuple(outputs)
        for i, step in enumerate(steps):
            if isinstance(step.function, nn.Module):
                self.add_module(f"step{i}", step.function)

    @property
    def image_shapes(self) -> Shapes:
        """Shape of an image, of two inputs by name."""
        return dict(zip(("image", "extra"), self.inputs, strict=True)) if len(self.inputs) > 1 else self.inputs[0]

    def forward(self, image: Tensor, extra: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """The output, or a tuple of several."""
        values = [image] if extra is None else [image, extra]
        for step in self.steps:
            values.append(step.function(*(values[i] for i in step.reads)))
        results = tuple(values[i] for i in self.outputs)
        return results if len(results) > 1 else results[0]

    def __str__(self) -> str:
        """A line per step."""
        lines = [f"{i} = input {shape}" for i, shape in enumerate(self.inputs)]
        for i, step in enumerate(self.steps, len(self.inputs)):
            lines.append(f"{i} = {step.text} of {', '.join(map(str, step.reads))}")
        return "\n".join([*lines, f"outputs {', '.join(map(str, self.outputs))}"])


def random_network(seed: int, *, steps: int = 6, size: int = 12) -> RandomNetwork:
    """A network in evaluation mode, about `steps` operators on maps of at most `size` rows and columns.

    1 or 2 inputs and outputs, 1..40 channels, weights pruned at random: whole filters, whole columns, single weights.
    The same seed gives the same network; torch's global random state is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _Builder(random.Random(seed), size).build(steps)
        _draw_weights(network, random.Random(seed))
    return network.eval()


class _Builder:
    """Appends steps and knows the shape of every value."""

    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng, self.size = rng, size
        self.curves, self.factors = (
            random.Random(f"{name} {size} {rng.getstate()[1][:4]}") for name in ("curves", "products")
        )
        self.inputs: list[Shape] = []
        self.shapes: list[Shape] = []
        self.maps: list[int] = []  # values that any operator may read
        self.steps: list[Step] = []

    def build(self, steps: int) -> RandomNetwork:
        rng = self.rng
        for _ in range(rng.choice((1, 1, 1, 2))):
            self.inputs.append((rng.randint(1, 6), rng.randint(3, self.size), rng.randint(3, self.size)))
        self.shapes += self.inputs
        for i in range(len(self.inputs)):
            self.conv(i)
        kinds: tuple[Callable[[int], int], ...] = (
            *(self.conv, self.conv, self.conv, self.pool, self.average, self.add, self.concat, self.channels),
            *(self.upsample, self.alone, self.block),
        )
        for _ in range(steps):
            rng.choice(kinds)(self.some())
            if self.factors.random() < 0.15:
                self.product(self.maps[-1])
        ends = [self.maps[-1]]
        if len(self.inputs) > 1 or rng.random() < 0.3:
            ends.append(self.some())
        outputs = [self.head(end) for end in ends]
        if rng.random() < 0.15:  # an output that the network reads itself
            outputs.append(ends[0])
        return RandomNetwork(self.inputs, self.steps, outputs)

    def some(self) -> int:
        """A value to go on from, late ones more often than early ones."""
        return self.rng.choice((self.maps[-1], self.maps[-1], self.rng.choice(self.maps)))

    def append(self, function: Function, *reads: int, text: str, hidden: bool = False) -> int:
        """A new value; a `hidden` one is only read where it is asked for by number."""
        with torch.no_grad():
            made = function(*(torch.zeros(1, *self.shapes[i]) for i in reads))
        self.steps.append(Step(function, reads, text))
        channels, height, width = (*made.shape[1:], 1, 1)[:3]
        self.shapes.append((channels, height, width))
        if not hidden:
            self.maps.append(len(self.shapes) - 1)
        return len(self.shapes) - 1

    def filters(self) -> int:
        return self.rng.choice((self.rng.randint(1, 8), self.rng.randint(1, 16), self.rng.randint(1, MAX_CHANNELS)))

    def conv(self, at: int) -> int:
        """A convolution of any shape, its batch norm, its activation."""
        rng, (channels, height, width) = self.rng, self.shapes[at]
        if rng.random() < 0.2:  # padding that differs from side to side
            sides = tuple(rng.randint(0, 2) for _ in range(4))
            at = self.append(lambda x, s=sides: functional.pad(x, s), at, text=f"pad {sides}", hidden=True)
            _, height, width = self.shapes[at]
        groups = rng.choice([g for g in (1, 1, 1, 2, 3, channels) if channels % g == 0])
        count = min(-(-self.filters() // groups) * groups, MAX_CHANNELS // groups * groups)
        y, x = self.taps(height), self.taps(width)
        kernel, stride, padding, dilation = (y[0], x[0]), (y[1], x[1]), (y[2], x[2]), (y[3], x[3])
        conv = nn.Conv2d(channels, count, kernel, stride, padding, dilation, groups, bias=rng.random() < 0.7)
        return self.activation(self.norm(self.append(conv, at, text=str(conv))))

    def taps(self, size: int) -> tuple[int, int, int, int]:
        """Kernel, stride, padding and dilation along one side of `size`, such that the kernel fits."""
        rng = self.rng
        kernel, dilation = rng.choice((1, 3, rng.randint(1, 5))), rng.choice((1, 1, 2))
        padding = rng.randint(0, kernel // 2 + 1)
        if (kernel - 1) * dilation >= size + 2 * padding:
            kernel = 1
        return kernel, rng.choice((1, 1, 2, 3)), padding, dilation

    def same(self, at: int, filters: int) -> int:
        """A convolution that keeps the map's size, and perhaps its batch norm."""
        kernel = self.rng.choice((1, 3))
        conv = nn.Conv2d(self.shapes[at][0], filters, kernel, padding=kernel // 2, bias=self.rng.random() < 0.7)
        return self.norm(self.append(conv, at, text=str(conv)))

    def norm(self, at: int) -> int:
        if self.rng.random() < 0.5:
            return at
        return self.append(nn.BatchNorm2d(self.shapes[at][0]).eval(), at, text="batch norm")

    def activation(self, at: int) -> int:
        kind: nn.Module = self.rng.choice((nn.ReLU(), nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.7, 1.3), nn.Identity()))
        if self.curves.random() < 0.2:
            kind = self.curves.choice((nn.SiLU(), nn.Sigmoid(), nn.Hardswish(), nn.GELU(), nn.Tanh(), nn.ELU(0.5)))
        return self.append(kind, at, text=str(kind))

    def window(self, at: int) -> tuple[Pair, Pair, Pair]:
        """Kernel, stride and padding of a pool of value `at`."""
        sizes = self.shapes[at][1:]
        kernel = tuple(self.rng.randint(1, min(3, s)) for s in sizes)
        stride = tuple(self.rng.randint(1, 3) for _ in range(2))
        padding = tuple(self.rng.randint(0, k // 2) for k in kernel)
        return (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1])

    def pool(self, at: int) -> int:
        kernel, stride, padding = self.window(at)
        pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=self.rng.random() < 0.3)
        return self.append(pool, at, text=str(pool))

    def average(self, at: int) -> int:
        rng = self.rng
        if rng.random() < 0.3:
            return self.append(nn.AdaptiveAvgPool2d(1), at, text="global average")
        kernel, stride, padding = self.window(at)
        pool = nn.AvgPool2d(kernel, stride, padding, rng.random() < 0.3, rng.random() < 0.5)
        return self.append(pool, at, text=str(pool))

    def partner(self, at: int) -> int:
        """Another value of the shape of `at`, made where there is none."""
        twins = [i for i in self.maps if self.shapes[i] == self.shapes[at] and i != at]
        return self.rng.choice(twins) if twins else self.same(at, self.shapes[at][0])

    def add(self, at: int) -> int:
        other = self.partner(at)
        at = self.append(torch.add, at, other, text="sum")
        return self.append(nn.ReLU(), at, text="relu") if self.rng.random() < 0.5 else at

    def block(self, at: int) -> int:
        """A residual block: two convolutions that keep the shape, sum, relu."""
        middle = self.activation(self.same(at, self.filters()))
        branch = self.same(middle, self.shapes[at][0])
        return self.append(nn.ReLU(), self.append(torch.add, branch, at, text="sum"), text="relu")

    def product(self, at: int) -> int:
        """The product with a factor for each channel, one for each pixel, or another value of its shape."""
        rng, channels = self.factors, self.shapes[at][0]
        kind = rng.choice(("channels", "channels", "pixels", "values"))
        twins = [i for i in self.maps if self.shapes[i] == self.shapes[at]]
        if kind == "values":
            return self.append(torch.mul, at, rng.choice(twins), text="product")
        source = at
        if kind == "channels":
            source = self.append(nn.AdaptiveAvgPool2d(1), at, text="global average", hidden=True)
        conv = nn.Conv2d(channels, channels if kind == "channels" else 1, 1)
        factor = self.append(conv, source, text=str(conv), hidden=True)
        curve: nn.Module = rng.choice((nn.Sigmoid(), nn.Tanh(), nn.ReLU6()))
        return self.append(torch.mul, at, self.append(curve, factor, text=str(curve), hidden=True), text="product")

    def concat(self, at: int) -> int:
        others = [i for i in self.maps if self.shapes[i][1:] == self.shapes[at][1:]]
        chosen = [at, *self.rng.choices(others, k=self.rng.randint(1, 2))]
        if sum(self.shapes[i][0] for i in chosen) > MAX_CHANNELS:
            return at
        return self.append(lambda *x: torch.cat(x, 1), *chosen, text="concat")

    def channels(self, at: int) -> int:
        """A slice, a chunk, or a channel shuffle."""
        rng, count = self.rng, self.shapes[at][0]
        if count > 1 and rng.random() < 0.6:
            first = rng.randint(0, count - 2)
            last, step = rng.randint(first + 1, count), rng.choice((1, 1, 2))
            text = f"channels {first}:{last}:{step}"
            return self.append(lambda x, a=first, b=last, s=step: x[:, a:b:s], at, text=text)
        groups = rng.choice([g for g in (1, 2, 3, 4) if count % g == 0])
        return self.append(nn.ChannelShuffle(groups), at, text=f"shuffle {groups}") if groups > 1 else at

    def upsample(self, at: int) -> int:
        factor = self.rng.choice(((2, 2), (1, 2), (3, 1)))
        if any(s * f > 2 * self.size for s, f in zip(self.shapes[at][1:], factor, strict=True)):
            return at
        return self.append(nn.Upsample(scale_factor=factor), at, text=f"upsample {factor}")

    def alone(self, at: int) -> int:
        """An operator without a layer to lean on, or one that does nothing."""
        count = self.shapes[at][0]
        kind = self.rng.choice((nn.BatchNorm2d(count).eval(), nn.ReLU(), nn.Dropout(), nn.Identity()))
        return self.append(kind, at, text=str(kind))

    def head(self, at: int) -> int:
        """Linear, global average and linear, or a convolution as output."""
        rng = self.rng
        if rng.random() < 0.3:
            return self.same(at, rng.randint(1, 6))
        if rng.random() < 0.5:
            at = self.append(nn.AdaptiveAvgPool2d(1), at, text="global average")
        channels, height, width = self.shapes[at]
        linear = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, rng.randint(1, 10)))
        return self.append(linear, at, text="linear", hidden=True)


def _draw_weights(network: nn.Module, rng: random.Random) -> None:
    """Weights of a plausible size, pruned; batch norm statistics that are not the identity."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                matrix = module.weight.reshape(len(module.weight), -1)
                matrix.copy_(torch.randn(matrix.shape) * (2 / matrix.shape[1]) ** 0.5)
                if module.bias is not None:
                    module.bias.copy_(0.3 * torch.randn(module.bias.shape))
                _prune(matrix, rng.choice((0.0, 0.3, 0.7)), rng.choice(("filters", "columns", "weights")))
            elif isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.weight.copy_(torch.rand(module.weight.shape) + 0.5)
                for tensor in (module.bias, module.running_mean):
                    tensor.copy_(0.3 * torch.randn(tensor.shape))
                module.running_var.copy_(torch.rand(module.running_var.shape) + 0.5)


def _prune(matrix: Tensor, share: float, what: str) -> None:
    """Zero the share `share` of the filters, columns or weights of `matrix`, in place; never all of them."""
    shape = {"filters": (len(matrix), 1), "columns": (1, matrix.shape[1]), "weights": tuple(matrix.shape)}[what]
    keep = torch.rand(shape) >= share
    if keep.any():
        matrix.mul_(keep)

"""Blocks of well-known networks, tiny: what real networks are made of, float modules for maps of 8 x 8 or less."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.graph import Batch, Shapes

__all__ = ["ZOO", "zoo_images", "zoo_module"]


def unit(inputs: int, filters: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    conv = nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters))


class VGG(nn.Module):
    """Two stages of convolutions with batch norm and ReLU, a max pool behind each; two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 4, 4, 6, 6)
        convs = [nn.Sequential(*unit(a, b), nn.ReLU(inplace=True)) for a, b in itertools.pairwise(widths)]
        self.features = nn.Sequential(*convs[:2], nn.MaxPool2d(2), *convs[2:], nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class ResNet(nn.Module):
    """Two basic blocks, the second of stride 2 with a projection shortcut; averages; linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = unit(2, 4), unit(4, 4), unit(4, 4)
        self.c, self.d, self.short = unit(4, 6, stride=2), unit(6, 6), unit(4, 6, 1, 2)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        y = self.b(self.relu(self.a(x)))
        y += x
        x = self.relu(y)
        x = self.relu(self.d(self.relu(self.c(x))) + self.short(x))
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class PreActivation(nn.Module):
    """Batch norm and ReLU before every convolution, so that sums are read bare; the last sum leaves the network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norms = nn.Conv2d(2, 3, 3, padding=1), nn.ModuleList(nn.BatchNorm2d(n) for n in (3, 4, 3))
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.c, self.short = nn.Conv2d(3, 5, 1), nn.Conv2d(3, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.b(torch.relu(self.norms[1](self.a(torch.relu(self.norms[0](x))))))
        y = torch.relu(self.norms[2](x))
        return self.c(y) + self.short(y)


class MobileNet(nn.Module):
    """Inverted residual: expand, depthwise, project, add; ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*unit(2, 4, stride=2), nn.ReLU6(inplace=True))
        self.block = nn.Sequential(*unit(4, 8, 1), nn.ReLU6(), *unit(8, 8, groups=8), nn.ReLU6(), *unit(8, 4, 1))
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.block(x)).mean((2, 3), keepdim=True)).flatten(1)


class ShuffleNet(nn.Module):
    """A basic and a down-sampling unit: split, branch, concatenate, shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*unit(2, 6), nn.ReLU())
        self.branch = nn.Sequential(*unit(3, 3, 1), nn.ReLU(), *unit(3, 3, groups=3), *unit(3, 3, 1), nn.ReLU())
        self.left = nn.Sequential(*unit(6, 6, stride=2, groups=6), *unit(6, 4, 1), nn.ReLU())
        self.right = nn.Sequential(*unit(6, 4, 1), nn.ReLU(), *unit(4, 4, 3, 2, 4), *unit(4, 4, 1), nn.ReLU())
        self.head = nn.Linear(8, 3)

    @staticmethod
    def shuffle(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.stem(x).chunk(2, dim=1)
        x = self.shuffle(torch.cat((a, self.branch(b)), 1))
        x = self.shuffle(torch.cat((self.left(x), self.right(x)), 1))
        return self.head(x.mean((2, 3)))


class Inception(nn.Module):
    """Four branches, one of them an average pool, concatenated; then a max pool of the concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(2, 2, 1), nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), unit(2, 3))
        self.five, self.pool = nn.Sequential(nn.Conv2d(2, 1, 1), nn.Conv2d(1, 2, 5, padding=2)), nn.Conv2d(2, 2, 1)
        self.head = nn.Linear(9 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        mean = functional.avg_pool2d(x, 3, 1, 1)
        x = torch.cat([torch.relu(self.one(x)), self.three(x), torch.relu(self.five(x)), self.pool(mean)], 1)
        return self.head(functional.max_pool2d(x, 2).flatten(1))


class DenseNet(nn.Module):
    """Concatenation upon concatenation, batch norm and ReLU before every convolution, a transition with averages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, padding=1)
        widths = (3, 5, 7)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.convs = nn.ModuleList(nn.Conv2d(width, 2, 3, padding=1) for width in widths[:2])
        self.transition, self.head = nn.Conv2d(7, 4, 1), nn.Conv2d(4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=False):
            x = torch.cat([x, conv(torch.relu(norm(x)))], 1)
        x = functional.avg_pool2d(self.transition(torch.relu(self.norms[-1](x))), 2)
        return self.head(x).flatten(1)


class Odds(nn.Module):
    """What is left: a tensor read at two row lengths, sums of slices, clamps of views, a view that leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.clamp(self.a(x), -1.0, 1.5)
        y = x[:, :2] + x[:, 2:] + x[:, ::2]
        z = torch.relu(torch.cat((y, y), 1)) + x
        return torch.cat((self.b(x), self.b(z)), 1), self.c(z)


class Fusion(nn.Module):
    """Two maps of different sizes and a vector, each through layers of its own, meet in sums and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse, self.gate = unit(2, 4, stride=2), unit(1, 4), nn.Linear(5, 3)
        self.head = nn.Linear(9, 3)

    def forward(self, fine: Tensor, coarse: Tensor, facts: Tensor) -> Tensor:
        x = torch.relu(self.fine(fine) + self.coarse(coarse))
        x = functional.max_pool2d(torch.cat((x, coarse, coarse), 1), 4).flatten(1)
        return self.head(torch.cat((x, torch.relu(self.gate(facts))), 1))


class UNet(nn.Module):
    """Down and up again by two levels, with a skip connection at each; averages that leave the padding out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = unit(2, 4), unit(4, 5, stride=2), unit(5, 6)
        self.d, self.e, self.head = unit(9, 4), unit(6, 3), nn.Conv2d(3, 2, 1)
        self.up = nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.a(x))
        b = torch.relu(self.b(a))
        c = self.up(torch.relu(self.c(functional.avg_pool2d(b, 3, 2, 1, count_include_pad=False)))[:, :5])
        d = torch.relu(self.d(torch.cat((functional.interpolate(c, size=4), b), 1)[:, :9]))
        mean = functional.interpolate(d.mean((2, 3), keepdim=True), size=(8, 8))
        e = torch.relu(self.e(torch.cat((self.up(d)[:, 1:3], a), 1)))
        return self.head(e + mean[:, :3])


class TwoHeads(nn.Module):
    """A tensor that leaves and is read, a view that leaves, an upsampled output; windows that share a map unevenly."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = unit(2, 4), nn.Conv2d(4, 3, 1), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.stem(x))
        y = self.left(functional.adaptive_avg_pool2d(x, (3, 4)))
        z = functional.interpolate(self.right(x), scale_factor=(2.0, 1.0))
        return x, y, torch.relu(z), x[:, 1:3]


class Curves(nn.Module):
    """Functions from tables: behind a convolution, a sum, a pool and a concatenation; one that leaves the network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide, self.narrow, self.gate = unit(2, 4), unit(4, 6, 1), nn.Conv2d(6, 4, 1), nn.Conv2d(4, 3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = functional.silu(self.stem(x))
        y = functional.max_pool2d(torch.tanh(x + self.narrow(functional.hardswish(self.wide(x)))), 2)
        z = functional.gelu(torch.cat((y, functional.max_pool2d(functional.mish(x), 2)), 1)[:, 2:6])
        return z, functional.elu(self.gate(z), 0.7).clamp(-0.5, 1)


def gate(channels: int, inner: int) -> nn.Sequential:
    """Squeeze and excitation without its product: a factor for each channel."""
    two = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), two[0], nn.ReLU(), two[1], nn.Sigmoid())


class SEResNet(nn.Module):
    """Two blocks whose residual branch is scaled channel by channel before the sum, as SE-ResNets do it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = unit(2, 4), unit(4, 4), unit(4, 4)
        self.c, self.d, self.short = unit(4, 6, stride=2), unit(6, 6), unit(4, 6, 1, 2)
        self.squeeze, self.excite, self.other = nn.Linear(4, 2), nn.Linear(2, 4), gate(6, 3)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = self.b(torch.relu(self.a(x)))
        factor = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        x = torch.relu(x + y * factor.view(-1, 4, 1, 1).expand_as(y))
        y = self.d(torch.relu(self.c(x)))
        x = torch.relu(self.other(y) * y + self.short(x))
        return self.head(x.mean((2, 3)))


class MobileNetV3(nn.Module):
    """Inverted residuals with hard swish and a hard sigmoid for gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*unit(2, 4, stride=2), nn.Hardswish())
        self.wide = nn.Sequential(*unit(4, 9, 1), nn.Hardswish(), *unit(9, 9, 5, groups=9), nn.Hardswish())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(9, 4, 1), nn.ReLU(), nn.Conv2d(4, 9, 1))
        self.narrow, self.head = unit(9, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.wide(x)
        x = x + self.narrow(functional.hardsigmoid(self.gate(y)) * y)
        return self.head(functional.adaptive_avg_pool2d(x, 1)).flatten(1)


class EfficientNet(nn.Module):
    """Inverted residuals with SiLU, the gate of the second behind a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*unit(2, 3), nn.SiLU())
        self.first, self.second = self.wide(3, 6, 1), self.wide(3, 7, 2)
        self.gates = nn.ModuleList((gate(6, 2), gate(7, 2)))
        self.narrow, self.head = nn.ModuleList((unit(6, 3, 1), unit(7, 4, 1))), nn.Linear(4, 3)

    @staticmethod
    def wide(inputs: int, width: int, stride: int) -> nn.Sequential:
        return nn.Sequential(*unit(inputs, width, 1), nn.SiLU(), *unit(width, width, 3, stride, width), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.first(x)
        x = x + self.narrow[0](y * self.gates[0](y))
        y = self.second(x)
        return self.head(self.narrow[1](y * self.gates[1](y)).mean((2, 3)))


class Products(nn.Module):
    """Products of maps: of two branches, of a concatenation with one factor for each pixel, of vectors, and
    one that leaves the network; a max pool behind one, a factor for each row.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two, self.place = unit(2, 4), unit(4, 4, 1), unit(4, 4), nn.Conv2d(4, 1, 3, padding=1)
        self.row, self.a, self.b = nn.Conv2d(8, 8, 1), nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.stem(x))
        y = functional.relu6(self.one(x)) * self.two(x)
        z = torch.cat((y, x), 1) * torch.sigmoid(self.place(y))
        z = functional.max_pool2d(z, 2)
        z = z * torch.sigmoid(self.row(z.mean(3, keepdim=True)))
        v = z.mean((2, 3))
        return self.a(v) * torch.tanh(self.b(v)), z[:, :3] * z[:, 5:]


#: Module and the shape of its input, of several by name.
ZOO: dict[str, tuple[type[nn.Module], Shapes]] = {
    "vgg": (VGG, (2, 8, 8)),
    "resnet": (ResNet, (2, 6, 6)),
    "preactivation": (PreActivation, (2, 4, 5)),
    "mobilenet": (MobileNet, (2, 8, 8)),
    "shufflenet": (ShuffleNet, (2, 8, 8)),
    "inception": (Inception, (2, 6, 6)),
    "densenet": (DenseNet, (2, 6, 6)),
    "odds": (Odds, (2, 7, 7)),
    "fusion": (Fusion, {"fine": (2, 8, 8), "coarse": (1, 4, 4), "facts": (5,)}),
    "unet": (UNet, (2, 8, 8)),
    "curves": (Curves, (2, 8, 8)),
    "two-heads": (TwoHeads, (2, 7, 6)),
    "se-resnet": (SEResNet, (2, 6, 6)),
    "mobilenet-v3": (MobileNetV3, (2, 8, 8)),
    "efficientnet": (EfficientNet, (2, 6, 6)),
    "products": (Products, (2, 6, 4)),
}


def zoo_module(name: str) -> nn.Module:
    """The module called `name` in evaluation mode, with seeded weights and batch norm statistics."""
    generator = torch.Generator().manual_seed(0)
    module = ZOO[name][0]()
    with torch.no_grad():
        for key, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - (0.0 if "var" in key else 0.4))
    return module.eval()


def zoo_images(name: str, count: int) -> Batch:
    """`count` normal images for the module called `name`."""
    rng, shapes = np.random.default_rng(1), ZOO[name][1]
    if isinstance(shapes, dict):
        return {key: rng.normal(size=(count, *shape)) for key, shape in shapes.items()}
    return rng.normal(size=(count, *shapes))

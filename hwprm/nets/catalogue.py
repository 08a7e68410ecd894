"""The reference networks by name: those of the papers, at the sizes that the papers count."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from hwprm.core.errors import InputError
from hwprm.nets.alexnet import AlexNet
from hwprm.nets.fast8 import Fast8
from hwprm.nets.lenet import lenet5
from hwprm.nets.resnet import BasicBlock, Bottleneck, ResNet
from hwprm.nets.vgg import VGG16

__all__ = ["NETWORKS", "Reference", "image_shape", "reference_network"]


class Reference(NamedTuple):
    """`make(classes, width)` gives the module; `image` is the shape that it reads, `classes` what it tells apart."""

    make: Callable[[int, float], nn.Module]
    image: tuple[int, int, int]
    classes: int


NETWORKS: dict[str, Reference] = {
    "vgg16-cifar": Reference(VGG16, (3, 32, 32), 10),
    "resnet18-cifar": Reference(
        lambda classes, width: ResNet(BasicBlock, (2, 2, 2, 2), classes, small=True, width=width), (3, 32, 32), 10
    ),
    "fast8-cifar": Reference(Fast8, (3, 32, 32), 10),
    "alexnet": Reference(AlexNet, (3, 224, 224), 1000),
    "resnet18": Reference(
        lambda classes, width: ResNet(BasicBlock, (2, 2, 2, 2), classes, width=width), (3, 224, 224), 1000
    ),
    "resnet50": Reference(
        lambda classes, width: ResNet(Bottleneck, (3, 4, 6, 3), classes, width=width), (3, 224, 224), 1000
    ),
}


def image_shape(name: str) -> tuple[int, int, int]:
    """``(C, H, W)`` of the images that the reference network `name` reads."""
    return (1, 28, 28) if name == "lenet5" else NETWORKS[name].image


def reference_network(name: str, seed: int = 0, *, width: float = 1.0, classes: int | None = None) -> nn.Module:
    """The network called `name` with weights drawn from `seed`; torch's global random state is left alone.

    `width` scales its filters, `classes` replaces the number of classes. Convolution and linear weights are Kaiming
    normal, biases zero, batch norms the identity. ``lenet5`` has neither option.
    Raises InputError for an unknown name, and for options that ``lenet5`` lacks.
    """
    if name == "lenet5" and (width != 1.0 or classes not in (None, 10)):
        raise InputError("lenet5 has ten classes and one width; leave `width` and `classes` out")
    if name == "lenet5":
        return lenet5(seed)
    if name not in NETWORKS:
        raise InputError(f"no network is called {name!r}; known are lenet5, {', '.join(NETWORKS)}")
    if width <= 0:
        raise InputError(f"width must be above 0, not {width}")
    entry = NETWORKS[name]
    # Layers draw default weights when made; those must not move the caller's random state.
    with torch.random.fork_rng(devices=[]):
        net = entry.make(classes or entry.classes, width)
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net

"""Residual networks (He et al. 2015): ResNet-18 for CIFAR-10 and ImageNet, ResNet-50 for ImageNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]


class _Block(nn.Module):
    """What both kinds of block share: the shortcut, a projection where the shape changes."""

    expansion = 1

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        made = filters * self.expansion
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != made:
            self.downsample = nn.Sequential(nn.Conv2d(channels, made, 1, stride, bias=False), nn.BatchNorm2d(made))

    def _branch(self, x: Tensor) -> Tensor:
        raise AssertionError("each kind of block has its own branch")

    def forward(self, x: Tensor) -> Tensor:
        """``relu(branch(x) + shortcut(x))``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(self._branch(x) + shortcut)
        return result


class BasicBlock(_Block):
    """Two 3 x 3 convolutions."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__(channels, filters, stride)
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)

    def _branch(self, x: Tensor) -> Tensor:
        branch: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return branch


class Bottleneck(_Block):
    """1 x 1, 3 x 3 (which strides, as in torchvision), 1 x 1 with four times the filters."""

    expansion = 4

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__(channels, filters, stride)
        self.conv1 = nn.Conv2d(channels, filters, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv3 = nn.Conv2d(filters, filters * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(filters * self.expansion)

    def _branch(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        branch: Tensor = self.bn3(self.conv3(x))
        return branch


class ResNet(nn.Module):
    """Four stages of `blocks` blocks; parameters are named as in torchvision.

    `small` is the CIFAR form (3 x 3 stem, no max pool) for ``(n, 3, 32, 32)``, otherwise ``(n, 3, 224, 224)``.
    `width` scales the filters of every convolution.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        classes: int,
        *,
        small: bool = False,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        first = max(1, round(64 * width))
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(3, first, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        channels = first
        for stage, count in enumerate(blocks):
            filters = max(1, round((64 << stage) * width))
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            made = []
            for step in strides:
                made.append(block(channels, filters, step))
                channels = filters * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.stages = len(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the images `x`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits

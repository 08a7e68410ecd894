"""A network for CIFAR-10 that trains fast: eight layers, and most of its work where images are small already."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Fast8"]

#: Filters of the three pairs of 3 x 3 convolutions.
PLAN = (64, 256, 256)
#: Filters of the first layer: as many directions as a patch of 2 x 2 pixels in three colours has, and their negatives.
STEM = 24


class Fast8(nn.Module):
    """Reads ``(n, 3, 32, 32)``, makes ``(n, classes)``; 118 M multiplications, 1.97 M weights.

    A convolution of 2 x 2, three times two of 3 x 3 with a max pool behind the first of them, batch norms, and a linear
    layer: the structure of Jordan (arXiv 2404.00498, section 3) with ReLU. `width` scales the filters of the pairs.
    """

    def __init__(self, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, STEM, 2), nn.ReLU(inplace=True)]
        channels = STEM
        for filters in PLAN:
            made = max(1, round(filters * width))
            layers += [nn.Conv2d(channels, made, 3, padding=1, bias=False), nn.MaxPool2d(2)]
            layers += [nn.BatchNorm2d(made), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(made, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)]
            channels = made
        self.features = nn.Sequential(*layers, nn.MaxPool2d(3))
        self.classifier = nn.Linear(channels, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the images `x`."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits

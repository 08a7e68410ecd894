"""VGG-16 with batch norm as CIFAR-10 papers use it: 14,710,464 convolution weights and one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["VGG16"]

#: Filters of the 3 x 3 convolutions; None is a 2 x 2 max pool (Simonyan and Zisserman 2014, table 1, column D).
PLAN = (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512, None)


class VGG16(nn.Module):
    """Reads ``(n, 3, 32, 32)``, makes ``(n, classes)``. `width` scales the filters of every convolution.

    Parameters are named as in torchvision's ``vgg16_bn`` (``features.0.weight``, ...), the classifier is the single
    linear layer ``classifier``.
    """

    def __init__(self, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for filters in PLAN:
            if filters is None:
                layers.append(nn.MaxPool2d(2))
                continue
            made = max(1, round(filters * width))
            layers += [nn.Conv2d(channels, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(inplace=True)]
            channels = made
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the images `x`."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits

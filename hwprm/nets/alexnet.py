"""AlexNet as torchvision has it (Krizhevsky 2014, "One weird trick", section 5): ImageNet, five convolutions."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["AlexNet"]


class AlexNet(nn.Module):
    """Reads ``(n, 3, 224, 224)``, makes ``(n, classes)``; parameters are named as in torchvision's ``alexnet``.

    `width` scales the filters and the hidden units.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0) -> None:
        super().__init__()
        a, b, c, d, hidden = (max(1, round(n * width)) for n in (64, 192, 384, 256, 4096))
        self.features = nn.Sequential(
            nn.Conv2d(3, a, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(a, b, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(b, c, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c, d, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(d, d, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(d * 36, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the images `x`."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits

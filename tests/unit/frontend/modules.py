"""Modules that exercise the frontend."""

import torch
from torch import nn


class Everything(nn.Module):
    """Every supported operator at least once; input (2, 18, 17)."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 2, 0, 1))
        self.conv1 = nn.Conv2d(2, 4, 3, padding="valid", bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.features = nn.Sequential(
            nn.Conv2d(4, 4, (4, 3), padding="same", dilation=(1, 2), groups=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            nn.Identity(),
            nn.Dropout2d(),
        )
        self.fc1 = nn.Linear(6 * 5 * 9, 12, bias=False)
        self.norm2 = nn.BatchNorm1d(12, affine=False)
        self.drop = nn.Dropout()
        self.fc2 = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm1(self.conv1(torch.relu(self.pad(x)))))
        x = self.features(x).contiguous().clone()
        x = self.norm2(self.fc1(x.view(x.size(0), -1))).to(x.dtype)
        return self.fc2(self.drop(torch.relu(x)))


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """`module` in float64 and evaluation mode with random parameters and statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1 if "var" in name else tensor)
                if "var" not in name:
                    tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
    return module.double().eval()


class Branches(nn.Module):
    """Every operator that joins, cuts, reorders, averages or clamps; input (3, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.left, self.right = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.shuffle, self.clip = nn.ChannelShuffle(4), nn.Hardtanh(-0.5, 2.0)
        self.mean, self.two, self.one = nn.AvgPool2d(3, 1, 1), nn.AdaptiveAvgPool2d((4, 2)), nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(22, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        a, b = x.chunk(2, 1)
        y = torch.cat((self.clip(self.left(a)), self.right(b)), 1)
        y = y.view(-1, 2, 4, 8, 8).transpose(1, 2).contiguous().view(-1, 8, 8, 8)
        y = self.shuffle(y) + x
        y += self.mean(x)
        z = torch.concat([y.split([3, 5], 1)[1], y[:, ::2], y.narrow(1, 1, 2)], -3)
        z = torch.clamp(z, min=0.25)
        u = z.unflatten(1, (11, 1)).flatten(1, 2).reshape(-1, 11, 8, 8)
        v = self.one(self.two(u)).flatten(1)
        return self.head(torch.cat((self.one(u).flatten(1), y.mean((2, 3)) + y.mean([-1, -2]), v[:, -3:]), 1))


class Fn(nn.Module):
    """A 3x3 convolution, a linear layer, and a function of them and the image."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)
        self.fc = nn.Linear(5, 4)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)

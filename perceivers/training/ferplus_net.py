"""The expression network and its augmentation; needs torch, so only the trainer imports it.

A small residual network (He et al., 2016), 0.6 million parameters, sized for training in half an
hour on one or two CPU cores. Everything between grey pixels and calibrated probabilities is in
the exported graph, so training and use cannot drift apart.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name under which everyone knows it
from torch import Tensor, nn

from affectgraph.perceivers.labels import FERPLUS_8

WIDTHS: Final = (32, 32, 64, 128, 128)


def standardise(faces: Tensor) -> Tensor:
    """Each face to mean 0 and deviation 1, so that lighting and contrast drop out.

    Args:
        faces: Grey values in [0, 255], shape (n, 1, height, width).
    """
    centred = faces - faces.mean(dim=(2, 3), keepdim=True)
    # One grey level keeps a flat picture from being blown up into noise.
    return centred / (centred.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1.0)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return F.relu(total)


class ExpressionNet(nn.Module):
    """Grey faces, shape (n, 1, s, s) in [0, 255], to logits over FERPLUS_8, shape (n, 8).

    The side ``s`` is 48; training starts on smaller sides, which cost less.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, dropout: float = 0.2) -> None:
        super().__init__()
        stem, *rest = widths
        blocks: list[nn.Module] = []
        inputs = stem
        for index, outputs in enumerate(rest):
            blocks.append(Block(inputs, outputs, stride=2 if 0 < index < len(rest) - 1 else 1))
            inputs = outputs
        self.features = nn.Sequential(
            nn.Conv2d(1, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU(), *blocks
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, len(FERPLUS_8)))

    def forward(self, faces: Tensor) -> Tensor:
        """Logits of faces."""
        x = standardise(faces).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return logits


class ExpressionReader(nn.Module):
    """What is shipped: mirror averaging, temperature and softmax around the network.

    Args:
        net: The trained network.
        temperature: Divides the logits (Guo et al., 2017).
    """

    def __init__(self, net: ExpressionNet, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature

    def forward(self, faces: Tensor) -> Tensor:
        """Faces, float32, shape (n, 1, 48, 48) in [0, 255], to probabilities, shape (n, 8)."""
        return torch.softmax(mirrored_logits(self.net, faces) / self.temperature, dim=1)


def mirrored_logits(net: nn.Module, faces: Tensor) -> Tensor:
    """Mean logits of each face and its mirror image, shape (n, 8)."""
    total: Tensor = net(faces) + net(torch.flip(faces, dims=(3,)))
    return total / 2


def augment(faces: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Mirror, turn, scale, shift and light each face at random, and blank a small patch.

    The ranges cover what a face detector's box adds: up to 12 degrees, 12 % of scale, 8 % of
    shift; brightness and contrast drop out by standardisation, gamma does not.

    Args:
        faces: Grey values in [0, 255], float32, shape (n, 1, 48, 48).
        side: Side of the result in pixels.
        generator: Source of chance.

    Returns:
        Shape (n, 1, side, side).
    """
    count = len(faces)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle = uniform(-1, 1) * math.radians(12)
    scale = uniform(0.88, 1.12)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = (
        torch.stack((cos * mirror, -sin, uniform(-0.16, 0.16)), dim=1),
        torch.stack((sin * mirror, cos, uniform(-0.16, 0.16)), dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), [count, 1, side, side], align_corners=False)
    moved = F.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    gamma = torch.exp(uniform(-0.3, 0.3)).view(-1, 1, 1, 1)
    lit = (moved / 255).clamp(1e-4, 1).pow(gamma) * 255
    return _blank_patch(lit, uniform(0, 1), uniform(0, 1), uniform(0, 1))


def _blank_patch(faces: Tensor, left: Tensor, top: Tensor, size: Tensor) -> Tensor:
    """Random erasing (Zhong et al., 2020): a square of up to a third of the side, mean grey."""
    side = faces.shape[-1]
    # Half of the draws are below zero: those faces stay whole.
    extent = ((size - 0.5) * 2 * side / 3).view(-1, 1, 1, 1)
    at = torch.arange(side, dtype=torch.float32)
    across, down = at.view(1, 1, 1, -1), at.view(1, 1, -1, 1)
    x, y = (left * side).view(-1, 1, 1, 1), (top * side).view(-1, 1, 1, 1)
    inside = (across >= x) & (across < x + extent) & (down >= y) & (down < y + extent)
    return torch.where(inside, faces.mean(dim=(2, 3), keepdim=True), faces)


class Average:
    """Exponential moving average of a network's weights and batch statistics.

    Args:
        net: The network that is trained.
        decay: Share that is kept a step, once warmed up.
    """

    def __init__(self, net: ExpressionNet, decay: float = 0.998) -> None:
        self.net = net
        self.decay = decay
        self.steps = 0
        self.state = {key: value.clone() for key, value in net.state_dict().items()}

    def update(self) -> None:
        """Take in the network's present state; early steps weigh more than late ones."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for key, value in self.net.state_dict().items():
                if value.is_floating_point():
                    self.state[key].lerp_(value, 1 - decay)
                else:
                    self.state[key].copy_(value)

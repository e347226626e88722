"""The expression network and its augmentation; needs torch, so only the trainer imports it.

A small residual network (He et al., 2016), sized for training on one CPU core: first a base of 0.6
million parameters, then one of 1.6 million that is grown from it. Everything between grey pixels
and calibrated probabilities is in the exported graph, so training and use cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name under which everyone knows it
from torch import Tensor, nn

from affectgraph.perceivers.labels import FERPLUS_8

STEM: Final = 32
Stages = tuple[tuple[int, int, int], ...]
"""Channels, number of blocks and first stride of each stage."""
BASE: Final[Stages] = ((32, 1, 1), (64, 1, 2), (128, 2, 2))
GROWN: Final[Stages] = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 1, 2))


def standardise(faces: Tensor) -> Tensor:
    """Each face to mean 0 and deviation 1, so that lighting and contrast drop out.

    Args:
        faces: Grey values in [0, 255], shape (n, 1, height, width).
    """
    centred = faces - faces.mean(dim=(2, 3), keepdim=True)
    # One grey level keeps a flat picture from being blown up into noise.
    return centred / (centred.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1.0)


class Excitation(nn.Module):
    """Weighs the channels by what the whole map shows (Hu et al., 2018, squeeze-and-excitation)."""

    def __init__(self, channels: int, ratio: int = 8) -> None:
        super().__init__()
        self.narrow = nn.Linear(channels, channels // ratio)
        self.widen = nn.Linear(channels // ratio, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, channels, h, w), unchanged."""
        gate = torch.sigmoid(self.widen(F.relu(self.narrow(x.mean(dim=(2, 3))))))
        return x * gate[:, :, None, None]


class Block(nn.Module):
    """Two 3x3 convolutions, channel weights (if ``excited``) and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, excited: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.gate: nn.Module = Excitation(outputs) if excited else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        total: Tensor = self.gate(self.body(x)) + self.shortcut(x)
        return F.relu(total)


class ExpressionNet(nn.Module):
    """Grey faces, shape (n, 1, s, s) in [0, 255], to logits over FERPLUS_8, shape (n, 8).

    The side ``s`` is 48; training starts on smaller sides, which cost less.

    Args:
        stages: The blocks.
        excited: Whether blocks weigh their channels.
        dropout: Share of the pooled features that training leaves out.
    """

    def __init__(
        self, stages: Stages = GROWN, *, excited: bool = True, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.body = nn.ModuleList()
        inputs = STEM
        for outputs, count, stride in stages:
            stage = nn.Sequential()
            for index in range(count):
                stage.append(Block(inputs, outputs, stride if index == 0 else 1, excited=excited))
                inputs = outputs
            self.body.append(stage)
        self.stem = nn.Sequential(
            nn.Conv2d(1, STEM, 5, 2, 2, bias=False), nn.BatchNorm2d(STEM), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, len(FERPLUS_8)))

    def forward(self, faces: Tensor) -> Tensor:
        """Logits of faces."""
        x = self.stem(standardise(faces).contiguous(memory_format=torch.channels_last))
        for stage in self.body:
            x = stage(x)
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


def grow(base: ExpressionNet) -> ExpressionNet:
    """A larger network that goes on from what a smaller one has learnt.

    After Chen, Goodfellow and Shlens (2016), "Net2Net": what both have is copied, a block added
    within a stage begins as the identity (its last batch norm scales by zero), and channel
    weights begin at nearly one. Only the new last stage and the head begin anew.
    """
    net = ExpressionNet()
    net.stem.load_state_dict(base.stem.state_dict())
    for stage, source in zip(net.body, base.body, strict=False):
        assert isinstance(stage, nn.Sequential)
        assert isinstance(source, nn.Sequential)
        for index, block in enumerate(stage):
            if index < len(source):
                block.load_state_dict(source[index].state_dict(), strict=False)
            elif isinstance(block, Block):
                last = block.body[-1]
                assert isinstance(last, nn.BatchNorm2d)
                nn.init.zeros_(last.weight)
    for part in net.modules():
        if isinstance(part, Excitation):
            nn.init.zeros_(part.widen.weight)
            nn.init.constant_(part.widen.bias, 4.0)
    return net


class ExpressionReader(nn.Module):
    """What is shipped: mirror averaging, temperature and softmax around the networks.

    Args:
        nets: Trained networks; their logits are averaged.
        temperature: Divides the logits (Guo et al., 2017).
    """

    def __init__(self, nets: Sequence[ExpressionNet], temperature: float) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.temperature = temperature

    def forward(self, faces: Tensor) -> Tensor:
        """Faces, float32, shape (n, 1, 48, 48) in [0, 255], to probabilities, shape (n, 8)."""
        logits = torch.stack([mirrored_logits(net, faces) for net in self.nets]).mean(dim=0)
        return torch.softmax(logits / self.temperature, dim=1)


def mirrored_logits(net: nn.Module, faces: Tensor) -> Tensor:
    """Mean logits of each face and its mirror image, shape (n, 8)."""
    total: Tensor = net(faces) + net(torch.flip(faces, dims=(3,)))
    return total / 2


def augment(
    faces: Tensor,
    side: int,
    generator: torch.Generator,
    softened: float = 0.0,
    *,
    blanked: bool = True,
) -> Tensor:
    """Mirror, turn, scale, shift and light each face at random, blank a patch, soften a few.

    The ranges cover what a face detector's box adds: up to 12 degrees, 12 % of scale, 8 % of
    shift; brightness and contrast drop out by standardisation, gamma does not.

    Args:
        faces: Grey values in [0, 255], float32, shape (n, 1, 48, 48).
        side: Side of the result in pixels.
        generator: Source of chance.
        softened: Share of the faces that lose their detail.
        blanked: Whether half of the faces lose a patch.

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
    if blanked:
        lit = _blank_patch(lit, uniform(0, 1), uniform(0, 1), uniform(0, 1))
    return _soften(lit, generator, softened)


def _soften(faces: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Take the detail out of a share of the faces, as a far camera or a moving head does."""
    count, side = round(share * len(faces)), faces.shape[-1]
    if count == 0:
        return faces
    small = int(torch.randint(side // 2, side, (1,), generator=generator))
    # The rows are drawn at random already, so the first ones are as good as any.
    coarse = F.interpolate(faces[:count], size=(small, small), mode="area")
    soft = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    return torch.cat((soft, faces[count:]))


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

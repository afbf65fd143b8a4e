"""MobileNetV2 to its 13th bottleneck with ImageNet weights from an npz file, as a user's own extractor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PREFIX = "mobilenetv20_features_"
WIDTHS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96)
REDUCING = (1, 3, 6)


class Unit(nn.Module):
    """Convolution without bias, batch norm and, where asked for, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(x))
        return normed


class Bottleneck(nn.Module):
    """Expansion, depthwise and projection; with a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, factor: int, stride: int) -> None:
        super().__init__()
        wide = inputs * factor
        self.expand = Unit(inputs, wide, 1)
        self.depthwise = Unit(wide, wide, 3, stride=stride, groups=wide)
        self.project = Unit(wide, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """Normalised RGB (N, 3, H, W) to (N, 96, H/16, W/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3, 32, 3, stride=2)
        inputs = (32, *WIDTHS[:-1])
        self.bottlenecks = nn.Sequential(
            *(
                Bottleneck(inputs[i], WIDTHS[i], factor=1 if i == 0 else 6, stride=2 if i in REDUCING else 1)
                for i in range(len(WIDTHS))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.bottlenecks(F.relu6(self.stem(x)))
        return features


def mobilenetv2(weights: str) -> nn.Module:
    """The extractor with the weights of an npz file; every tensor it needs must be there."""
    model = MobileNetV2()
    with np.load(Path(weights)) as arrays:
        state = {
            name: torch.from_numpy(np.asarray(arrays[published_name(name)]))
            for name in model.state_dict()
            if not name.endswith("num_batches_tracked")
        }
    state |= {name: t for name, t in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(state)
    return model


def published_name(name: str) -> str:
    """Our tensor name to the file's, for instance ``bottlenecks.3.project.norm.bias``."""
    leaf = {"weight": "gamma", "bias": "beta"}
    *path, unit, kind, tensor = ("stem", *name.split(".")[1:]) if name.startswith("stem") else name.split(".")
    if unit == "stem":
        where, index = "", 0
    else:
        where, index = f"linearbottleneck{path[1]}_", ("expand", "depthwise", "project").index(unit)
    if kind == "conv":
        return f"{PREFIX}{where}conv{index}_weight"
    return f"{PREFIX}{where}batchnorm{index}_{leaf.get(tensor, tensor)}"

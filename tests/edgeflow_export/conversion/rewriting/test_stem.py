"""Normalisation folded into the first convolution of any extractor that has one, borders included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.contracts.parity import relative_error
from edgeflow_export.conversion.rewriting.stem import EightBitStem, with_eight_bit_stem
from edgeflow_export.features.timm_extractor import build_timm
from edgeflow_export.models.compact_net import CompactNet
from edgeflow_export.models.efficientnet import EfficientNetB5
from edgeflow_export.recipe import TimmExtractor

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
SCALE, OFFSET = (1 / (255 * STD)).view(1, 3, 1, 1), (-MEAN / STD).view(1, 3, 1, 1)


class PadsByItself(nn.Module):
    """A convolution that pads one side only, as published EfficientNets do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 3, 5, 5) / 9)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 2, 0, 3)), self.weight, stride=2)


def timm(name: str) -> nn.Module:
    return build_timm(TimmExtractor(kind="timm", model=name, layer=1), pretrained=False)


TAKES = {
    "self-supervised": lambda: CompactNet(8),
    "convolution alone": lambda: nn.Conv2d(3, 8, 3, padding=1, dilation=2, bias=False),
    "pads by itself": lambda: nn.Sequential(PadsByItself(), nn.ReLU()),
    "timm, mean 0.5": lambda: timm("tf_efficientnet_lite0"),
    "timm, ImageNet": lambda: timm("mobilenetv3_small_100"),
    "no padding": lambda: nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU()),
}


@pytest.mark.parametrize("make", TAKES.values(), ids=TAKES)
@pytest.mark.parametrize("size", [(64, 96), (65, 71)])
def test_images_as_they_are_give_the_same_features(
    make: Callable[[], nn.Module], size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    extractor = make().eval()
    changed, reason = with_eight_bit_stem(extractor, SCALE, OFFSET, size)
    assert changed is not None, reason
    assert any(isinstance(module, EightBitStem) for module in changed.modules())
    assert not any(isinstance(module, EightBitStem) for module in extractor.modules())
    images = torch.randint(0, 256, (2, 3, *size)).float()
    with torch.no_grad():
        expected, got = extractor(images * SCALE + OFFSET), changed(images)
    assert relative_error(got.numpy(), expected.numpy()) < 2e-6


@pytest.mark.long
def test_the_published_extractor_takes_images_as_they_are() -> None:
    torch.manual_seed(0)
    changed, reason = with_eight_bit_stem(EfficientNetB5().eval(), SCALE, OFFSET, (96, 96))
    assert (changed is not None, reason) == (True, "")


class LooksTwice(nn.Module):
    """The images join again behind the first convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.first(x) + x
        return joined


REFUSED = {
    "its first module is not a convolution alone": lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 8, 3)),
    "its first convolution is not a plain one over three colours": lambda: nn.Conv2d(3, 6, 3, groups=3),
    "changed, the extractor would differ": LooksTwice,
    "its first module is not a convolution alone ": lambda: nn.Conv2d(
        3, 8, 3, padding=1, padding_mode="reflect"
    ),
}


@pytest.mark.parametrize(("reason", "make"), REFUSED.items(), ids=["pooled", "grouped", "twice", "reflected"])
def test_an_extractor_of_another_make_stays_as_it_is(reason: str, make: Callable[[], nn.Module]) -> None:
    changed, told = with_eight_bit_stem(make().eval(), SCALE, OFFSET, (32, 32))
    assert changed is None
    assert told.startswith(reason.strip())

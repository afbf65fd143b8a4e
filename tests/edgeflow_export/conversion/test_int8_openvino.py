"""INT8 view by view where an extractor takes single views, else of all views together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.contracts.parity import relative_error
from edgeflow_export.conversion.int8 import convolutions_of_ir
from edgeflow_export.conversion.int8_openvino import float_again, quantize_ir
from edgeflow_export.conversion.onnx_and_ir import convert_to_ir, export_onnx
from edgeflow_export.models.compact_net import CompactNet

VIEWS, SIDE, CHANNELS = 3, 32, 8


class FixedForAllViews(nn.Module):
    """Features whose shape in the graph holds the number of views, as a resize to a size does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, CHANNELS, 8, stride=8)

    def forward(self, x: Tensor) -> Tensor:
        details = torch.relu(self.first(x))
        context: Tensor = F.interpolate(F.avg_pool2d(details, 2), size=details.shape[-2:], mode="nearest")
        return context + details


class OwnConstants(nn.Module):
    """Features in deviations of each view's own, as standardised position by position."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, CHANNELS, 8, stride=8)
        self.register_buffer("scale", 1 + torch.rand(VIEWS, CHANNELS, SIDE // 8, SIDE // 8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.first(x)) * self.get_buffer("scale")


class Line(nn.Module):
    """An extractor, and a flow in which views meet: uint8 (V, H, W, 3) to maps (V, h, w)."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor
        self.mixing = nn.Conv2d(VIEWS * CHANNELS, VIEWS, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.extractor(images.permute(0, 3, 1, 2).float() / 255)
        maps: Tensor = self.mixing(features.reshape(1, -1, *features.shape[2:]))[0]
        return maps


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (VIEWS, SIDE, SIDE, 3), np.uint8)


@pytest.mark.parametrize("extractor", [CompactNet(CHANNELS), FixedForAllViews(), OwnConstants()])
def test_quantized_line_computes_nearly_the_same(extractor: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(1)
    line = Line(extractor).eval()
    export_onnx(
        line, torch.zeros((VIEWS, SIDE, SIDE, 3), dtype=torch.uint8), ("maps",), tmp_path / "line.onnx"
    )
    quantized = quantize_ir(convert_to_ir(tmp_path / "line.onnx"), [images(seed) for seed in range(4)])
    kinds = [node.get_type_name() for node in quantized.get_ordered_ops()]
    assert kinds.count("FakeQuantize") >= 2
    compiled = openvino_core().compile_model(quantized, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.inference_mode():
        expected = line(torch.from_numpy(images(9))).numpy()
    assert 0 < relative_error(np.array(compiled(images(9))[0]), expected) < 0.2


def test_what_goes_back_to_float_computes_as_before_whatever_conversion_called_it(tmp_path: Path) -> None:
    """Normalisations are folded into these convolutions, which then have another name at every conversion."""
    torch.manual_seed(1)
    line = Line(CompactNet(CHANNELS)).eval()
    path = tmp_path / "line.onnx"
    export_onnx(line, torch.zeros((VIEWS, SIDE, SIDE, 3), dtype=torch.uint8), ("maps",), path)
    quantized = quantize_ir(convert_to_ir(path), [images(seed) for seed in range(4)])
    original = convert_to_ir(path)
    whole = quantized.clone()
    float_again(whole, original, range(len(convolutions_of_ir(original))))
    assert "FakeQuantize" not in [node.get_type_name() for node in whole.get_ordered_ops()]
    outputs = [
        np.array(
            openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images(9))[0]
        )
        for model in (original, whole, quantized)
    ]
    assert relative_error(outputs[1], outputs[0]) < 1e-5 < relative_error(outputs[2], outputs[0])


def test_a_convolution_that_is_not_found_is_not_passed_over(tmp_path: Path) -> None:
    line = Line(CompactNet(CHANNELS)).eval()
    path = tmp_path / "line.onnx"
    export_onnx(line, torch.zeros((VIEWS, SIDE, SIDE, 3), dtype=torch.uint8), ("maps",), path)
    never_quantized = convert_to_ir(path)
    with pytest.raises(ValueError, match="not in the quantized graph"):
        float_again(never_quantized, convert_to_ir(path), [0])

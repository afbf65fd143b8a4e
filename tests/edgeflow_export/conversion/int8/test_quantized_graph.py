"""The INT8 graph of a calibration: the same integers on both back ends, and what stays in float unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.contracts.parity import relative_error
from edgeflow_export.conversion.candidate_graphs import OnnxSource
from edgeflow_export.conversion.int8 import Calibration, Int8Options, calibrate, write_quantized
from edgeflow_export.conversion.int8.kept_calibration import kept_calibration
from edgeflow_export.conversion.onnx_and_ir import convert_to_ir, export_onnx
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.models.compact_net import CompactNet

VIEWS, SIDE, CHANNELS = 3, 32, 8


class Mobile(nn.Module):
    """Depthwise and grouped convolutions, with normalisations and a squeeze-excite between."""

    def __init__(self, activate: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.activate = activate
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(8))
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False), nn.BatchNorm2d(8))
        self.gate = nn.Conv2d(8, 8, 1)
        self.point = nn.Conv2d(8, CHANNELS, 1, groups=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activate(self.depth(torch.relu(self.stem(x))))
        features: Tensor = self.point(x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))))
        return features


class Line(nn.Module):
    """An extractor, and a flow in which views meet: uint8 (V, H, W, 3) to maps (V, h, w)."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor
        self.flow = nn.ModuleDict({"blocks": nn.ModuleList([nn.Conv2d(VIEWS * CHANNELS, VIEWS, 3)])})

    def forward(self, images: Tensor) -> Tensor:
        features = self.extractor(images.permute(0, 3, 1, 2).float() / 255)
        joined = F.pad(features.reshape(1, -1, *features.shape[2:]), (1, 1, 1, 1), mode="replicate")
        maps: Tensor = self.flow["blocks"][0](joined)[0]  # type: ignore[index]
        return maps


def images(seed: int) -> np.ndarray:
    """Smooth noise: neighbouring pixels go together, as in pictures."""
    noise = np.random.default_rng(seed).normal(size=(VIEWS, 3, SIDE // 4, SIDE // 4))
    smooth = F.interpolate(torch.from_numpy(noise), scale_factor=4, mode="bilinear").permute(0, 2, 3, 1)
    return np.ascontiguousarray(np.clip(smooth.numpy() * 40 + 120, 0, 255).astype(np.uint8))


SAMPLES = [images(seed) for seed in range(4)]


def exported(extractor: nn.Module, folder: Path) -> OnnxSource:
    torch.manual_seed(1)
    line = Line(extractor).eval()
    for module in line.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
    example = torch.zeros((VIEWS, SIDE, SIDE, 3), dtype=torch.uint8)
    path = folder / "line.onnx"
    return OnnxSource(path=path, tensors=export_onnx(line, example, ("maps",), path), prefix="")


@pytest.fixture(scope="module", params=["compact", "mobile"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxSource:
    torch.manual_seed(1)
    extractor = CompactNet(CHANNELS) if request.param == "compact" else Mobile()
    return exported(extractor, tmp_path_factory.mktemp(request.param))


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    return np.array(ort.InferenceSession(model.SerializeToString()).run(None, {"images": values})[0])


def dequantized(weights: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return weights.astype(np.float32) * scales.reshape(-1, 1, 1, 1)


def expected_weights(calibration: Calibration) -> list[np.ndarray]:
    return [
        dequantized(calibration.weights[layer.name].integers, calibration.weights[layer.name].scales)
        for layer in calibration.layers
    ]


def test_both_back_ends_hold_the_calibration_s_weights_bit_for_bit(source: OnnxSource) -> None:
    calibration = calibrate(source.path, SAMPLES, Int8Options())
    expected = sorted(array.tobytes() for array in expected_weights(calibration))
    onnx_file = source.quantizer("onnxruntime", SAMPLES)(()).files["onnx/int8.onnx"]
    graph = onnx.load_from_string(onnx_file).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    held = [
        dequantized(constants[node.input[0]], constants[node.input[1]])
        for node in graph.node
        if node.op_type == "DequantizeLinear" and constants.get(node.input[0], np.zeros(0)).ndim == 4
    ]
    assert sorted(array.tobytes() for array in held) == expected
    files = source.quantizer("openvino", SAMPLES)(()).files
    ir = openvino_core().read_model(model=files["openvino/int8.xml"], weights=files["openvino/int8.bin"])
    products = [
        node
        for node in ir.get_ordered_ops()
        if node.get_type_name() == "Multiply"
        and node.input_value(0).get_node().get_type_name() == "Convert"
        and node.input_value(0).get_node().input_value(0).get_element_type().get_type_name() == "i8"
    ]
    held = [
        dequantized(
            node.input_value(0).get_node().input_value(0).get_node().data,
            np.array(node.input_value(1).get_node().data),
        )
        for node in products
    ]
    assert sorted(array.tobytes() for array in held) == expected


def test_int8_computes_nearly_the_same_and_second_order_rounding_more_nearly(source: OnnxSource) -> None:
    exact = onnx.load(source.path)
    errors = {}
    for rounding in ("nearest", "second_order"):
        calibration = calibrate(source.path, SAMPLES, Int8Options(rounding=rounding, headroom=1.0))
        quantized = write_quantized(calibration)
        found = [relative_error(run(quantized, images(s)), run(exact, images(s))) for s in (8, 9)]
        errors[rounding] = float(np.mean(found))
    assert 0 < errors["second_order"] < errors["nearest"] < 0.2


def test_what_stays_in_float_has_the_weights_that_it_had(source: OnnxSource) -> None:
    groups = source.groups()
    quantizer = source.quantizer("onnxruntime", SAMPLES)
    fp32 = run(onnx.load(source.path), images(9))
    in_float = run(onnx.load_from_string(quantizer(groups).files["onnx/int8.onnx"]), images(9))
    assert relative_error(in_float, fp32) < 1e-5
    graph = onnx.load_from_string(quantizer(groups[:1]).files["onnx/int8.onnx"]).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    in_int8 = [made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    assert in_int8.count(False) == len(groups[0].members)


def test_openvino_computes_every_layer_in_integers(source: OnnxSource) -> None:
    calibration = calibrate(source.path, SAMPLES, Int8Options())
    path = source.path.with_name("q.onnx")
    onnx.save(write_quantized(calibration), path)
    compiled = openvino_core().compile_model(convert_to_ir(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [
        node.get_rt_info()["runtimePrecision"]
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"] == "Convolution"
    ]
    assert len(kinds) == len(calibration.layers)
    assert all(kind == "u8" or kind == "i8" for kind in kinds)  # noqa: PLR1714 - not strings, and no hash


def test_a_permutation_of_the_flow_s_channels_stays_in_float(tmp_path: Path) -> None:
    line = exported(Mobile(), tmp_path)
    model = onnx.load(line.path)
    flow = next(t for t in model.graph.initializer if t.name.startswith("flow.blocks."))
    ones = np.zeros(tuple(flow.dims), np.float32)
    ones[range(VIEWS), range(VIEWS), 1, 1] = 1
    flow.CopyFrom(numpy_helper.from_array(ones, flow.name))
    onnx.save(model, line.path)
    assert not any(layer.in_flow for layer in calibrate(line.path, SAMPLES, Int8Options()).layers)


def test_images_go_to_int8_only_with_second_order_rounding(source: OnnxSource) -> None:
    by_nearest = calibrate(source.path, SAMPLES, Int8Options(rounding="nearest"))
    by_second_order = calibrate(source.path, SAMPLES, Int8Options())
    assert sum(layer.reads_image for layer in by_second_order.layers) == 1
    assert not any(layer.reads_image for layer in by_nearest.layers)
    assert len(by_nearest.layers) == len(by_second_order.layers) - 1


def test_the_flow_s_ranges_alone_have_headroom(source: OnnxSource) -> None:
    tight, wide = (calibrate(source.path, SAMPLES, Int8Options(headroom=headroom)) for headroom in (1.0, 3.0))
    for layer in tight.layers:
        one, other = (each.ranges[layer.edge.tensor] for each in (tight, wide))
        factor = 3 if layer.in_flow else 1
        assert (other.low, other.high) == pytest.approx((one.low * factor, one.high * factor))


def test_a_resumed_export_takes_the_calibration_over_and_gives_the_same_bytes(
    source: OnnxSource, tmp_path: Path
) -> None:
    said: list[str] = []
    results = StageResults(tmp_path, say=said.append)
    made = kept_calibration(source.path, SAMPLES, Int8Options(), results, ("here",))
    again = kept_calibration(source.path, SAMPLES, Int8Options(), results, ("here",))
    anew = calibrate(source.path, SAMPLES, Int8Options())
    assert said == ["taken over from an earlier export: ranges of activations and rounded weights"]
    bytes_of = [write_quantized(each).SerializeToString() for each in (made, again, anew)]
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


def test_where_runs_start_changes_hardly_a_weight(source: OnnxSource) -> None:
    held = calibrate(source.path, SAMPLES, Int8Options())
    again = calibrate(source.path, SAMPLES, Int8Options(), held_bytes=0)
    # The library joins other operations where a value is shown: a value that lies between two integers may
    # then go to the other one, and later weights make up for that.
    for name, weights in held.weights.items():
        moved = weights.integers.astype(int) - again.weights[name].integers
        assert np.abs(moved).max() <= 2, name
        assert (moved == 0).mean() > 0.9, name
    outputs = [run(write_quantized(each), images(9)) for each in (held, again)]
    assert relative_error(*outputs) < 0.02


def test_the_extractor_s_layers_are_counted(source: OnnxSource) -> None:
    told: list[tuple[int, int]] = []
    found = calibrate(source.path, SAMPLES, Int8Options(), lambda done, whole: told.append((done, whole)))
    whole = sum(not layer.in_flow for layer in found.layers)
    assert told[-1] == (whole, whole)
    assert told == sorted(told)


@pytest.mark.parametrize("activate", [torch.relu, F.silu, F.hardswish])
def test_squeeze_and_excitation_reads_eight_bits_where_the_convolution_before_it_is_in_int8(
    activate: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    source = exported(Mobile(activate), tmp_path)
    calibration = calibrate(source.path, SAMPLES, Int8Options())
    (depth,) = (layer for layer in calibration.layers if layer.squeezed)
    for kept in (False, True):
        graph = write_quantized(calibration, {depth.place} if kept else ()).graph
        readers = {node.name: node for node in graph.node}
        read = {readers[edge.node].input[edge.port] for edge in depth.squeezed}
        tensor = depth.squeezed[0].tensor
        assert read == {tensor if kept else f"{tensor}.rounded"}
        assert {readers[edge.node].op_type for edge in depth.squeezed} == {"ReduceMean", "Mul"}
    whole, part = (run(write_quantized(calibration, kept), SAMPLES[0]) for kept in ((), {depth.place}))
    assert 0 < relative_error(whole, part) < 0.1

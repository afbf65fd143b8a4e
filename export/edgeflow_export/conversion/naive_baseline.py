"""The naive export of a trained model: the published modules through OpenVINO's converter, nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import FloatArray
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import MultiFlow, nll_map
from edgeflow_export.models.patch_memory import PatchMemory
from edgeflow_export.models.plain_flow import PlainFlow

__all__ = ["Naive", "compile_for_bench"]


class Naive:
    """fp32, the extractor for one view after the other, the flow as published, normalisation outside.

    Takes turns in a benchmark with the graphs of a bundle.

    Args:
        views: in the order in which the model sees them.
        threads: 0 for one per core.
    """

    name = "naive-fp32"

    def __init__(
        self, model: InspectionModel, views: Sequence[ViewSpec], size: Preprocessing, *, threads: int
    ) -> None:
        self._views, self._size = views, size
        self._mean, self._std = (np.asarray(t[0].numpy()) for t in (model.image_mean, model.image_std))
        example = torch.zeros(1, 3, size.height, size.width)
        flow = _PublishedFlow(model, len(views)).eval()
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's own notes
            features = model.extractor(example)
            self._extractor = compile_for_bench(_converted(model.extractor, [example]), threads)
            self._flow = compile_for_bench(_converted(flow, [features] * len(views)), threads)

    def score(self, images: Mapping[str, RgbImage]) -> Mapping[str, int]:
        """Nanoseconds by stage; ``graph`` is features and flow together."""
        times = [perf_counter_ns()]
        inputs = [self._normalised(images[view.id], view) for view in self._views]
        times.append(perf_counter_ns())
        features = [self._extractor.infer({0: image})[0].copy() for image in inputs]
        times.append(perf_counter_ns())
        maps = self.maps_of(features)
        times.append(perf_counter_ns())
        maps.max((1, 2)).mean()  # the published scores
        times.append(perf_counter_ns())
        preprocess, extractor, flow, pooling = np.diff(times).tolist()
        return {
            "preprocess": preprocess,
            "graph": extractor + flow,
            "features": extractor,
            "flow": flow,
            "masks": 0,
            "pooling": pooling,
            "part": times[-1] - times[0],
        }

    def maps(self, images: Mapping[str, RgbImage]) -> FloatArray:
        """Anomaly maps (V, h, w), which the bundle's graphs must give too."""
        inputs = [self._normalised(images[view.id], view) for view in self._views]
        return self.maps_of([self._extractor.infer({0: image})[0].copy() for image in inputs])

    def maps_of(self, features: Sequence[FloatArray]) -> FloatArray:
        """Features of each view (1, C, h, w) to anomaly maps (V, h, w)."""
        outputs = self._flow.infer(dict(enumerate(features)))
        return np.concatenate([outputs[index] for index in range(len(features))])

    def _normalised(self, image: RgbImage, view: ViewSpec) -> FloatArray:
        pixels = prepare(image, view, self._size).transpose(2, 0, 1).astype(np.float32) / 255
        return np.ascontiguousarray((pixels - self._mean) / self._std)[np.newaxis]


class _PublishedFlow(nn.Module):
    """Features of each view (1, C, h, w), as the extractor gives them, to anomaly maps (1, h, w) of each."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, model: InspectionModel, views: int) -> None:
        super().__init__()
        flow = model.flow
        self.conditioned = flow is not None and flow.shape.conditioned
        plain = flow is not None and flow.shape.graph.message == "convolution"
        self.head: nn.Module = PlainFlow(flow) if flow is not None and plain else model.head
        for name in ("feature_mean", "feature_std"):
            values: Tensor = getattr(model, name)
            self.register_buffer(name, values.expand(views, *values.shape[1:]))

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        standardised = [
            (maps - self.feature_mean[v : v + 1]) / self.feature_std[v : v + 1]
            for v, maps in enumerate(features)
        ]
        if isinstance(self.head, MultiFlow):
            return tuple(nll_map(self.head(torch.stack(standardised, dim=1)))[0].unsqueeze(1))
        if isinstance(self.head, PatchMemory):
            return tuple(self.head(torch.cat(standardised)).unsqueeze(1))
        noise = torch.zeros_like(features[0][:, :1]) if self.conditioned else None
        assert isinstance(self.head, PlainFlow)  # noqa: S101 - one of three
        return tuple(self.head.nll_maps(standardised, noise))


def compile_for_bench(model: ov.Model, threads: int) -> ov.InferRequest:
    """For latency, in float32, on the processor."""
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    return openvino_core().compile_model(model, "CPU", settings).create_infer_request()


def _converted(module: nn.Module, examples: Sequence[Tensor]) -> ov.Model:
    return ov.convert_model(
        module, example_input=tuple(examples), input=[tuple(example.shape) for example in examples]
    )

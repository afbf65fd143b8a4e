"""One part through OpenVINO: all views at once, or the extractor view by view and then the flow.

With large images, view by view holds a fraction of the activations, which then fit the processor's caches;
views do not meet before the flow, so that the numbers are the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import openvino as ov

from edgeflow.backends.openvino.split_graph import IrParts

__all__ = ["AllViews", "Compile", "Inference", "ViewByView"]

Compile = Callable[[ov.Model, Mapping[str, object]], ov.CompiledModel]
"""Compiles a model with further settings."""


class Inference(Protocol):
    """A compiled graph.

    Attributes:
        compiled: the model that tells where it runs.
    """

    compiled: ov.CompiledModel

    def infer(self, images: npt.NDArray[np.uint8]) -> Any:
        """uint8 (V, H, W, 3) to outputs by name or place, in buffers that are used again."""


class AllViews:
    """The graph as it is."""

    def __init__(self, model: ov.Model, compile_model: Compile) -> None:
        self.compiled = compile_model(model, {})
        self._request = self.compiled.create_infer_request()

    def infer(self, images: npt.NDArray[np.uint8]) -> Any:
        """uint8 (V, H, W, 3) to outputs."""
        return self._request.infer({0: images}, share_inputs=True)


class ViewByView:
    """The graph in two parts.

    Args:
        streams: how many views are in the extractor at once.

    Raises:
        RuntimeError: an extractor whose shapes are fixed for all views, or a failure of OpenVINO's.
    """

    def __init__(self, parts: IrParts, compile_model: Compile, streams: int) -> None:
        features = parts.flow.input(0).shape
        parts.extractor.reshape([1, *parts.extractor.input(0).shape[1:]])
        if list(parts.extractor.output(0).shape) != [1, *features[1:]]:
            raise RuntimeError("the extractor gives other features for one view than for all")
        with ThreadPoolExecutor(1) as beside:  # each takes seconds on one processor
            compiling = beside.submit(compile_model, parts.flow, {"NUM_STREAMS": 1})
            self.compiled = compile_model(parts.extractor, {})
            flow = compiling.result()
        self._requests = [self.compiled.create_infer_request() for _ in range(streams)]
        self._flow = flow.create_infer_request()
        self._features = np.empty(list(features), np.float32)

    def infer(self, images: npt.NDArray[np.uint8]) -> Any:
        """uint8 (V, H, W, 3) to outputs."""
        images = np.ascontiguousarray(images)
        running: deque[tuple[int, ov.InferRequest]] = deque()
        for view in range(len(images)):
            if len(running) == len(self._requests):
                self._collect(*running.popleft())
            request = self._requests[view % len(self._requests)]
            request.set_input_tensor(ov.Tensor(images[view : view + 1], shared_memory=True))
            request.start_async()
            running.append((view, request))
        while running:
            self._collect(*running.popleft())
        return self._flow.infer({0: self._features}, share_inputs=True)

    def _collect(self, view: int, request: ov.InferRequest) -> None:
        request.wait()
        self._features[view] = request.get_output_tensor(0).data[0]

"""Runs of a graph over the calibration parts, each from where the last one had settled.

A stage changes nothing before its own layers. So the values at which the changed part begins are kept for
every part, and the next run starts there: all stages together cost about two runs of the whole graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph

__all__ = ["HELD_BYTES", "Observed", "Passes"]

HELD_BYTES = 1 << 30
"""Bytes of kept values for all parts together; where they would take more, a run starts earlier."""

Observed = Mapping[str, npt.NDArray[np.float32]]
_Feeds = list[dict[str, npt.NDArray[np.generic]]]


class Passes:
    """The calibration parts, and the values that they have where the next run starts.

    Args:
        feeds: of every part, values by the tensor's name.
        held_bytes: see ``HELD_BYTES``.
    """

    def __init__(self, feeds: _Feeds, held_bytes: int = HELD_BYTES) -> None:
        self._feeds = feeds
        self._held_bytes = held_bytes

    @classmethod
    def of(
        cls, model: onnx.ModelProto, samples: Sequence[npt.NDArray[np.generic]], held_bytes: int = HELD_BYTES
    ) -> Passes:
        """Runs that start at a graph's input, one sample per part."""
        name = model.graph.input[0].name
        return cls([{name: sample} for sample in samples], held_bytes)

    def __len__(self) -> int:
        return len(self._feeds)

    def observe(
        self, model: onnx.ModelProto, tensors: Sequence[str], unsettled: Collection[str] | None = None
    ) -> Iterator[Observed]:
        """Values of tensors of a graph, part by part; what only other outputs need is not computed.

        By ONNX Runtime, which begins in a fraction of a second where OpenVINO compiles for seconds.

        Args:
            unsettled: nodes that a later graph will have in another form. Where they are named, the next run
                starts before the first of them.
        """
        graph = OnnxGraph(model)
        front = [] if unsettled is None else _front(graph, unsettled)
        known = self._feeds[0]
        outputs = [name for name in dict.fromkeys((*tensors, *front)) if name not in known]
        session = _session(_cut(graph, known, outputs)) if outputs else None
        ahead: _Feeds | None = None if unsettled is None else []
        for feed in self._feeds:
            values = dict(feed)
            if session is not None:
                needed = {port.name: feed[port.name] for port in session.get_inputs()}
                values |= dict(zip(outputs, session.run(outputs, needed), strict=True))
            if ahead is not None:
                ahead.append({name: values[name] for name in front})
                if _bytes(ahead[0]) * len(self) > self._held_bytes:
                    ahead = None
            yield {name: values[name] for name in tensors}  # type: ignore[misc]
        if ahead is not None:
            self._feeds = ahead


def _bytes(feed: Mapping[str, npt.NDArray[np.generic]]) -> int:
    return sum(value.nbytes for value in feed.values())


def _front(graph: OnnxGraph, unsettled: Collection[str]) -> list[str]:
    """The tensors of the settled part that the unsettled one reads, as far as they depend on the image."""
    computed = {graph.graph.input[0].name}
    moved: set[str] = set()
    front: dict[str, None] = {}
    for node in graph.graph.node:
        inputs = [name for name in node.input if name in computed]
        if not inputs:
            continue
        computed.update(node.output)
        if node.name in unsettled or moved.intersection(inputs):
            moved.update(node.output)
            front |= dict.fromkeys(name for name in inputs if name not in moved)
    return list(front)


def _cut(
    graph: OnnxGraph, inputs: Mapping[str, npt.NDArray[np.generic]], outputs: Sequence[str]
) -> onnx.ModelProto:
    """The part of a graph between tensors, with its own constants alone."""
    needed, waiting = set(outputs), list(outputs)
    nodes: set[str] = set()
    while waiting:
        name = waiting.pop()
        node = graph.producers.get(name)
        if node is None or name in inputs or node.output[0] in nodes:
            continue
        nodes.add(node.output[0])
        read = [each for each in node.input if each and each not in needed]
        needed.update(read)
        waiting += read
    shown = onnx.ModelProto(ir_version=graph.model.ir_version)
    shown.opset_import.extend(graph.model.opset_import)
    shown.functions.extend(graph.model.functions)
    shown.graph.name = graph.graph.name
    shown.graph.node.extend(node for node in graph.graph.node if node.output[0] in nodes)
    shown.graph.initializer.extend(each for each in graph.graph.initializer if each.name in needed)
    for name, value in inputs.items():
        if name in needed:
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
            shown.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, value.shape))
    OnnxGraph(shown).set_outputs(outputs)
    return shown


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # In the graph's order: by default, what nothing else waits for is computed last, and holds what it reads.
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    # Its arena doubles whenever it is too small, and keeps all of it.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

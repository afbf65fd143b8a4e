"""The graph of a network from elsewhere before it is part of a bundle: in ONNX, or an OpenVINO IR alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import openvino as ov

from edgeflow.backends.openvino.compute_cost import macs_of
from edgeflow.contracts.manifest import Tensor
from edgeflow.errors import StorageError
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.onnx_and_ir import Ir, Tensors, serialise_ir
from edgeflow_export.imported.imported_model import ImportedModel
from edgeflow_export.imported.part_graph import IMAGES, MAPS

__all__ = ["IrSource", "draft_imported"]

_AGAIN = "export the network to ONNX for that"


@dataclass(frozen=True, kw_only=True)
class IrSource:
    """An OpenVINO IR without an ONNX graph: OpenVINO alone runs it, in float."""

    graph: Ir
    tensors: Tensors

    unquantizable = f"INT8 is made from ONNX, and this network came as an OpenVINO graph: {_AGAIN}"

    @property
    def identity(self) -> str:
        """A hash of the graph."""
        return hashlib.sha256(self.graph.xml + self.graph.weights).hexdigest()

    def drafts(self, backends: Sequence[str], precisions: Sequence[str]) -> list[CandidateGraph]:
        """The float graphs, fp32 first, bf16 as the same graph run in bf16; of OpenVINO alone."""
        files = {"openvino/fp32.xml": self.graph.xml, "openvino/fp32.bin": self.graph.weights}
        return [
            CandidateGraph(backend="openvino", precision=precision, files=files, tensors=self.tensors)
            for precision in ("fp32", *(p for p in precisions if p == "bf16"))
            if "openvino" in backends
        ]

    def macs(self) -> int:
        """Return the number of multiplications of one run."""
        return macs_of(self.graph.xml, self.graph.weights)

    def notes(self, backends: Sequence[str]) -> tuple[str, ...]:
        """Return what a reader of the bundle must know of back ends that have no graph."""
        return tuple(
            f"{backend}: no graph, since the network came as an OpenVINO graph, which OpenVINO alone runs: "
            f"{_AGAIN}"
            for backend in backends
            if backend != "openvino"
        )


def draft_imported(model: ImportedModel, job: ExportJob) -> OnnxSource | IrSource:
    """The graph of a network from elsewhere, in a folder of its own."""
    target = job.folder / "model"
    target.mkdir(parents=True, exist_ok=True)
    graph = model.graph()
    if isinstance(graph, ov.Model):
        shapes = (tuple(map(int, port.shape)) for port in (graph.inputs[0], graph.outputs[0]))
        return IrSource(graph=serialise_ir(graph, target), tensors=_tensors(*shapes))
    path = target / "model.onnx"
    try:
        onnx.save(graph, path)
    except OSError as cause:
        raise StorageError(
            f"{target}: a graph cannot be written there: {cause}; free some space, or name another folder "
            "for temporary files in TMPDIR; no bundle was written"
        ) from cause
    read, given = (_shape(values[0]) for values in (graph.graph.input, graph.graph.output))
    return OnnxSource(path=path, tensors=_tensors(read, given), prefix="")


def _tensors(read: tuple[int, ...], given: tuple[int, ...]) -> Tensors:
    return Tensors(
        input=Tensor(name=IMAGES, dtype="uint8", shape=read),
        outputs=(Tensor(name=MAPS, dtype="float32", shape=given),),
    )


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)

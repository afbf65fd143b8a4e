"""Graphs before they are part of a bundle: exported, converted or quantized, with their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import torch
from pydantic import TypeAdapter
from torch import nn

from edgeflow.backends.openvino.compute_cost import macs_of_model
from edgeflow.backends.registry import make_runner
from edgeflow.backends.runner import GraphRunner
from edgeflow.contracts.manifest import Graph, Tensor
from edgeflow_export.conversion.int8 import (
    Calibration,
    Group,
    Int8Options,
    groups_of_onnx,
    write_quantized,
)
from edgeflow_export.conversion.int8.kept_calibration import kept_calibration, samples_identity
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.network_int8 import quantize_network
from edgeflow_export.conversion.onnx_and_ir import (
    FOREGROUND,
    Ir,
    Tensors,
    convert_to_ir,
    cut_to_first_output,
    export_onnx,
    serialise_ir,
)
from edgeflow_export.conversion.stage_results import StageResults, module_identity
from edgeflow_export.data.dataset import Images
from edgeflow_export.features.extractors import function_source
from edgeflow_export.recipe import Recipe

__all__ = ["CandidateGraph", "OnnxSource", "draft_onnx"]

_TENSORS = TypeAdapter(tuple[Tensor, ...])


@dataclass(frozen=True, kw_only=True)
class CandidateGraph:
    """One graph and its files; the first is the model, a second its weights."""

    backend: str
    precision: str
    files: dict[str, bytes]
    tensors: Tensors

    @property
    def id(self) -> str:
        """Back end and precision, as the manifest names the graph."""
        return f"{self.backend}-{self.precision}"

    @property
    def identity(self) -> str:
        """A hash of the graph and of how it is run."""
        digest = hashlib.sha256(self.id.encode())
        for name, content in self.files.items():
            digest.update(name.encode() + hashlib.sha256(content).digest())
        return digest.hexdigest()

    def entry(self, *, error: float, tolerance: float, with_mask: bool = True) -> Graph:
        """The graph's entry in the manifest.

        Args:
            with_mask: name the distilled foreground among the outputs, where the graph has one.
            error: largest relative error against torch.
            tolerance: what a replay on a box may deviate.
        """
        names = list(self.files)
        outputs = {tensor.name: tensor for tensor in self.tensors.outputs}
        mask_output = outputs.get(FOREGROUND) if with_mask and len(outputs) > 1 else None
        return Graph.model_validate(
            {
                "backend": self.backend,
                "precision": self.precision,
                "model": names[0],
                "weights": names[1] if len(names) > 1 else None,
                "input": self.tensors.input,
                "output": self.tensors.outputs[0],
                "mask_output": mask_output,
                "measured_error": error,
                "tolerance": tolerance,
            }
        )

    def runner(self) -> GraphRunner:
        """The graph compiled for this machine's processor."""
        entry = self.entry(error=0.0, tolerance=1.0)
        return make_runner(entry, self.files[entry.model], self.files.get(entry.weights or ""))


@dataclass(frozen=True, kw_only=True)
class OnnxSource:
    """An exported ONNX graph, from which every draft is made.

    Attributes:
        prefix: of the files' names in the bundle; empty for the anomaly graphs.
    """

    path: Path
    tensors: Tensors
    prefix: str
    _calibrated: dict[str, Calibration] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> str:
        """A hash of the graph."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def cut(self) -> OnnxSource:
        """The same graph without its later outputs, such as a distilled foreground that was not chosen."""
        target = self.path.with_name("cut.onnx")
        cut_to_first_output(self.path, target)
        return OnnxSource(
            path=target, prefix=self.prefix, tensors=replace(self.tensors, outputs=self.tensors.outputs[:1])
        )

    def drafts(self, backends: Sequence[str], precisions: Sequence[str]) -> list[CandidateGraph]:
        """The float graphs of every back end: fp32 first, bf16 as the same graph run in bf16."""
        drafts = []
        for precision in ("fp32", *(p for p in precisions if p == "bf16")):
            if "openvino" in backends:
                drafts.append(self._float(precision))
            if "onnxruntime" in backends and precision == "fp32":
                drafts.append(self._onnx(precision, self.path))
        return drafts

    def groups(self, options: Int8Options | None = None) -> tuple[Group, ...]:
        """The convolutions that go to INT8, in groups; the same for every back end."""
        return groups_of_onnx(self.path, options or Int8Options())

    def quantized(self, backend: str, parts: Iterable[Images], kept: Sequence[Group] = ()) -> CandidateGraph:
        """The INT8 graph of one back end, calibrated on normal parts.

        Args:
            kept: groups of convolutions that stay in float.
        """
        return self.quantizer(backend, parts)(kept)

    def quantizer(
        self,
        backend: str,
        parts: Iterable[Images],
        options: Int8Options | None = None,
        results: StageResults | None = None,
    ) -> Callable[[Sequence[Group]], CandidateGraph]:
        """As :meth:`quantized` for any number of choices of what stays in float.

        All of them, on every back end, share one calibration.

        Args:
            results: where the calibration is kept for the case of an interruption.
        """
        samples, options = list(parts), options or Int8Options()
        identity = samples_identity(samples, options)
        if identity not in self._calibrated:
            self._calibrated[identity] = kept_calibration(
                self.path, samples, options, results or StageResults(), (self.identity, identity)
            )
        calibration = self._calibrated[identity]
        return lambda kept: self._quantized(backend, calibration, _members(kept))

    def macs(self) -> int:
        """Return the number of multiplications of one run."""
        return macs_of_model(convert_to_ir(self.path))

    def _quantized(self, backend: str, calibration: Calibration, kept: Collection[int]) -> CandidateGraph:
        target = self.path.with_name("int8.onnx")
        runtime = backend == "onnxruntime"
        onnx.save(write_quantized(calibration, kept, integer_bias=runtime), target)
        if runtime:
            return self._onnx("int8", target)
        return self._ir("int8", serialise_ir(convert_to_ir(target), self.path.parent))

    def quantized_network(self, samples: Sequence[Images], *, products: bool) -> CandidateGraph:
        """The INT8 graph of a foreground network on OpenVINO; see ``quantize_network``."""
        quantized = quantize_network(convert_to_ir(self.path), samples, products=products)
        return self._ir("int8", serialise_ir(quantized, self.path.parent))

    def int8(self, backend: str, files: dict[str, bytes]) -> CandidateGraph:
        """An INT8 graph from its files, as :meth:`quantized` gave them."""
        return CandidateGraph(backend=backend, precision="int8", files=files, tensors=self.tensors)

    def _float(self, precision: str) -> CandidateGraph:
        """The float IR; in bf16 the same files as in fp32, so that it costs the bundle nothing."""
        draft = self._ir("fp32", serialise_ir(convert_to_ir(self.path), self.path.parent))
        return replace(draft, precision=precision)

    def _ir(self, precision: str, ir: Ir) -> CandidateGraph:
        stem = f"{self.prefix}openvino/{precision}"
        files = {f"{stem}.xml": ir.xml, f"{stem}.bin": ir.weights}
        return CandidateGraph(backend="openvino", precision=precision, files=files, tensors=self.tensors)

    def _onnx(self, precision: str, path: Path) -> CandidateGraph:
        files = {f"{self.prefix}onnx/{precision}.onnx": path.read_bytes()}
        return CandidateGraph(backend="onnxruntime", precision=precision, files=files, tensors=self.tensors)


def _members(groups: Sequence[Group]) -> set[int]:
    return {member for group in groups for member in group.members}


def draft_onnx(
    module: nn.Module,
    example: torch.Tensor,
    outputs: Sequence[str],
    job: ExportJob,
    *,
    prefix: str = "",
) -> OnnxSource:
    """Export a module to ONNX in a folder of its own, or take over what an interrupted export made of it.

    Args:
        example: of the graph's input; see ``export_onnx``.
        prefix: of the files' names in the bundle, ending in a slash.
    """
    target = job.folder / (prefix or "model")
    target.mkdir(parents=True, exist_ok=True)
    path = target / "model.onnx"

    def make() -> dict[str, bytes]:
        tensors = export_onnx(module, example, outputs, path)
        described = _TENSORS.dump_json((tensors.input, *tensors.outputs))
        return {"model": path.read_bytes(), "tensors": described}

    described = job.model.recipe
    assert isinstance(described, Recipe)  # noqa: S101 - a module is of a trained model
    recipe = described.model_dump_json(include={"extractor", "model", "flow", "patch_memory", "foreground"})
    decided_by = (
        module_identity(module),
        function_source(described.extractor),
        recipe,
        str(tuple(example.shape)),
    )
    files = job.results.kept_files(f"ONNX graph of the {' and '.join(outputs)}", decided_by, make)
    path.write_bytes(files["model"])
    first, *others = _TENSORS.validate_json(files["tensors"])
    return OnnxSource(path=path, tensors=Tensors(input=first, outputs=tuple(others)), prefix=prefix)

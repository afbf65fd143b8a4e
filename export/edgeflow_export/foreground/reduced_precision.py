"""The foreground network in fewer bits, kept where its masks and the verdicts from them allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.backends.openvino.bf16 import computes_in_bf16
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Preprocessing
from edgeflow.contracts.mask_postprocessing import foreground_masks
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import ConfigError
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.data.dataset import Images, ahead
from edgeflow_export.foreground.choice import ForegroundData, compare_masks

__all__ = ["ReducedNetwork", "reduce_network", "require_bf16"]

CALIBRATION_IMAGES = 20


@dataclass(frozen=True, kw_only=True)
class ReducedNetwork:
    """A network in INT8 or bf16, and the masks (n, V, h, w) that it gives for the export's parts."""

    draft: CandidateGraph
    masks: Masks


def require_bf16(what: str) -> None:
    """Refuse bf16 where the processor only imitates it: nothing that was measured here would hold elsewhere.

    Args:
        what: the setting that asks for it.

    Raises:
        ConfigError: this processor does not compute in bf16.
    """
    if not computes_in_bf16():
        raise ConfigError(
            f"{what}: this processor does not compute in bf16 (AVX512-BF16, AMX or Arm's BF16), so its "
            "effect cannot be measured here; export on one that does, or choose int8 or fp32"
        )


def reduce_network(
    job: ExportJob, source: OnnxSource, size: int, evidence: ForegroundData
) -> tuple[ReducedNetwork | None, str]:
    """The network as the recipe's ``foreground.precision`` wants it, with less of it reduced where need be.

    INT8 begins with convolutions and matrix products, then convolutions alone; then bf16, where the processor
    has it; then nothing.

    Args:
        source: the network's ONNX graph.
        size: side of its images.
        evidence: what masks are judged by.

    Returns:
        The graph, or None; and what was found, for the bundle.
    """
    search = _Search(job=job, source=source, size=size, evidence=evidence)
    steps: list[str] = []
    for name, make in search.forms(job.model.recipe.foreground.precision):
        with job.stage(f"foreground network: {name}"):
            draft = make()
        found, figures = search.tried(name, draft)
        with job.stage(f"foreground network {figures}"):
            pass
        if found is not None:
            return found, "; not kept: ".join([f"network in {figures}", *steps])
        steps.append(figures)
    return None, f"network in fp32; not kept: {'; '.join(steps)}"


@dataclass(frozen=True, kw_only=True)
class _Search:
    """One network, and what its reduced forms are tried on."""

    job: ExportJob
    source: OnnxSource
    size: int
    evidence: ForegroundData

    def forms(self, precision: str) -> Iterator[tuple[str, Callable[[], CandidateGraph]]]:
        """Return the graphs to try, the most reduced first."""
        if precision == "int8":
            samples = self._samples()
            yield (
                "int8 convolutions and products",
                lambda: self._quantized(samples, products=True),
            )
            yield "int8 convolutions", lambda: self._quantized(samples, products=False)
        if precision == "bf16" or computes_in_bf16():
            yield "bf16", lambda: self.source.drafts(("openvino",), ("bf16",))[-1]

    def tried(self, name: str, draft: CandidateGraph) -> tuple[ReducedNetwork | None, str]:
        """The graph, if it keeps masks and verdicts; and its figures."""
        masks = self._masks(draft)
        found = compare_masks(name, masks, self.evidence)
        return (ReducedNetwork(draft=draft, masks=masks) if found.fits else None), found.figures

    def _quantized(self, samples: Sequence[Images], *, products: bool) -> CandidateGraph:
        job = self.job
        files = job.results.kept_files(
            f"foreground network in INT8, {'with' if products else 'without'} products",
            (
                self.source.identity,
                str(len(samples)),
                job.results.parts_identity(job.data.training, job.data),
            ),
            lambda: self.source.quantized_network(samples, products=products).files,
        )
        return self.source.int8("openvino", files)

    def _samples(self, count: int = CALIBRATION_IMAGES) -> list[Images]:
        """Images (1, size, size, 3) of normal parts, every view in turn."""
        parts = self.job.data.training[: -(-count // len(self.job.data.views))]
        return [view[np.newaxis] for part in parts for view in self._prepared(part)][:count]

    def _masks(self, draft: CandidateGraph) -> Masks:
        job = self.job
        kept = job.results.kept(
            f"masks of {len(job.parts)} parts by the foreground network in {draft.precision}",
            (draft.identity, str(self.size), job.results.parts_identity(job.parts, job.data)),
            lambda: {"masks": self._computed(draft)},
        )
        return np.asarray(kept["masks"], np.uint8)

    def _computed(self, draft: CandidateGraph) -> Masks:
        height, width = self.evidence.truth.shape[2:]
        runner = draft.runner()
        try:
            return np.stack(
                [
                    np.concatenate(
                        [foreground_masks(runner.run(view[np.newaxis])[0], height, width) for view in views]
                    )
                    for views in ahead(self._prepared, self.job.parts)
                ]
            )
        finally:
            runner.close()

    def _prepared(self, part: RecordedPart) -> Images:
        """All views of a part as the network takes them, uint8 (V, size, size, 3)."""
        size, data = Preprocessing(height=self.size, width=self.size), self.job.data
        return np.stack(
            [prepare(read_image(part.images[view.id], data.reading), view, size) for view in data.views]
        )

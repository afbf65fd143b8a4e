"""A graph tried on recorded parts: its maps, masks and scores, as a box would compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.preprocess import blank_image
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    PixelStatistics,
    masked,
    part_score,
    standardise,
    view_scores,
)
from edgeflow.errors import DataError
from edgeflow_export.conversion.candidate_graphs import CandidateGraph
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND, MAPS
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.dataset import Dataset, iterate_images
from edgeflow_export.quantization.accuracy_guard import Scored

__all__ = ["GraphTrial", "require_finite"]


@dataclass(frozen=True, kw_only=True)
class GraphTrial:
    """Parts, and how their maps become scores.

    Attributes:
        masks: foreground (n, V, h, w) of the parts; None where every pixel counts.
        held_out: how many of the parts, the first ones, are normal ones that thresholds come from.
        distilled: every graph gives its own foreground instead.
        results: where maps are kept for the case of an interruption.
    """

    parts: Sequence[RecordedPart]
    data: Dataset
    scoring: Scoring
    statistics: PixelStatistics | None
    held_out: int = 0
    masks: Masks | None = None
    distilled: bool = False
    results: StageResults = field(default_factory=StageResults)

    def score(self, draft: CandidateGraph) -> Scored:
        """Score all parts with one graph."""
        maps, own = self._run(draft, self.parts, ())
        return self.scored(maps, own if self.distilled else self.masks, own)

    def score_subsets(
        self, draft: CandidateGraph, count: int, subsets: Sequence[tuple[str, ...]]
    ) -> dict[tuple[str, ...], FloatArray]:
        """Part scores (count,) from some views alone, while the graph sees blank images for the others.

        Args:
            count: how many of the parts, the first ones.
            subsets: the present views of each set.
        """
        ids = self.data.view_ids
        found = {}
        for present in subsets:
            kept = [index for index, view in enumerate(ids) if view in present]
            absent = [index for index, view in enumerate(ids) if view not in present]
            maps, own = self._run(draft, self.parts[:count], absent)
            masks = own if self.distilled else self.masks
            views = self._views(maps, None if masks is None else masks[:count])
            found[present] = part_score(views[:, kept], self.scoring.only(kept))
        return found

    def _run(
        self, draft: CandidateGraph, parts: Sequence[RecordedPart], absent: Sequence[int]
    ) -> tuple[FloatArray, Masks | None]:
        """Maps (n, V, h, w), and the foreground that the graph itself gives.

        Args:
            absent: views of which the graph is given a blank image.
        """
        kept = self.results.kept(
            f"maps of {len(parts)} parts by {draft.id}",
            (draft.identity, self.results.parts_identity(parts, self.data), str(list(absent))),
            lambda: self._computed(draft, parts, absent),
        )
        own = kept.get(FOREGROUND)
        return np.asarray(kept[MAPS], np.float32), None if own is None else np.asarray(own, np.uint8)

    def _computed(
        self, draft: CandidateGraph, parts: Sequence[RecordedPart], absent: Sequence[int]
    ) -> dict[str, npt.NDArray[Any]]:
        size = self.data.preprocessing
        runner = draft.runner()
        outputs = []
        try:
            for images in iterate_images(parts, self.data):
                images[list(absent)] = blank_image(size.height, size.width)
                outputs.append(runner.run(images))
        finally:
            runner.close()
        found = {MAPS: np.stack([output[0] for output in outputs])}
        if len(draft.tensors.outputs) > 1:
            found[FOREGROUND] = np.stack([np.asarray(output[1] > 0, np.uint8) for output in outputs])
        return found

    def counted(self, scored: Scored) -> FloatArray:
        """Maps (n, V, h, w) as they are pooled: standardised, background 0."""
        return masked(standardise(scored.maps, self.statistics), scored.masks)

    def _views(self, maps: FloatArray, masks: Masks | None) -> FloatArray:
        return view_scores(masked(standardise(maps, self.statistics), masks), self.scoring)

    def scored(self, maps: FloatArray, masks: Masks | None, own: Masks | None = None) -> Scored:
        """Scores of maps under masks.

        Args:
            own: masks that the graph itself gave.
        """
        views = self._views(maps, masks)
        return Scored(
            maps=maps,
            masks=masks,
            own_masks=own,
            views=views,
            parts=part_score(views, self.scoring),
            defective=_labels(self.parts),
            held_out=self.held_out,
        )


def require_finite(maps: FloatArray, parts: Sequence[RecordedPart], data: Dataset, by: str) -> None:
    """Refuse maps (n, V, h, w) that hold values which are no numbers.

    Args:
        by: what computed them.

    Raises:
        DataError: every such part is named, with the view and its image.
    """
    problems = [
        f"part {part.part_id}, view {view}: {part.images[view]}"
        for part, views in zip(parts, maps, strict=False)
        for view, values in zip(data.view_ids, views, strict=True)
        if not np.isfinite(values).all()
    ]
    if problems:
        raise DataError(
            f"{by} gives values that are not finite for {len(problems)} view(s); check these images, and the "
            "weights of the extractor and the flow; nothing was written",
            problems=problems,
        )


def _labels(parts: Sequence[RecordedPart]) -> npt.NDArray[np.bool_] | None:
    flags = [part.defective for part in parts]
    return None if None in flags else np.array(flags, np.bool_)

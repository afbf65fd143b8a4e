"""A graph tried on recorded parts: its maps, masks and scores, as a box would compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.parts import RecordedPart
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    PixelStatistics,
    masked,
    part_score,
    standardise,
    view_scores,
)
from edgeflow_export.datasets import Dataset, iterate_images
from edgeflow_export.drafts import Draft
from edgeflow_export.guard import Scored

__all__ = ["Trial"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Parts, and how their maps become scores.

    Attributes:
        masks: foreground (n, V, h, w) of the parts; None where every pixel counts.
        distilled: every graph gives its own foreground instead.
    """

    parts: Sequence[RecordedPart]
    data: Dataset
    scoring: Scoring
    statistics: PixelStatistics | None
    masks: Masks | None = None
    distilled: bool = False

    def score(self, draft: Draft) -> Scored:
        """What one graph gives for all parts."""
        runner = draft.runner()
        try:
            outputs = [runner.run(images) for images in iterate_images(self.parts, self.data)]
        finally:
            runner.close()
        maps = np.stack([output[0] for output in outputs])
        own = None
        if len(draft.tensors.outputs) > 1:
            own = np.stack([np.asarray(output[1] > 0, np.uint8) for output in outputs])
        return self.scored(maps, own if self.distilled else self.masks, own)

    def scored(self, maps: FloatArray, masks: Masks | None, own: Masks | None = None) -> Scored:
        """Scores of maps under masks.

        Args:
            own: masks that the graph itself gave.
        """
        views = view_scores(masked(standardise(maps, self.statistics), masks), self.scoring)
        return Scored(
            maps=maps,
            masks=masks,
            own_masks=own,
            views=views,
            parts=part_score(views, self.scoring),
            defective=_labels(self.parts),
        )


def _labels(parts: Sequence[RecordedPart]) -> npt.NDArray[np.bool_] | None:
    flags = [part.defective for part in parts]
    return None if None in flags else np.array(flags, np.bool_)

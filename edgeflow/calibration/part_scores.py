"""Raw scores of recorded parts by one graph, whole and without the views that may be missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edgeflow.calibration.thresholds import Method, calibrate
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import Manifest, Thresholds
from edgeflow.contracts.preprocess import blank_image, reading_of
from edgeflow.contracts.scoring import FloatArray, part_score
from edgeflow.errors import DataError
from edgeflow.scoring.scorer import Scorer, Scores

__all__ = ["MeasuredPart", "PartScores", "score_tolerance"]


@dataclass(frozen=True, kw_only=True)
class MeasuredPart:
    """Raw scores of one part by one graph.

    Attributes:
        views: in the order of the bundle.
        subsets: part scores without some of the views, in the order of :attr:`PartScores.subsets`; none of a
            defective part.
    """

    part: float
    views: tuple[float, ...]
    subsets: tuple[float, ...]


class PartScores:
    """Scores of one graph for good parts, and for defective ones where there are some.

    Attributes:
        subsets: sets of present views of which the graph has thresholds.
        good: part id → raw score of the good parts.
    """

    def __init__(self, manifest: Manifest, scorer: Scorer) -> None:
        self._manifest, self._scorer = manifest, scorer
        self.subsets = [tuple(key.split(",")) for key in scorer.thresholds.subsets]
        self.good: dict[str, float] = {}
        self._pictures: dict[tuple[int, str], str] = {}
        self._views: list[list[float]] = []
        self._from_subsets: list[list[float]] = []
        self._defective: list[float] = []

    def add(self, parts: Iterable[RecordedPart]) -> None:
        """Score parts.

        Raises:
            DataError: images that cannot be read, or scores that are not finite; every such part is named.
        """
        problems = []
        reading = reading_of(self._manifest.preprocessing)
        for part in parts:
            try:
                images = {view: read_image(part.images[view], reading) for view in self._manifest.view_ids}
                self._add(part, images)
            except DataError as error:
                problems.append(f"part {part.part_id}: {error.message}")
        if problems:
            raise DataError(
                f"{len(problems)} part(s) cannot be used; repair these or take them out", problems=problems
            )

    def measure(self, part: RecordedPart) -> MeasuredPart:
        """Score one part and forget it again.

        Raises:
            DataError: an image cannot be read, or a score is not finite.
        """
        reading = reading_of(self._manifest.preprocessing)
        images = {view: read_image(part.images[view], reading) for view in self._manifest.view_ids}
        return self._measured(images, self._scorer.score(images, ask="all"), part)

    def _add(self, part: RecordedPart, images: Mapping[str, RgbImage]) -> None:
        whole = self._scorer.score(images, ask="all")
        self._require_new_pictures(part, whole)
        measured = self._measured(images, whole, part)
        if part.defective:
            self._defective.append(measured.part)
            return
        self.good[part.part_id] = measured.part
        self._views.append(list(measured.views))
        self._from_subsets.append(list(measured.subsets))

    def _measured(self, images: Mapping[str, RgbImage], whole: Scores, part: RecordedPart) -> MeasuredPart:
        reduced = [] if part.defective else [self._without(images, present) for present in self.subsets]
        if not np.isfinite([whole.part, *whole.views.values(), *reduced]).all():
            raise DataError("a score is not finite")
        return MeasuredPart(part=whole.part, views=tuple(whole.views.values()), subsets=tuple(reduced))

    def _require_new_pictures(self, part: RecordedPart, scores: Scores) -> None:
        """Refuse a part with a picture of another one: parts that are there twice prove nothing twice."""
        repeated = []
        for view, (name, image) in enumerate(zip(self._manifest.view_ids, scores.inputs, strict=True)):
            key = view, hashlib.sha256(image.tobytes()).hexdigest()
            first = self._pictures.setdefault(key, part.part_id)
            if first != part.part_id:
                repeated.append(f"{name} is that of part {first}")
        if repeated:
            raise DataError(f"the picture of view {', of view '.join(repeated)}")

    def _without(self, images: Mapping[str, RgbImage], present: tuple[str, ...]) -> float:
        """The part score from the present views, while the graph sees blank images for the others."""
        shown = {
            view: image if view in present else blank_image(*image.shape[:2])
            for view, image in images.items()
        }
        views = self._scorer.score(shown, ask="all").views
        places = [place for place, view in enumerate(self._manifest.view_ids) if view in present]
        kept = np.array([views[self._manifest.view_ids[place]] for place in places], np.float32)
        return float(part_score(kept, self._manifest.scoring.only(places)))

    def thresholds(self, rate: float, method: Method) -> Thresholds:
        """The graph's thresholds from these parts; see ``calibrate``."""
        by_subset = np.array(self._from_subsets, np.float32)
        subsets = {present: by_subset[:, index] for index, present in enumerate(self.subsets)}
        return calibrate(
            _array(list(self.good.values())),
            np.array(self._views, np.float32),
            self._manifest.view_ids,
            rate,
            method=method,
            subsets=subsets,
            defective=_array(self._defective) if self._defective else None,
            tolerance=score_tolerance(self._manifest),
        )


def score_tolerance(manifest: Manifest) -> float:
    """Relative error that a score may have: no threshold lies that near to one."""
    return min(graph.tolerance for graph in manifest.graphs) * manifest.scoring.sensitivity


def _array(values: list[float]) -> FloatArray:
    return np.array(values, np.float32)

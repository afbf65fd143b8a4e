"""A view set's images to anomaly maps and raw scores, whatever back end computes the maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeflow.backends.runner import ActualPlacement, GraphRunner
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Manifest, Scale, Thresholds, ViewSpec
from edgeflow.contracts.preprocess import blank_image, prepare
from edgeflow.contracts.scoring import (
    CLEAR,
    FloatArray,
    Masks,
    PixelStatistics,
    scaled,
    standardise,
    subset_scale,
)
from edgeflow.scoring.foreground import ForegroundSource
from edgeflow.scoring.lazy_masks import LazyScores, score_with_all_masks, score_with_lazy_masks

__all__ = ["MaskDemand", "Scorer", "Scores", "StageTimes"]

MaskDemand = Literal["all", "some", "needed"]


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Nanoseconds that the stages of one part's scoring took; together they are all of it.

    Attributes:
        preprocess: camera images to model images.
        graph: model images to anomaly maps.
        masks: the foreground masks that were asked for.
        pooling: everything else: standardising, masking, view and part scores.
    """

    preprocess: int = 0
    graph: int = 0
    masks: int = 0
    pooling: int = 0

    @property
    def total(self) -> int:
        """Time of all stages together."""
        return self.preprocess + self.graph + self.masks + self.pooling


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Raw scores of one part.

    Attributes:
        inputs: the model images, uint8 (V, H, W, 3).
        maps: anomaly maps, float32 (V, h, w), standardised and blurred where the bundle says so, background 0
            in the ``masked`` views; of an absent view it means nothing.
        raw_maps: as the graph gives them.
        masks: masks of the ``masked`` views, 1 everywhere in the others; None without a foreground.
        views: view → raw score, without absent views; of a view that is not masked though the bundle has a
            foreground, the highest that its mask could give.
        part: raw score.
        unmasked: view → the highest raw score that any mask could give, also where its mask is known; empty
            where masks cost nothing, so that ``views`` has them all.
        masked: views whose foreground mask was asked for.
        empty: those of them in which no foreground was found.
        highest: the highest part score, views without foreground counted as if all of it were.
        spent: where the time went.
    """

    inputs: npt.NDArray[np.uint8]
    maps: FloatArray
    raw_maps: FloatArray
    masks: Masks | None
    views: Mapping[str, float]
    part: float
    unmasked: Mapping[str, float] = field(default_factory=dict)
    masked: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    highest: float
    spent: StageTimes = StageTimes()


class Scorer:
    """Preprocessing, graph, foreground, pooling: the same steps at calibration, verification and on the line.

    Args:
        runner: the anomaly graph.
        thresholds: of this graph; see ``Manifest.thresholds_of``.
        foreground: None where every pixel counts, or the runner gives the foreground itself.
        clock: monotonic, in nanoseconds.
    """

    def __init__(
        self,
        manifest: Manifest,
        runner: GraphRunner,
        thresholds: Thresholds,
        statistics: PixelStatistics | None = None,
        foreground: ForegroundSource | None = None,
        clock: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self._clock = clock
        self._manifest = manifest
        self._view_ids = manifest.view_ids  # made anew at every call, which shows beside a small graph
        self._runner = runner
        self.thresholds = thresholds
        self._statistics = statistics
        self._foreground = foreground

    def score(self, images: Mapping[str, RgbImage], *, ask: MaskDemand = "needed") -> Scores:
        """Score one part.

        Args:
            images: one uint8 (H, W, 3) image per view of the bundle. For a view that is absent the graph
                sees a blank image, and the part score comes from the others alone, as at calibration.
            ask: which foreground masks to ask for where they are costly: all; those that can change the
                part's verdict, which is the same either way; or these and at least one.

        Raises:
            DataError: an image does not fit the bundle's preprocessing.
            DeviceError: the back end failed.
        """
        manifest = self._manifest
        begun_ns = self._clock()
        inputs = np.stack([self._input(view, images) for view in manifest.views])
        prepared_ns = self._clock()
        raw_maps, *logits = self._runner.run(inputs)
        mapped_ns = self._clock()
        masks = np.ones(raw_maps.shape, np.uint8)
        kept = [index for index, view in enumerate(self._view_ids) if view in images]
        maps = standardise(raw_maps, self._statistics)
        settled, masks_ns = self._settled(maps, logits, images, masks, ask, kept)
        has_foreground = manifest.foreground is not None
        ids = [self._view_ids[index] for index in kept]
        if len(kept) == len(maps):
            maps = settled.maps
        else:
            maps = maps.copy()
            maps[kept] = settled.maps
        return Scores(
            inputs=inputs,
            maps=maps,
            raw_maps=raw_maps,
            masks=masks if has_foreground else None,
            views={view: float(score) for view, score in zip(ids, settled.views, strict=True)},
            part=settled.part,
            unmasked={view: float(score) for view, score in zip(ids, settled.unmasked, strict=True)}
            if has_foreground
            else {},
            masked=tuple(ids[view] for view in settled.asked) if has_foreground else (),
            empty=tuple(ids[view] for view in settled.empty) if has_foreground else (),
            highest=settled.highest,
            spent=StageTimes(
                preprocess=prepared_ns - begun_ns,
                graph=mapped_ns - prepared_ns,
                masks=masks_ns,
                pooling=self._clock() - mapped_ns - masks_ns,
            ),
        )

    def _settled(
        self,
        maps: FloatArray,
        logits: Sequence[FloatArray],
        images: Mapping[str, RgbImage],
        masks: Masks,
        ask: MaskDemand,
        kept: Sequence[int],
    ) -> tuple[LazyScores, int]:
        """Scores with the masks that were asked for, and the nanoseconds that these took.

        Args:
            maps: (V, h, w), standardised.
            masks: (V, h, w); the masks are written into it.
            kept: indices of the views that are there; the result knows these alone.
        """
        manifest = self._manifest
        asked = masks_ns = 0

        scale = self._scale([self._view_ids[index] for index in kept])

        def mask_of(place: int) -> Masks:
            nonlocal asked, masks_ns
            asked += 1
            view = kept[place]
            begun_ns = self._clock()
            if logits:
                masks[view] = logits[0][view] > 0
            elif self._foreground is not None:
                spec = manifest.views[view]
                masks[view] = self._foreground.mask(spec, view, images[spec.id])
            masks_ns += self._clock() - begun_ns
            mask: Masks = masks[view]
            return mask

        whole = len(kept) == len(maps)
        shown, scoring = maps if whole else maps[list(kept)], manifest.scoring.only(kept)
        if manifest.foreground is not None and not (self._foreground and self._foreground.costly):
            for place in range(len(kept)):
                mask_of(place)
            return score_with_all_masks(shown, scoring, masks if whole else masks[list(kept)]), masks_ns
        enough = {"all": len(manifest.views), "some": 1, "needed": 0}[ask]
        settled = score_with_lazy_masks(
            shown,
            scoring,
            mask_of if manifest.foreground is not None else None,
            lambda lowest, highest: asked >= enough and _is_settled(lowest, highest, scale),
        )
        return settled, masks_ns

    def _input(self, view: ViewSpec, images: Mapping[str, RgbImage]) -> npt.NDArray[np.uint8]:
        spec = self._manifest.preprocessing
        if view.id not in images:
            return blank_image(spec.height, spec.width)
        return prepare(images[view.id], view, spec)

    def _scale(self, present: Sequence[str]) -> Scale | None:
        return subset_scale(self.thresholds, present)

    @property
    def placement(self) -> ActualPlacement:
        """Device and settings with which the anomaly graph really runs."""
        return self._runner.placement

    def close(self) -> None:
        """Release the device."""
        self._runner.close()
        if self._foreground is not None:
            self._foreground.close()


def _is_settled(lowest: float, highest: float, scale: Scale | None) -> bool:
    return scale is not None and (
        scaled(highest, scale) <= 1.0 - CLEAR or scaled(lowest, scale) > 1.0 + CLEAR
    )

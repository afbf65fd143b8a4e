"""One part's decision and result messages, from what the line knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import utc_text
from edgeflow.contracts.geometry.view_geometry import ViewGeometry
from edgeflow.contracts.manifest import Graph, Manifest
from edgeflow.contracts.messages import (
    BundleInfo,
    Deadline,
    Decision,
    GraphChosenBy,
    Region,
    Result,
    SyncInfo,
    ViewResult,
)
from edgeflow.decision.decision import Policy, Verdict
from edgeflow.decision.session import Session
from edgeflow.scoring.heatmap import find_regions
from edgeflow.scoring.scorer import Scores

__all__ = ["NO_BUNDLE", "Origin", "ResultMaker", "Timing", "bundle_info"]

NO_BUNDLE = BundleInfo(name="", sha256="", backend="", precision="")
"""Of a part that no bundle decided, since its product is not known."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Monotonic stamps of one part on its way through the line."""

    taken_ns: int
    scored_ns: int
    published_ns: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Origin of results: site, line, station and box.

    Attributes:
        box: the box's name among all boxes.
    """

    site: str
    line: str
    station: str
    box: str


def bundle_info(bundle: Bundle, graph: Graph, chosen_by: GraphChosenBy | None = None) -> BundleInfo:
    """Return the description of a bundle for messages."""
    return BundleInfo(
        name=bundle.manifest.name,
        sha256=bundle.sha256,
        backend=graph.backend,
        precision=graph.precision,
        graph_chosen_by=chosen_by,
    )


class ResultMaker:
    """Makes the messages that one bundle decides on; without one, those of parts of no known product.

    Args:
        session: gives every part its number; the next bundle goes on with it.
        chosen_by: why this graph runs, for every result.
        origin: goes into every result; a decision stays small, its topic names the station.
    """

    def __init__(
        self,
        *,
        session: Session,
        bundle: Bundle | None,
        graph: Graph | None,
        policy: Policy,
        origin: Origin,
        chosen_by: GraphChosenBy | None = None,
    ) -> None:
        self._session = session
        self._origin = origin
        self._manifest = None if bundle is None else bundle.manifest
        self._policy = policy
        self.bundle = NO_BUNDLE if bundle is None or graph is None else bundle_info(bundle, graph, chosen_by)

    def decision(self, view_set: ViewSet, verdict: Verdict) -> Decision:
        """Return the decision for the gate; it takes the next part number."""
        seq = next(self._session.part_numbers)
        valid_until_ns = verdict.decided_ns + int(self._policy.decision.valid_ms * 1e6)
        return Decision(
            result_id=f"{self._session.id}-{seq:06d}",
            trigger_id=view_set.trigger_id,
            part_id=view_set.part_id,
            verdict=verdict.verdict,
            reason=verdict.reason,
            reason_code=verdict.code,
            seq=seq,
            session=self._session.id,
            triggered_at=utc_text(view_set.triggered_ns),
            acquired_at=utc_text(_acquired_ns(view_set)),
            deadline_ms=self._policy.decision.deadline_ms,
            valid_until=utc_text(valid_until_ns),
            context=None if view_set.context is None else dict(view_set.context),
            product=view_set.product.name if view_set.product is not None else None,
        )

    def result(
        self, decision: Decision, view_set: ViewSet, scores: Scores | None, verdict: Verdict, timing: Timing
    ) -> Result:
        """Return the full record of a decision."""
        acquired_ns = _acquired_ns(view_set)
        scale = self._policy.scale(view_set) or self._policy.thresholds.part
        decided_after_ms = _ms(verdict.decided_ns - view_set.triggered_ns)
        return Result(
            result_id=decision.result_id,
            trigger_id=decision.trigger_id,
            part_id=decision.part_id,
            verdict=decision.verdict,
            reason=decision.reason,
            reason_code=decision.reason_code,
            seq=decision.seq,
            session=decision.session,
            site=self._origin.site,
            line=self._origin.line,
            station=self._origin.station,
            box=self._origin.box,
            score=verdict.score,
            score_raw=scores.part if scores is not None and verdict.score is not None else None,
            threshold=None if self._manifest is None else scale.threshold,
            views=self._views(view_set, scores, verdict),
            sync=SyncInfo(
                complete=not view_set.missing,
                missing=view_set.missing,
                skew_ms=view_set.skew_ms,
                max_skew_ms=self._policy.sync.max_skew_ms,
            ),
            bundle=self.bundle,
            triggered_at=utc_text(view_set.triggered_ns),
            encoder=view_set.encoder,
            acquired_at=decision.acquired_at,
            decided_at=utc_text(verdict.decided_ns),
            context=decision.context,
            product=decision.product,
            durations_ms={
                "acquire": _ms(acquired_ns - view_set.triggered_ns),
                "wait": _ms(timing.taken_ns - acquired_ns),
                "score": _ms(timing.scored_ns - timing.taken_ns),
                "decide": _ms(verdict.decided_ns - timing.scored_ns),
                "publish": _ms(timing.published_ns - verdict.decided_ns),
                "total": decided_after_ms,
            },
            deadline=Deadline(
                deadline_ms=self._policy.decision.deadline_ms,
                decided_after_ms=decided_after_ms,
                met=not verdict.late,
            ),
        )

    def _views(self, view_set: ViewSet, scores: Scores | None, verdict: Verdict) -> tuple[ViewResult, ...]:
        """The views of the bundle; without one, those that the cameras gave."""
        manifest = self._manifest
        if manifest is None:
            return tuple(
                ViewResult(id=view, score=None, score_raw=None, **_frame_fields(view_set, view))
                for view in view_set.frames
            )
        return tuple(
            self._view(index, manifest, view_set, scores, verdict) for index in range(len(manifest.views))
        )

    def _view(
        self, index: int, manifest: Manifest, view_set: ViewSet, scores: Scores | None, verdict: Verdict
    ) -> ViewResult:
        view = manifest.view_ids[index]
        scored = scores if view in verdict.views else None
        return ViewResult(
            id=view,
            score=verdict.views.get(view),
            score_raw=scored.views[view] if scored else None,
            threshold=self._policy.thresholds.views[view].threshold,
            **_frame_fields(view_set, view),
            regions=self._regions(manifest, index, scored, view_set.frames.get(view))
            if scored and verdict.verdict == "NG"
            else (),
            masked=scored is not None and view in scored.masked,
        )

    def _regions(
        self, manifest: Manifest, index: int, scores: Scores, frame: Frame | None
    ) -> tuple[Region, ...]:
        """Boxes over the threshold; on the camera's image too where that is more than another scale."""
        view, spec = manifest.views[index], manifest.preprocessing
        size = spec.height, spec.width
        found = find_regions(scores.maps[index], self._policy.thresholds.views[view.id].threshold, size)
        if frame is None or not view.described:
            return found
        geometry = ViewGeometry(view, (frame.image.shape[0], frame.image.shape[1]))
        return tuple(
            region.model_copy(
                update={
                    "camera": geometry.box_on_camera((region.x, region.y, region.width, region.height), size)
                }
            )
            for region in found
        )


def _frame_fields(view_set: ViewSet, view: str) -> dict[str, Any]:
    """Frame number and skew of one view; both None where no frame of it came."""
    frame = view_set.frames.get(view)
    if frame is None:
        return {"frame_id": None, "skew_ms": None}
    first_ns = min(f.captured_ns for f in view_set.frames.values())
    return {"frame_id": frame.frame_id, "skew_ms": _ms(frame.captured_ns - first_ns)}


def _acquired_ns(view_set: ViewSet) -> int:
    """Return the capture time of the latest frame of a part."""
    return max((frame.captured_ns for frame in view_set.frames.values()), default=view_set.triggered_ns)


def _ms(duration_ns: int) -> float:
    return round(duration_ns / 1e6, 3)

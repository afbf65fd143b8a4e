"""What remains of a part after its decision: evidence and the outbox, none of which can stop the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeflow.capture.synchronizer import ViewSet
from edgeflow.contracts.messages import Result
from edgeflow.delivery.outbox import Outbox
from edgeflow.evidence.writer import Evidence, EvidenceJob
from edgeflow.monitoring.view_monitor import ViewMonitor
from edgeflow.scoring.scorer import Scores
from edgeflow.station.active_bundle import ActiveBundle

__all__ = ["Keeper"]


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Keeps what was seen and decided; never waits for a disk.

    Attributes:
        evidence: None where the box keeps no images.
        watch: looks at the cameras; None where the box does not want it.
        told: whether the gate was told of a part, by its result id; None where that is not known yet.
    """

    outbox: Outbox
    evidence: Evidence | None
    bundles: ActiveBundle
    watch: ViewMonitor | None = None
    told: Callable[[str], bool | None] = lambda _: None

    def __call__(self, result: Result, view_set: ViewSet, scores: Scores | None) -> Result:
        """Keep one part; returns the result with the place of its evidence, and whether the gate was told."""
        result = result.model_copy(update={"gate_told": self.told(result.result_id)})
        if self.evidence is not None:
            folder = self.evidence.reserve(result.result_id, result.verdict)
            kept = result.model_copy(update={"evidence": folder})
            if self.evidence.offer(self._job(kept, view_set, scores)):
                result = kept
        self.outbox.put(result)
        if self.watch is not None and scores is not None:
            loaded = self.bundles.now
            inputs = dict(zip(loaded.manifest.view_ids, scores.inputs, strict=True))
            self.watch.offer({view: inputs[view] for view in scores.views}, loaded.baseline)
        return result

    def _job(self, result: Result, view_set: ViewSet, scores: Scores | None) -> EvidenceJob:
        manifest = self.bundles.now.manifest
        originals = {view: frame.image for view, frame in view_set.frames.items()}
        if scores is None:
            return EvidenceJob(result=result, originals=originals, images={}, maps={}, scales={})
        ids, seen = manifest.view_ids, scores.views
        return EvidenceJob(
            result=result,
            originals=originals,
            images={view: image for view, image in zip(ids, scores.inputs, strict=True) if view in seen},
            maps={view: heat for view, heat in zip(ids, scores.maps, strict=True) if view in seen},
            scales=manifest.thresholds.views,
        )

"""Scores of an accepted part, as the watch over their drift takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.contracts.messages import Result
from edgeflow.contracts.scoring import scaled
from edgeflow.contracts.thresholds import Thresholds
from edgeflow.monitoring.drift.view import ViewScore
from edgeflow.scoring.scorer import Scores

__all__ = ["AcceptedPart", "accepted_part"]


@dataclass(frozen=True, kw_only=True)
class AcceptedPart:
    """Scores of one part that was OK with all its views.

    Attributes:
        loaded: the bundle as it was loaded: one that is loaded again is another one.
        bundle: SHA-256.
        graph: its id.
        calibration: parts that the graph's thresholds come from.
        at: RFC 3339, of the decision.
        product: of a box with several; each has its own charts.
    """

    loaded: object
    bundle: str
    graph: str
    calibration: int
    views: Mapping[str, ViewScore]
    at: str
    product: str | None = None


def accepted_part(
    loaded: object, thresholds: Thresholds, result: Result, scores: Scores | None
) -> AcceptedPart | None:
    """Return the scores of a part that is OK with all its views; None for all others.

    A part that is NG says nothing about drift, whether it is defective or drift has made it so: those below
    the threshold have drifted as well. Views that are seen without others score differently.

    Args:
        loaded: see :class:`AcceptedPart`.
        thresholds: that the result was judged by.
    """
    if scores is None or result.reason_code != "ok":
        return None
    bundle = result.bundle
    return AcceptedPart(
        loaded=loaded,
        bundle=bundle.sha256,
        graph=f"{bundle.backend}-{bundle.precision}",
        calibration=thresholds.normal_parts,
        views={
            view: ViewScore(
                score=scaled(raw, thresholds.views[view]),
                exact=scores.masks is None or view in scores.masked,
                unmasked=scaled(scores.unmasked.get(view, raw), thresholds.views[view]),
            )
            for view, raw in scores.views.items()
        },
        at=result.decided_at,
        product=result.product,
    )

"""Drift of all views of the parts under one bundle; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.drift.view import ViewDrift

__all__ = ["DriftState"]


@dataclass(frozen=True, kw_only=True)
class DriftState:
    """Drift of all views under one bundle.

    Attributes:
        bundle: SHA-256.
        graph: its id, such as ``openvino-int8``.
        bound: in standard deviations.
    """

    bundle: str
    graph: str
    bound: float
    views: Mapping[str, ViewDrift] = field(default_factory=dict)

    def added(self, part: AcceptedPart, parts: int) -> DriftState:
        """Return the state with one more accepted part.

        Args:
            parts: of the reference.
        """
        views = dict(self.views)
        for name, score in part.views.items():
            views[name] = views.get(name, ViewDrift()).added(
                score, part.at, bound=self.bound, parts=parts, calibration=part.calibration
            )
        return replace(self, views=views)

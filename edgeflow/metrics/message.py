"""The message ``metrics`` from the figures of a box; pure."""

from __future__ import annotations

from edgeflow.contracts.message_parts.metrics import CameraMetrics, OutboxMetrics, StageMetrics, ViewMetrics
from edgeflow.contracts.messages import Metrics
from edgeflow.metrics.figures import BoxFigures, OutboxFigures
from edgeflow.metrics.part_metrics import PeriodFigures

__all__ = ["metrics_message"]


def metrics_message(figures: BoxFigures, period: PeriodFigures, *, period_s: float, at: str) -> Metrics:
    """Return the message.

    Args:
        period_s: length of the period.
        at: UTC, RFC 3339.
    """
    evidence = figures.evidence
    return Metrics(
        session=figures.session,
        at=at,
        period_s=round(period_s, 3),
        state=figures.state,
        bundle=figures.bundle.name,
        bundle_version=figures.bundle.version,
        graph=figures.bundle.graph,
        parts=figures.parts.verdicts,
        products=figures.parts.products,
        deadlines_missed=figures.parts.deadlines_missed,
        stages={
            stage: StageMetrics(
                count=times.count,
                p50_ms=round(times.p50, 3),
                p99_ms=round(times.p99, 3),
                max_ms=round(times.highest, 3),
            )
            for stage, times in period.stages_ms.items()
        },
        views={
            view: ViewMetrics(
                count=scores.count,
                p50=round(scores.p50, 4),
                p90=round(scores.p90, 4),
                p99=round(scores.p99, 4),
            )
            for view, scores in period.views.items()
        },
        outbox=_outbox(figures.outbox),
        cameras={
            view: CameraMetrics(
                status=camera.status,
                fps=None if camera.fps is None else round(camera.fps, 2),
                frames_lost=camera.frames_lost,
                reconnects=camera.reconnects,
            )
            for view, camera in figures.cameras.items()
        },
        alarms=tuple(alarm.name for alarm in figures.alarms),
        history_missed=figures.history_missed,
        evidence_mb=None if evidence is None else round(evidence.bytes / 1e6, 3),
        memory_mb=round(figures.memory_bytes / 1e6, 3),
        temperatures_c=dict(figures.temperatures_c),
    )


def _outbox(outbox: OutboxFigures | None) -> OutboxMetrics | None:
    if outbox is None:
        return None
    return OutboxMetrics(
        waiting=outbox.waiting,
        oldest_age_s=round(outbox.oldest_age_s, 3) if outbox.waiting else None,
        set_aside=outbox.set_aside,
        dropped=outbox.dropped,
    )

"""Shift report as HTML for people, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from edgeflow.config.box import BoxConfig
from edgeflow.history.records import AlarmSpan
from edgeflow.history.statistics import ParetoLine, Statistics
from edgeflow.web.report.chart import trend_svg
from edgeflow.web.report.content import MOST_PARTS, ShiftReport
from edgeflow.web.report.pictures import small_pictures
from edgeflow.web.templating import Templates

__all__ = ["as_data", "as_html"]

_VERDICTS = ("OK", "NG", "UNDECIDED")


def as_html(report: ShiftReport, config: BoxConfig, language: str) -> str:
    """Return one HTML page with all styles and pictures in it."""
    zone = report.zone
    charts = [
        (trend, Markup(trend_svg(trend, report.shift, zone)))  # noqa: S704 - numbers and times alone
        for trend in report.trends
    ]
    return Templates(zone, {"place": config.station}).render(
        language,
        "report.html",
        report=report,
        verdicts=_VERDICTS,
        hours=(report.shift.end - report.shift.start) / timedelta(hours=1),
        share_of=_share,
        charts=charts,
        alarms=[_alarm(span, report) for span in report.alarms],
        parts=[(part, small_pictures(config, part)) for part in report.ng],
        more=max(0, report.statistics.counts["NG"] - MOST_PARTS),
        missing=sum(gap.count for gap in report.gaps),
    )


def _share(statistics: Statistics, verdict: str) -> float | None:
    return statistics.counts[verdict] / statistics.parts if statistics.parts else None


def _alarm(span: AlarmSpan, report: ShiftReport) -> dict[str, Any]:
    """Return an alarm as the page's templates take it, with the minutes that it stood in the shift."""
    return {
        "code": span.code,
        "subject": span.subject,
        "severity": span.severity,
        "text": span.text,
        "begin": span.raised_at,
        "end": span.ended_at,
        "before": span.raised_at < report.shift.start,
        "minutes": _stood_s(span, report) / 60,
    }


def _stood_s(span: AlarmSpan, report: ShiftReport) -> float:
    end = min(span.ended_at or report.now, report.shift.end)
    return max(0.0, (end - max(span.raised_at, report.shift.start)).total_seconds())


def as_data(report: ShiftReport) -> dict[str, Any]:
    """Return the figures as JSON can have them; times are RFC 3339 with the site's offset."""

    def at(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(report.zone).isoformat(timespec="milliseconds")

    shift = report.shift
    return {
        "shift": shift.name,
        "day": shift.day.isoformat(),
        "start": at(shift.start),
        "end": at(shift.end),
        "zone": report.zone.key,
        "over": report.is_over,
        "clock_change_s": report.clock_change.total_seconds(),
        "results": _counts(report.statistics),
        "results_before": {"shift": report.before.label, **_counts(report.statistics_before)},
        "views": [
            {
                "view": trend.view,
                "product": trend.product,
                "scores": len(trend.points),
                "drift_low": trend.drift.low if trend.drift else None,
                "drift_high": trend.drift.high if trend.drift else None,
                "level": trend.drift.level[-1] if trend.drift else None,
            }
            for trend in report.trends
        ],
        "alarms": [
            {
                "code": span.code,
                "subject": span.subject,
                "severity": span.severity,
                "text": span.text,
                "raised_at": at(span.raised_at),
                "ended_at": at(span.ended_at),
                "stood_s": round(_stood_s(span, report), 1),
            }
            for span in report.alarms
        ],
        "times_ms": {
            times.stage: {
                "p50": times.p50_ms, "p95": times.p95_ms, "p99": times.p99_ms, "max": times.most_ms,
            }
            for times in report.times
        },
        "bundles": [
            {
                "name": use.name,
                "version": use.version,
                "sha256": use.sha256,
                "graph": use.graph,
                "parts": use.parts,
            }
            for use in report.bundles
        ],
        "clock_steps": [{"at": at(step.at), "back_s": step.back_s} for step in report.steps],
        "gaps": [{"count": gap.count, "why": gap.why, "at": at(gap.at)} for gap in report.gaps],
        "ng": [
            {
                "part_id": part.row.part_id,
                "result_id": part.row.result_id,
                "at": at(part.row.decided_at),
                "score": part.row.score,
                "view": part.row.worst_view,
                "label": part.row.label,
            }
            for part in report.ng
        ],
    }  # fmt: skip


def _counts(statistics: Statistics) -> dict[str, Any]:
    return {
        "parts": statistics.parts,
        "verdicts": dict(statistics.counts),
        "reasons": _lines(statistics.reasons),
        "views": _lines(statistics.views),
        "labels": [
            {"verdict": verdict, "label": label, "parts": count}
            for (verdict, label), count in sorted(statistics.labels.items())
        ],
        "late": statistics.late,
    }


def _lines(lines: Sequence[ParetoLine]) -> list[dict[str, Any]]:
    return [{"name": line.name, "parts": line.count, "share": round(line.share, 4)} for line in lines]

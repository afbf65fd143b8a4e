"""Score trend of one view as inline SVG: scores, threshold, drift bounds and moving mean; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from edgeflow.history.shifts import Shift
from edgeflow.web.report.content import ViewTrend

__all__ = ["trend_svg"]

_WIDTH, _HEIGHT = 760, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 6, 6, 18
_MOST_POINTS = 1500
_HIGHEST = 1.8
_TICKS = 9


def trend_svg(trend: ViewTrend, shift: Shift, zone: ZoneInfo) -> str:
    """Return the chart; a score far beyond the threshold is drawn at the edge.

    Of many points all high ones are drawn, and the others evenly.
    """
    scores = np.clip([point.score for point in trend.points], -_HIGHEST, _HIGHEST)
    low = min(0.0, float(scores.min()))
    high = max(1.2, float(scores.max())) * 1.05
    scale = _Scale(shift, low, high)
    times = [point.decided_at for point in trend.points]
    shown = _chosen(scores)
    dots = "".join(f"M{scale.x(times[n]):.1f} {scale.y(scores[n]):.1f}h0" for n in shown if scores[n] <= 1.0)
    beyond = "".join(f"M{scale.x(times[n]):.1f} {scale.y(scores[n]):.1f}h0" for n in shown if scores[n] > 1.0)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{len(times)}">'
        f"{_axes(scale, shift, zone)}"
        f'<path class="dots" d="{dots}"/><path class="beyond" d="{beyond}"/>'
        f"{_drift(trend, scale, times)}"
        f'<path class="threshold" d="M{_LEFT} {scale.y(1.0):.1f}H{_WIDTH - _RIGHT}"/></svg>'
    )


class _Scale:
    """Times and scores to pixels."""

    def __init__(self, shift: Shift, low: float, high: float) -> None:
        self._begin, self._length_s = shift.start, (shift.end - shift.start).total_seconds()
        self.low, self.high = low, high

    def x(self, at: datetime) -> float:
        share = (at - self._begin).total_seconds() / self._length_s
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, score: float) -> float:
        share = (score - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _chosen(scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
    if len(scores) <= _MOST_POINTS:
        return list(range(len(scores)))
    even = np.linspace(0, len(scores) - 1, _MOST_POINTS).astype(int)
    return sorted({*even.tolist(), *np.flatnonzero(scores > 0.9)[:_MOST_POINTS].tolist()})


def _axes(scale: _Scale, shift: Shift, zone: ZoneInfo) -> str:
    """Lines at full hours of the site, and at scores."""
    hours = (shift.end - shift.start) / timedelta(hours=1)
    every = next((step for step in (1, 2, 3, 4, 6, 12) if hours / step <= _TICKS), 24)
    texts = []
    at = shift.start.replace(minute=0, second=0, microsecond=0)
    while at <= shift.end:
        local = at.astimezone(zone)
        if at >= shift.start and local.hour % every == 0:
            x = scale.x(at)
            middle = min(x, _WIDTH - 16)
            texts.append(
                f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
                f'<text x="{middle:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{local:%H:%M}</text>'
            )
        at += timedelta(hours=1)
    for score in range(math.ceil(scale.low), math.floor(scale.high) + 1):
        y = scale.y(score)
        texts.append(
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{score}</text>'
        )
    return "".join(texts)


def _drift(trend: ViewTrend, scale: _Scale, times: Sequence[datetime]) -> str:
    if trend.drift is None:
        return ""
    bounds = "".join(
        f"M{_LEFT} {scale.y(score):.1f}H{_WIDTH - _RIGHT}" for score in (trend.drift.low, trend.drift.high)
    )
    every = max(1, len(times) // 400)
    line = " ".join(
        f"{scale.x(at):.1f},{scale.y(level):.1f}"
        for at, level in list(zip(times, trend.drift.level, strict=True))[::every]
    )
    return f'<path class="bounds" d="{bounds}"/><polyline class="level" points="{line}"/>'

"""Control charts of one view: a two-sided CUSUM that finds a shift, an EWMA that says how large it is; pure.

The CUSUM of normal scores z is S = max(0, S + z - k): it stays near 0 while the mean is below the allowance
k, and grows steadily above it (Page 1954). For parts that do not drift it exceeds h once in about
exp(2 m h / c) c / (2 m²) parts (Siegmund 1985), m being the allowance less the reference's error, and c the
correlation of neighbouring parts; h is chosen for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgeflow.monitoring.drift.reference import Reference

__all__ = ["EWMA_PARTS", "Direction", "DriftChart", "Sum", "decision_limit"]

EWMA_PARTS = 200
"""The EWMA forgets a part over about so many later ones."""
_RARE = 14.0  # exp(14), about a million; the factor before it makes ten millions
_ERRORS = 2.0  # standard errors of the reference that count as drift of the reference, not of the parts
_LEAST_SHARE = 1 / 3
_ENDS = 0.25  # share of the bound below which a drift is over

Direction = Literal["up", "down"]


@dataclass(frozen=True, kw_only=True)
class Sum:
    """One side of a CUSUM.

    Attributes:
        total: in standard deviations.
        parts: since it was 0 the last time: when the drift began, as far as can be told.
        since: RFC 3339, of the first of them; empty while it is 0.
    """

    total: float = 0.0
    parts: int = 0
    since: str = ""

    def added(self, value: float, at: str) -> Sum:
        """Return the sum with one more part."""
        total = self.total + value
        if total <= 0.0:
            return _NOTHING
        return Sum(total=total, parts=self.parts + 1, since=self.since or at)


_NOTHING = Sum()


@dataclass(frozen=True, kw_only=True)
class DriftChart:
    """State of one view's charts after some parts.

    Attributes:
        level: EWMA of the normal scores, in standard deviations.
        drift: the direction of the drift that stands; None where none does.
        size: of the drift when it was found, in standard deviations, unsigned.
        since: RFC 3339; it began then.
    """

    up: Sum = _NOTHING
    down: Sum = _NOTHING
    level: float = 0.0
    drift: Direction | None = None
    size: float = 0.0
    since: str = ""

    def added(self, normal: float, at: str, *, bound: float, limit: float) -> DriftChart:
        """Return the charts with one more part.

        Args:
            normal: normal score of the part.
            at: RFC 3339.
            bound: drift that is to be found, in standard deviations.
            limit: of the sums; see :func:`decision_limit`.
        """
        level = self.level + (normal - self.level) / EWMA_PARTS
        allowance = bound / 2
        now = replace(
            self,
            up=self.up.added(normal - allowance, at),
            down=self.down.added(-normal - allowance, at),
            level=level,
        )
        if self.drift is not None:
            signed = level if self.drift == "up" else -level
            return now if signed > _ENDS * bound else DriftChart(level=level)
        for direction, found in (("up", now.up), ("down", now.down)):
            if found.total > limit:
                size = allowance + found.total / found.parts
                level = size if direction == "up" else -size
                return DriftChart(level=level, drift=direction, size=size, since=found.since)  # type: ignore[arg-type]
        return now


def decision_limit(reference: Reference, bound: float) -> float:
    """Return the sum that parts without a drift exceed about once in ten million, per direction.

    Two standard errors of the reference are allowed for: the first parts are a sample themselves.
    """
    allowance = bound / 2
    margin = max(allowance - _ERRORS * reference.standard_error, allowance * _LEAST_SHARE)
    return _RARE * reference.correlation / (2 * margin)

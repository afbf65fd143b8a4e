"""Clocks: monotonic for every duration, UTC text only for display."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["monotonic_ns", "utc_now", "utc_text"]


def monotonic_ns() -> int:
    """Return the nanoseconds of the monotonic clock."""
    return time.monotonic_ns()


def utc_now() -> datetime:
    """Return the wall-clock time, for dates such as a bundle's expiry; never for a duration."""
    return datetime.now(UTC)


def utc_text(at_monotonic_ns: int | None = None) -> str:
    """Return RFC 3339 UTC text with milliseconds: of now, or of a monotonic stamp (past or future)."""
    moment = datetime.now(UTC)
    if at_monotonic_ns is not None:
        moment += timedelta(microseconds=(at_monotonic_ns - time.monotonic_ns()) / 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

"""Counts of the present shift from the history; those of the box's session where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from edgeflow.contracts.messages import VerdictName
from edgeflow.errors import StorageError
from edgeflow.history.filters import ResultFilter
from edgeflow.web.box_link import LiveState
from edgeflow.web.history_access import History

__all__ = ["ShiftFigures"]

_VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)


@dataclass(frozen=True, kw_only=True)
class ShiftFigures:
    """Figures of page *Line*.

    Attributes:
        clock: aware, UTC.
    """

    history: History
    clock: Callable[[], datetime]

    def __call__(self, now: LiveState) -> Mapping[str, Any]:
        """Return the counts, with the beginning of the shift; None where they are those of the session."""
        since, counts = None, now.status.get("counts", {})
        shift = self.history.plan.at(self.clock())
        try:
            with self.history.reader() as reader:
                counts = {
                    verdict: reader.count(ResultFilter(since=shift.start, verdicts=(verdict,)))
                    for verdict in _VERDICTS
                }
                since = shift.start
        except StorageError:  # said on page Parts; the session's counts are right, too
            pass
        parts = sum(counts.values())
        return {
            "since": since,
            "parts": parts,
            "counts": counts,
            "ng_share": counts.get("NG", 0) / parts if parts else None,
            "parts_per_minute": now.status.get("parts_per_minute"),
        }

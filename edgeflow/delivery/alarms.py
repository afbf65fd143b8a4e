"""Alarms of the outbox: a problem is logged once, and its alarm stands while it lasts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.change_log import ChangeLog
from edgeflow.delivery.store.records import Aside
from edgeflow.delivery.store.repair import Repaired

__all__ = ["OutboxAlarms"]

logger = logging.getLogger(__name__)


class OutboxAlarms:
    """Raises and clears the alarms of one outbox; for its writer thread only.

    Args:
        alarms: None where problems are only logged.
    """

    def __init__(self, path: Path, alarms: Alarms | None) -> None:
        self._path = path
        self._alarms = alarms
        self._problems = ChangeLog(logger, level=logging.ERROR)
        self._aside = (0, "")

    @property
    def in_trouble(self) -> bool:
        """True while the file cannot be written."""
        return bool(self._problems.problem)

    def failed(self, cause: Exception) -> None:
        """Raise the alarm: the file could not be written."""
        problem = f"outbox {self._path}: cannot be written: {cause}; results wait in memory; make room there"
        if self._problems.report(problem) and self._alarms:
            self._alarms.raise_("outbox", "error", problem)

    def written_again(self) -> None:
        """Clear the alarm: writing works, and nothing is dropped because of a full disk."""
        if self._problems.clear():
            logger.warning("outbox %s: written again", self._path)
            if self._alarms:
                self._alarms.clear("outbox")

    def repaired(self, cause: Exception, repaired: Repaired) -> None:
        """Raise the alarm: a damaged file was replaced. It stands until somebody has seen it."""
        text = (
            f"outbox {self._path}: was damaged ({cause}); {repaired.saved} results saved into a new one, the "
            f"old one is {repaired.kept.name}"
        )
        logger.error("%s", text)
        if self._alarms:
            self._alarms.raise_("outbox", "error", text, subject="damaged")

    def removed(self) -> None:
        """Raise the alarm: the file of a running box was removed. It stands until somebody has seen it."""
        text = f"outbox {self._path}: somebody removed the file while the box runs; it was written anew"
        logger.error("%s", text)
        if self._alarms:
            self._alarms.raise_("outbox", "warning", text, subject="removed")

    def drops(self, *, unpublished: bool) -> None:
        """Raise the alarm while the consumer has not confirmed all records of dropped results."""
        if self._alarms is None:
            return
        if unpublished:
            text = f"results were given up before they were delivered; see 'dropped' and outbox {self._path}"
            self._alarms.raise_("results_dropped", "error", text)
        else:
            self._alarms.clear("results_dropped")

    def aside(self, count: int, found: Callable[[], Sequence[Aside]]) -> None:
        """Raise the alarm while rows are set aside; they are read only when their count changes."""
        if self._alarms is None:
            return
        if not count:
            self._aside = (0, "")
            self._alarms.clear("results_set_aside")
            return
        if count != self._aside[0]:
            self._aside = (count, _aside_text(self._path, found()))
        self._alarms.raise_("results_set_aside", "error", self._aside[1])


def _aside_text(path: Path, found: Sequence[Aside]) -> str:
    largest = max((each.size for each in found), default=0)
    latest = found[-1].why if found else ""
    return (
        f"outbox {path}: {len(found)} result(s) cannot be delivered and are set aside, the largest of "
        f"{largest} bytes; the latest: {latest}; 'edgeflow outbox aside' lists them, 'edgeflow outbox "
        "restore' sends them again"
    )

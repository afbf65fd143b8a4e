"""Problems in the log: each is logged once, and again when it changes."""

from __future__ import annotations

import logging

__all__ = ["ChangeLog"]


class ChangeLog:
    """Logs a problem that is reported again and again only when it differs from the one before.

    Args:
        prefix: precedes each problem in the log.
        level: of all lines.
    """

    def __init__(self, logger: logging.Logger, prefix: str = "", level: int = logging.WARNING) -> None:
        self._logger = logger
        self._prefix = prefix
        self._level = level
        self._problem = ""

    @property
    def problem(self) -> str:
        """The latest problem; empty while there is none."""
        return self._problem

    def report(self, problem: str) -> bool:
        """Log a problem that is new; return True where it was. An empty text ends the problem silently."""
        changed = problem != self._problem
        self._problem = problem
        if changed and problem:
            self._logger.log(self._level, "%s%s", self._prefix, problem)
        return changed

    def clear(self) -> bool:
        """End the problem, so that it is logged again when it comes back; return True if there was one."""
        return self.report("")

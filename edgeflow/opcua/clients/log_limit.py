"""Limit of what clients that are refused again and again write into the log."""

from __future__ import annotations

import logging
import time

from edgeflow.rate_limit import RateLimit

__all__ = ["LogLimit", "limit_log"]

_AT_ONCE, _EVERY_NS = 20, 1_000_000_000
_LOGGERS = (
    "edgeflow.opcua.clients.access",
    "asyncua.server.uaprocessor",
    "asyncua.server.binary_server_asyncio",
)


class LogLimit(logging.Filter):
    """Lets twenty lines pass at once, then one a second, which says how many were kept back."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = RateLimit(at_once=_AT_ONCE, every_ns=_EVERY_NS)
        self._kept_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True where the line is written."""
        if not self._limit.allows(time.monotonic_ns()):
            self._kept_back += 1
            return False
        if self._kept_back:
            record.msg = f"{record.getMessage()} (and {self._kept_back} lines before it that were not logged)"
            record.args = ()
            self._kept_back = 0
        return True


def limit_log() -> None:
    """Limit the lines about clients, all together."""
    limit = LogLimit()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(limit)

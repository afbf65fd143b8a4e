"""Handler that sends records to journald by its own protocol, with fields, and never waits for it."""

from __future__ import annotations

import contextlib
import logging
import traceback
from pathlib import Path

from logging_journald import JournaldTransport

from edgeflow.errors import UsageError
from edgeflow.log_output.fields import record_fields

__all__ = ["JournalHandler"]

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


class JournalHandler(logging.Handler):
    """Sends each record as one datagram; a journald that takes none costs records, which are counted.

    Standard error under systemd is a stream to journald: whoever writes to it waits while journald hangs. A
    datagram on a socket that does not block is taken now or never.

    Args:
        path: of journald's socket.

    Raises:
        UsageError: no journald takes records there.
    """

    def __init__(self, path: Path = JournaldTransport.SOCKET_PATH) -> None:
        super().__init__()
        if not path.is_socket():
            raise UsageError(f"log.format journal: {path}: no journald here; use log: {{format: json}}")
        self._transport = JournaldTransport(path, connected=False)
        self._transport.socket.setblocking(False)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        fields: dict[str, object] = {
            "MESSAGE": record.getMessage(),
            "PRIORITY": next((n for level, n in _PRIORITIES if record.levelno >= level), _DEBUG),
            "SYSLOG_IDENTIFIER": "edgeflow",
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
        }
        fields |= {f"EDGEFLOW_{name.upper()}": value for name, value in record_fields(record).items()}
        if record.exc_info:
            fields["EDGEFLOW_TRACEBACK"] = "".join(traceback.format_exception(*record.exc_info))
        if self._lost:
            fields["EDGEFLOW_LOST"] = self._lost
        try:
            self._transport.send(fields.items())
        except OSError:  # full, or journald is being restarted
            self._lost += 1
        else:
            self._lost = 0

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._transport.socket.close()
        super().close()

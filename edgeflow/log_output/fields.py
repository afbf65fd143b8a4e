"""Fields of a log record for programs; pure."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["EXTRA_FIELDS", "JsonFormatter", "record_fields"]

EXTRA_FIELDS = (
    "event",
    "code",
    "subject",
    "severity",
    "part_id",
    "result_id",
    "camera",
    "verb",
    "outcome",
)
"""Fields that a place in the program may give with ``extra``; those that it does not give are left out."""


def record_fields(record: logging.LogRecord) -> dict[str, str]:
    """Return what a record says besides its text: where it is from, and the fields that it was given."""
    found = {"logger": record.name, "thread": record.threadName or ""}
    for name in EXTRA_FIELDS:
        value = getattr(record, name, "")
        if value:
            found[name] = str(value)
    return found


class JsonFormatter(logging.Formatter):
    """One JSON object per record, on one line: time (UTC), level, text, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC)
        content = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "text": record.getMessage(),
            **record_fields(record),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)

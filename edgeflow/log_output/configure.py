"""The log of a process: begun as text, and in the form that the box file wants once that is read."""

from __future__ import annotations

import logging
import sys
from typing import Literal

from edgeflow.errors import UsageError
from edgeflow.log_output.fields import JsonFormatter

__all__ = ["begin_log", "is_for_people", "journal_handler", "use_format"]

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def begin_log(level: int) -> None:
    """Log as text on standard error, from a level on."""
    logging.basicConfig(level=level, format=_TEXT, stream=sys.stderr)


def use_format(form: Literal["text", "json", "journal"]) -> None:
    """Log in another form from now on, at the present level.

    Raises:
        UsageError: there is no journald, or the extra for it is not installed.
    """
    if form == "text":
        return
    handler = _json_handler() if form == "json" else journal_handler()
    logging.basicConfig(level=logging.getLogger().level, handlers=[handler], force=True)


def is_for_people() -> bool:
    """True if the log is text, so that other text may stand between its lines."""
    return not any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _json_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    return handler


def journal_handler() -> logging.Handler:
    """Return the handler for journald.

    Raises:
        UsageError: there is no journald, or the extra for it is not installed.
    """
    try:
        from edgeflow.log_output.journal import JournalHandler  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as cause:
        raise UsageError(
            "log.format journal: not installed; run: pip install 'edgeflow[journal]', or use json"
        ) from cause
    return JournalHandler()

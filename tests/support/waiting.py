"""Waiting for what must happen, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""A limit, never a wait: longer than anything here takes while other tests run beside it."""


def wait_until(
    condition: Callable[[], object], patience_s: float = PATIENCE_S, *, every_s: float = 0.01, what: str = ""
) -> None:
    """Wait until ``condition`` holds, and fail with ``what`` after ``patience_s``."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, what or f"did not happen within {patience_s:g} s"
        time.sleep(every_s)

"""Activity of the threads of this process: a thread that hangs is found by its silence."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

__all__ = ["at_work", "busy_threads", "overdue_threads", "waiting", "working"]

_due_s: dict[threading.Thread, float] = {}  # time by which a thread has to report again, monotonic


def working(limit_s: float) -> None:
    """Report that the calling thread works and reports again within ``limit_s``; for the top of its loop."""
    _due_s[threading.current_thread()] = time.monotonic() + limit_s


def waiting() -> None:
    """Report that the calling thread waits for work, for any time."""
    _due_s.pop(threading.current_thread(), None)


@contextlib.contextmanager
def at_work(limit_s: float) -> Iterator[None]:
    """Run a step of the calling thread that ends within ``limit_s``."""
    working(limit_s)
    try:
        yield
    finally:
        waiting()


def overdue_threads(now_s: float) -> tuple[str, ...]:
    """Return the names of the living threads that have not reported in time."""
    return tuple(thread.name for thread, due_s in _living() if due_s < now_s)


def busy_threads() -> tuple[str, ...]:
    """Return the names of the living threads that do not wait for work."""
    return tuple(thread.name for thread, _ in _living())


def _living() -> list[tuple[threading.Thread, float]]:
    for thread in [thread for thread in list(_due_s) if not thread.is_alive()]:
        _due_s.pop(thread, None)
    return list(_due_s.items())

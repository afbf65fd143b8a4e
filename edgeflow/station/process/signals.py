"""Signals that end a box: SIGTERM and SIGINT."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stopped_by_signals"]

logger = logging.getLogger(__name__)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT finish the part in hand and end the line."""

    def handle(number: int, _frame: object) -> None:
        logger.info("signal %d: finishing the part in hand", number)
        stop()

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)

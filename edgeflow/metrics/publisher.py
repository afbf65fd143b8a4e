"""The thread that counts what came, and publishes the message ``metrics`` every minute."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Protocol

from edgeflow.clock import utc_text
from edgeflow.contracts.messages import Metrics
from edgeflow.metrics.box_metrics import BoxMetrics
from edgeflow.metrics.message import metrics_message
from edgeflow.right_of_way import RightOfWay
from edgeflow.thread_activity import working

__all__ = ["MetricsPublisher"]

logger = logging.getLogger(__name__)

_TURN_S = 1.0
_SILENT_S = 30.0  # without a sign of life the thread hangs
_STOP_S = 2.0
_PATIENCE_S = 0.2  # for a part to be decided


class _Link(Protocol):
    def publish_metrics(self, metrics: Metrics) -> bool: ...


class MetricsPublisher:
    """Publishes while it is entered; whatever fails costs a message, never the box.

    Args:
        every_s: between two messages.
    """

    def __init__(self, metrics: BoxMetrics, link: _Link, right_of_way: RightOfWay, every_s: float) -> None:
        self._metrics = metrics
        self._link = link
        self._right_of_way = right_of_way
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def __enter__(self) -> MetricsPublisher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        began_s = time.monotonic()
        while not self._stop.wait(min(_TURN_S, self._every_s)):
            working(_SILENT_S)
            self._right_of_way.give_way(_PATIENCE_S)
            try:
                self._metrics.parts.take_in()
                now_s = time.monotonic()
                if now_s - began_s >= self._every_s:
                    began_s, period_s = now_s, now_s - began_s
                    self._publish(period_s)
            except Exception:  # figures must not end the box
                logger.exception("metrics could not be counted or published")

    def _publish(self, period_s: float) -> None:
        period = self._metrics.parts.end_period()
        figures = self._metrics.figures()
        self._link.publish_metrics(metrics_message(figures, period, period_s=period_s, at=utc_text()))

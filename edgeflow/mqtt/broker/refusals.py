"""Refusals of the broker by topic, as alarms and as lines for people."""

from __future__ import annotations

import threading
import time

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import AlarmCode, Severity

__all__ = ["Refusals"]

_SHOW_AGAIN_S = 1.0
_Key = tuple[AlarmCode, str, bool]
"""Code, topic, and True where the topic is a subscription."""


class Refusals:
    """Standing refusals; any thread may note them, except in a callback of paho.

    One alarm per code and first level of the topic below ``root``: with many topics of a kind, there is
    one alarm for all.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._alarms: Alarms | None = None
        self._lock = threading.Lock()  # for the table, never held while an alarm is published
        self._show_again_s = 0.0
        self._unreachable = False
        self._standing: dict[_Key, tuple[Severity, str]] = {}

    def report_to(self, alarms: Alarms) -> None:
        """Raise and clear alarms there from now on, also for what stands already."""
        self._alarms = alarms
        for code, topic, _ in list(self._standing):
            self._show(code, topic)

    def connection(self, address: str, problem: str) -> None:
        """Raise the alarm while there is no connection; it is seen on the box's own computer.

        Args:
            problem: empty while there is one.
        """
        if self._alarms is None:
            return
        if problem:
            self._alarms.raise_("broker_unreachable", "error", f"MQTT broker {address}: {problem}")
        elif self._unreachable:
            self._alarms.clear("broker_unreachable")
        self._unreachable = bool(problem)

    @property
    def texts(self) -> tuple[str, ...]:
        """One line per topic that is refused."""
        return tuple(f"{topic}: {text}" for (_, topic, _), (_, text) in list(self._standing.items()))

    def note(
        self, code: AlarmCode, severity: Severity, topic: str, text: str, *, subscription: bool = False
    ) -> None:
        """Record that a topic is refused; its alarm stands again if somebody cleared it.

        Args:
            subscription: True where a subscription was refused, not a message.
        """
        now_s = time.monotonic()
        known = self._standing.get((code, topic, subscription)) == (severity, text)
        if known and now_s < self._show_again_s:
            return
        self._show_again_s = now_s + _SHOW_AGAIN_S
        with self._lock:
            self._standing[code, topic, subscription] = (severity, text)
        self._show(code, topic)

    def over(self, topic: str, *codes: AlarmCode, subscription: bool = False) -> None:
        """Record that a topic is accepted again."""
        for code in codes:
            if (code, topic, subscription) in self._standing:
                with self._lock:
                    self._standing.pop((code, topic, subscription), None)
                self._show(code, topic)

    def _show(self, code: AlarmCode, topic: str) -> None:
        """Update the alarm of a topic's group."""
        if self._alarms is None:
            return
        group = self._group(topic)
        with self._lock:
            alike = [
                (severity, f"{other}: {text}")
                for (of, other, _), (severity, text) in self._standing.items()
                if of == code and self._group(other) == group
            ]
        if not alike:
            self._alarms.clear(code, subject=group)
            return
        (severity, text), more = alike[0], len(alike) - 1
        others = f"; and {more} more topics of this kind" if more else ""
        self._alarms.raise_(code, severity, f"{text}{others}", subject=group)

    def _group(self, topic: str) -> str:
        """Return the first level below the root, as a name that a topic may have."""
        return topic.removeprefix(f"{self._root}/").split("/")[0]

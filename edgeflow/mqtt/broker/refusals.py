"""Refusals of the broker by topic, as alarms and as lines for people."""

from __future__ import annotations

import threading
import time

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import AlarmCode, Severity

__all__ = ["Refusals"]

_SHOW_AGAIN_S = 1.0
_Key = tuple[AlarmCode, str, bool]
"""Code, topic, and whether the topic is one that the box hears."""


class Refusals:
    """Standing refusals; any thread may note them, but none that runs in a callback of paho.

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
        """Have alarms raised and cleared there from now on, for what stands already, too."""
        self._alarms = alarms
        for code, topic, _ in list(self._standing):
            self._show(code, topic)

    def connection(self, address: str, problem: str) -> None:
        """An alarm while there is no connection; it is seen on the box's own computer.

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
        self, code: AlarmCode, severity: Severity, topic: str, text: str, *, heard: bool = False
    ) -> None:
        """A topic is refused; what is known already costs little, and stands again if somebody cleared it.

        Args:
            heard: it is a subscription, not a message.
        """
        now_s = time.monotonic()
        known = self._standing.get((code, topic, heard)) == (severity, text)
        if known and now_s < self._show_again_s:
            return
        self._show_again_s = now_s + _SHOW_AGAIN_S
        with self._lock:
            self._standing[code, topic, heard] = (severity, text)
        self._show(code, topic)

    def over(self, topic: str, *codes: AlarmCode, heard: bool = False) -> None:
        """A topic is taken again."""
        for code in codes:
            if (code, topic, heard) in self._standing:
                with self._lock:
                    self._standing.pop((code, topic, heard), None)
                self._show(code, topic)

    def _show(self, code: AlarmCode, topic: str) -> None:
        """Bring the alarm of a topic's group up to date."""
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
        """First level below the root; a name that a topic may have."""
        return topic.removeprefix(f"{self._root}/").split("/")[0]

"""Alarms of the box, published retained when they change; hysteresis for their end."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Protocol

from edgeflow.clock import utc_text
from edgeflow.contracts.messages import Alarm, AlarmCode, Severity

__all__ = ["AlarmHysteresis", "AlarmSink", "Alarms"]

logger = logging.getLogger(__name__)


class AlarmHysteresis:
    """Keeps a problem standing until a number of good observations follow one another; pure.

    Args:
        good_in_a_row: good observations, one after the other, that end the problem.

    Attributes:
        problem: text of the first bad observation since the last end; empty while none stands.
    """

    def __init__(self, good_in_a_row: int) -> None:
        self._needed = good_in_a_row
        self._good = 0
        self.problem = ""

    def bad(self, problem: str) -> None:
        """Record a bad observation; the problem of an earlier one stays."""
        self._good = 0
        self.problem = self.problem or problem

    def good(self) -> bool:
        """Record a good observation; return True for the one that completes the row and ends the problem.

        The first row after the start returns True as well: others may have raised the same alarm.
        """
        self._good += 1
        if self._good != self._needed:
            return False
        self.problem = ""
        return True


class AlarmSink(Protocol):
    """Publishes alarms; never blocks."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Publish retained; None clears."""


class Alarms:
    """Alarms of one session; any thread may raise and clear them, as often as it likes.

    Only changes are published. Not for the link's listener, which runs while paho holds its lock.

    A code may stand once for the whole box, or once per ``subject`` (a view, a product).
    """

    def __init__(self, session: str, sink: AlarmSink) -> None:
        self._session = session
        self._sink = sink
        self._lock = threading.Lock()  # for the table alone, never held while publishing
        self._standing: dict[str, Alarm] = {}
        self._raised: Counter[AlarmCode] = Counter()

    def raise_(self, code: AlarmCode, severity: Severity, text: str, *, subject: str = "") -> None:
        """Let an alarm stand; a new text or severity of a standing one keeps its ``since``.

        Args:
            text: problem, place and remedy; no counters, since each change is published.
        """
        new = Alarm(
            session=self._session, code=code, subject=subject, severity=severity, text=text, since=utc_text()
        )
        with self._lock:
            before = self._standing.get(new.name)
            if before and (before.severity, before.text) == (severity, text):
                return
            self._standing[new.name] = new.model_copy(update={"since": before.since}) if before else new
            self._raised[code] += before is None
        logger.warning("alarm %s: %s", new.name, text, extra=_fields("alarm_raised", new))
        self._publish(new.name)

    def clear(self, code: AlarmCode, *, subject: str = "") -> None:
        """End an alarm; nothing happens where it does not stand."""
        name = f"{code}.{subject}" if subject else code
        with self._lock:
            over = self._standing.pop(name, None)
        if over is None:
            return
        logger.warning("alarm %s: over", name, extra=_fields("alarm_over", over))
        self._publish(name)

    def clear_all(self) -> int:
        """End every alarm (problems that still exist are raised anew); return the number that stood."""
        standing = self.standing()
        for alarm in standing:
            self.clear(alarm.code, subject=alarm.subject)
        return len(standing)

    def standing(self) -> tuple[Alarm, ...]:
        """Return the standing alarms, oldest first."""
        with self._lock:
            return tuple(self._standing.values())

    def raised(self) -> dict[AlarmCode, int]:
        """Return how often alarms have been raised, by code; changes of a standing one do not count."""
        with self._lock:
            return dict(self._raised)

    def _publish(self, name: str) -> None:
        """Publish the present state, again if another thread changes it meanwhile: the last one stays."""
        while True:
            latest = self._standing.get(name)
            self._sink.publish_alarm(name, latest)
            if self._standing.get(name) is latest:
                return


def _fields(event: str, alarm: Alarm) -> dict[str, str]:
    """Fields of the log; the subject of an alarm about a camera is its view."""
    camera = alarm.subject if alarm.code.startswith("camera_") else ""
    return {
        "event": event,
        "code": alarm.code,
        "subject": alarm.subject,
        "severity": alarm.severity,
        "camera": camera,
    }

"""Late decisions are counted, and alarm until decisions come in time again."""

from __future__ import annotations

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.decision.lateness import DeadlineMonitor


class Panel:
    """What the line was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.told.append((name, alarm is not None))


def test_an_alarm_stands_from_the_first_late_decision_until_fifty_in_time() -> None:
    panel = Panel()
    watch = DeadlineMonitor(Alarms("s", panel))
    for late in [False, True, True] + [False] * 49:
        watch.note(late=late, deadline_ms=250)
    assert (watch.late, panel.told) == (2, [("late_decisions", True)])
    watch.note(late=False, deadline_ms=250)
    assert panel.told == [("late_decisions", True), ("late_decisions", False)]


def test_it_counts_where_nobody_is_told() -> None:
    watch = DeadlineMonitor()
    watch.note(late=True, deadline_ms=250)
    assert watch.late == 1

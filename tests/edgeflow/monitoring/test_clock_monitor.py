"""A wall clock that is set while the box runs is an alarm that names the jump, and is over after a while."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.monitoring.clock_monitor import ClockMonitor

NOW_S = 1.8e9


class Panel:
    """Records published alarms."""

    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm:
            self.standing[name] = alarm
        else:
            self.standing.pop(name, None)


@pytest.mark.parametrize(
    ("jump_s", "words"),
    [
        (30 * 86_400.0, "forward by 30.0 days"),
        (-4 * 3600.0, "back by 4.0 hours"),
        (2.0, "forward by 2.0 seconds"),
        (-300.0, "back by 5.0 minutes"),
    ],
)
def test_a_jump_is_an_alarm_that_says_how_far(jump_s: float, words: str) -> None:
    panel = Panel()
    watch = ClockMonitor(Alarms("s", panel))
    watch.look(NOW_S, 100.0)
    watch.look(NOW_S + 1.0 + jump_s, 101.0)
    assert words in panel.standing["clock_jumped"].text


def test_the_alarm_is_over_ten_minutes_after_the_last_jump() -> None:
    panel = Panel()
    watch = ClockMonitor(Alarms("s", panel))
    watch.look(NOW_S, 100.0)
    watch.look(NOW_S - 86_400, 101.0)
    watch.look(NOW_S + 200, 301.0)
    for up_s, stands in ((701.0, True), (900.9, True), (901.0, False)):
        watch.look(NOW_S - 101 + up_s, up_s)
        assert ("clock_jumped" in panel.standing) is stands


@given(st.lists(st.floats(min_value=0, max_value=3600), max_size=20), st.floats(-1e9, 1e9))
def test_a_clock_that_runs_is_none_whatever_time_it_shows(pauses_s: list[float], ahead_s: float) -> None:
    panel = Panel()
    watch = ClockMonitor(Alarms("s", panel))
    up_s = 0.0
    for pause_s in pauses_s:
        up_s += pause_s
        watch.look(NOW_S + ahead_s + up_s * 1.0005, up_s)  # corrected as fast as the kernel does it
    assert panel.standing == {}


def test_it_ends_when_it_is_told_to() -> None:
    watch = ClockMonitor(Alarms("s", Panel()))
    watch.start()
    watch.close()
    assert not watch._thread.is_alive()

"""Bounds of the box file, crossed and kept: which alarm stands when, and when it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edgeflow.alarms import Alarms
from edgeflow.config.alarms import AlarmsConfig
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import Alarm, VerdictName
from edgeflow.monitoring.line_monitor import LineMonitor
from edgeflow.scoring.scorer import Scores
from edgeflow.station.loop_watchdog import LoopWatchdog
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.scoring_thread import NotScoredInTime, ScoringThread
from edgeflow.thread_activity import overdue_threads, waiting, working
from tests.support.waiting import PATIENCE_S

S = 1_000_000_000


class Line:
    """A watch with bounds, and the alarms that stand."""

    def __init__(self, *, period_ms: float | None = None, **bounds: object) -> None:
        self.alarms = Alarms("s", self)
        self.watch = LineMonitor(AlarmsConfig(**bounds), self.alarms, period_ms=period_ms, now_ns=0)

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nobody listens; what stands is asked for."""

    @property
    def standing(self) -> set[str]:
        return {alarm.name for alarm in self.alarms.standing()}

    def decided(
        self, verdict: VerdictName = "OK", *, count: int = 1, code: ReasonCode = "ok", failure: str = ""
    ) -> set[str]:
        for _ in range(count):
            self.watch.decided(verdict, code=code, failure=failure, now_ns=0)
        return self.standing


def test_good_parts_are_no_alarm() -> None:
    assert Line().decided(count=200) == set()


def test_a_series_of_ng_stands_from_its_bound_to_the_first_other_part() -> None:
    line = Line(ng_in_a_row=4)
    assert line.decided("NG", count=3) == set()
    assert line.decided("OK") == set()
    assert line.decided("NG", count=3) == set()
    assert line.decided("NG") == {"ng_series"}
    assert line.decided("NG") == {"ng_series"}
    assert line.decided("UNDECIDED") == set()


def test_undecided_parts_over_their_share_of_the_window_are_an_alarm_until_half_of_it() -> None:
    line = Line(window_parts=10, undecided_share=0.4)
    assert line.decided("UNDECIDED", count=4) == set()
    assert line.decided("UNDECIDED") == {"undecided_rate"}
    assert line.decided("OK", count=7) == {"undecided_rate"}  # 3 of the last 10
    assert line.decided("OK") == set()


def test_parts_of_a_stopped_station_say_nothing_of_the_line() -> None:
    line = Line(window_parts=10, undecided_share=0.1)
    assert line.decided("UNDECIDED", count=50, code="stopped") == set()


def test_overruns_are_an_alarm_from_their_bound_to_half_of_it() -> None:
    line = Line(window_parts=10, overruns=3, undecided_share=1.0)
    assert line.decided("UNDECIDED", count=2, code="overrun") == set()
    assert line.decided("UNDECIDED", code="overrun") == {"overrun"}
    assert line.decided("OK", count=8) == {"overrun"}  # 2 of the last 10
    assert line.decided("OK") == set()


def test_failed_scoring_is_an_alarm_until_20_parts_were_not_failed() -> None:
    line = Line(undecided_share=1.0)
    assert line.decided("UNDECIDED", failure="scoring failed: x") == {"scoring_failed"}
    line.decided("UNDECIDED", failure="scoring failed: y")
    (alarm,) = line.alarms.standing()
    assert "scoring failed: x" in alarm.text, "one text for a series, since each change is told"
    line.alarms.clear_all()
    assert line.decided("UNDECIDED", failure="scoring failed: y") == {"scoring_failed"}, "told again"
    assert line.decided("OK", count=19) == {"scoring_failed"}
    assert line.decided("OK") == set()
    line.decided("UNDECIDED", failure="scoring failed: z")
    assert "scoring failed: z" in line.alarms.standing()[0].text, "a new series has its own"


def test_a_decided_part_without_a_result_is_an_alarm_until_reset() -> None:
    line = Line()
    line.watch.not_recorded("KeyError: 'a'")
    line.watch.not_recorded("KeyError: 'b'")
    assert line.decided("OK", count=100) == {"record_failed"}
    assert "KeyError: 'a'" in line.alarms.standing()[0].text


@pytest.mark.parametrize(
    ("bounds", "period_ms", "silent_s"),
    [({"no_part_s": 3.0}, None, 3), ({"no_part_s": 3.0}, 100.0, 3), ({}, 100.0, 10), ({}, 2000.0, 40)],
)
def test_no_part_for_its_time_is_an_alarm_until_the_next_one(
    bounds: dict[str, float], period_ms: float | None, silent_s: int
) -> None:
    line = Line(period_ms=period_ms, **bounds)
    line.watch.turn(silent_s * S, 0)
    assert line.standing == set()
    line.watch.turn(silent_s * S + 1, 0)
    assert line.standing == {"no_part"}
    line.watch.decided("OK", code="ok", failure="", now_ns=silent_s * S + 2)
    assert line.standing == set()
    line.watch.turn(2 * silent_s * S, 0)
    assert line.standing == set()


def test_a_line_that_others_trigger_may_stand_for_any_time() -> None:
    line = Line()
    line.watch.turn(10**9 * S, 0)
    assert line.standing == set()


def test_a_connection_that_comes_up_again_and_again_is_flapping() -> None:
    line = Line(connections=4, connections_min=1.0)
    for count, at_s in ((1, 0), (1, 1), (2, 2), (2, 3), (3, 4), (3, 5)):
        line.watch.turn(at_s * S, count)
        assert line.standing == set()
    line.watch.turn(6 * S, 4)
    assert line.standing == {"connection_flapping"}
    line.watch.turn(62 * S, 4)  # the first is older than a minute: 3 are left
    assert line.standing == {"connection_flapping"}
    line.watch.turn(63 * S, 4)
    assert line.standing == set()


def test_connections_that_come_and_go_between_two_looks_count_too() -> None:
    line = Line(connections=4, connections_min=1.0)
    line.watch.turn(S, 3)
    assert line.standing == set()
    line.watch.turn(2 * S, 4)
    assert line.standing == {"connection_flapping"}


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10 * S

    def __call__(self) -> int:
        return self.now_ns


class Manager(ServiceManager):
    """A service manager's own interface, which counts the signs of life."""

    def __init__(self) -> None:
        super().__init__("")
        self.fed = 0

    def feed(self, now_ns: int) -> None:  # noqa: ARG002 - the interface
        self.fed += 1


class Link:
    connections = 1


@pytest.fixture
def at_rest() -> Iterator[None]:
    """Turns say that this thread lives; after the test it is no line any more."""
    yield
    waiting()


def test_a_turn_feeds_the_watchdog_but_not_while_scoring_hangs(at_rest: None) -> None:
    line, clock, manager, go_on = Line(), Clock(), Manager(), threading.Event()
    scoring = ScoringThread(clock)
    turn = LoopWatchdog(
        scoring=scoring,
        line_monitor=line.watch,
        manager=manager,
        link=Link(),
        alarms=line.alarms,
        clock=clock,
    )
    turn()
    turn()
    assert manager.fed == 1, "a few times a second is enough"
    clock.now_ns += S
    turn()
    assert manager.fed == 2

    def hang() -> Scores:
        go_on.wait(PATIENCE_S)
        raise KeyError

    with pytest.raises(NotScoredInTime):
        scoring.call(hang, until_ns=0, limit_ns=S)
    clock.now_ns += 2 * S
    turn()
    assert (manager.fed, line.standing) == (2, {"scoring_hangs"})
    go_on.set()
    assert scoring.close(10)
    clock.now_ns += S
    turn()
    assert (manager.fed, line.standing) == (3, set())


@pytest.mark.parametrize(("name", "fed"), [("synchronizer", 0), ("mqtt", 0), ("evidence", 1)])
def test_a_vital_thread_that_hangs_keeps_the_watchdog_hungry(at_rest: None, name: str, fed: int) -> None:
    line, clock, manager, go_on, said = Line(), Clock(), Manager(), threading.Event(), threading.Event()

    def hang() -> None:
        working(5)
        said.set()
        go_on.wait(PATIENCE_S)

    thread = threading.Thread(target=hang, name=name)
    thread.start()
    assert said.wait(PATIENCE_S)
    clock.now_ns = time.monotonic_ns() + 6 * S
    turn = LoopWatchdog(
        scoring=ScoringThread(),
        line_monitor=line.watch,
        manager=manager,
        link=Link(),
        alarms=line.alarms,
        clock=clock,
    )
    turn()
    assert manager.fed == fed
    go_on.set()
    thread.join()
    clock.now_ns += S
    turn()
    assert manager.fed == fed + 1


def test_a_line_that_turns_no_more_hangs(at_rest: None) -> None:
    line, clock = Line(), Clock()
    turn = LoopWatchdog(
        scoring=ScoringThread(),
        line_monitor=line.watch,
        manager=Manager(),
        link=Link(),
        alarms=line.alarms,
        clock=clock,
    )
    turn()
    assert overdue_threads(time.monotonic() + 10) == ()
    assert overdue_threads(time.monotonic() + 16) == ("MainThread",)

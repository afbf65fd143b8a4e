"""Threads under supervision: a dead one and a hanging one are told of by name, living ones never."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.monitoring.supervision import Supervisor
from edgeflow.thread_activity import at_work, busy_threads, overdue_threads, waiting, working
from tests.support.waiting import PATIENCE_S


class Told:
    def __init__(self) -> None:
        self.alarms: dict[str, Alarm | None] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.alarms[name] = alarm


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def deaths(told: Told) -> Iterator[list[str]]:
    """Records the dead threads that a supervisor reports."""
    found: list[str] = []
    before = threading.excepthook
    with Supervisor(Alarms("s", told), found.append):
        yield found
    assert threading.excepthook is before


def run(target: Callable[[], object], name: str = "evidence") -> None:
    thread = threading.Thread(target=target, name=name)
    thread.start()
    thread.join()


def fail() -> None:
    raise KeyError("frame")


def test_a_thread_that_dies_is_an_alarm_and_told_once(deaths: list[str], told: Told) -> None:
    run(fail)
    (text,) = deaths
    assert "thread 'evidence' died: KeyError: 'frame'" in text
    alarm = told.alarms["thread_died"]
    assert alarm is not None
    assert (alarm.severity, alarm.text) == ("error", text)


def test_a_thread_that_ends_as_it_should_is_no_news(deaths: list[str], told: Told) -> None:
    run(lambda: None)
    assert (deaths, told.alarms) == ([], {})


class Worker:
    """A thread that says what the test tells it to."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._said, self.go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()
        assert self._said.wait(PATIENCE_S)

    def _run(self) -> None:
        self._say()
        self._said.set()
        self.go_on.wait(PATIENCE_S)

    def end(self) -> None:
        self.go_on.set()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def worker() -> Iterator[Callable[[Callable[[], None]], Worker]]:
    made: list[Worker] = []

    def make(say: Callable[[], None]) -> Worker:
        made.append(Worker(say))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_a_thread_hangs_once_its_time_is_over_and_not_before(
    worker: Callable[[Callable[[], None]], Worker],
) -> None:
    before = time.monotonic()
    hanging = worker(lambda: working(5.0))
    after = time.monotonic()
    assert overdue_threads(before + 4.9) == ()
    assert overdue_threads(after + 5.1) == ("outbox",)
    hanging.end()
    assert overdue_threads(after + 5.1) == (), "a thread that has ended does not hang"


def test_a_thread_that_waits_for_work_does_not_hang(worker: Callable[[Callable[[], None]], Worker]) -> None:
    def work_then_wait() -> None:
        working(5.0)
        waiting()

    worker(work_then_wait)
    assert overdue_threads(time.monotonic() + 1e6) == ()


def test_the_alarm_of_a_hanging_thread_ends_when_it_goes_on(
    worker: Callable[[Callable[[], None]], Worker], told: Told
) -> None:
    hanging = worker(lambda: working(5.0))
    supervisor = Supervisor(Alarms("s", told), lambda _: None)
    supervisor.look(time.monotonic() + 6)
    alarm = told.alarms["thread_hangs.outbox"]
    assert alarm is not None
    assert "thread 'outbox' hangs" in alarm.text
    hanging.end()
    supervisor.look(time.monotonic() + 6)
    assert told.alarms["thread_hangs.outbox"] is None


def test_a_step_of_the_main_thread_is_watched_for_as_long_as_it_lasts() -> None:
    with at_work(5.0):
        assert "MainThread" in busy_threads()
        assert overdue_threads(time.monotonic() + 6) == ("MainThread",)
    with pytest.raises(KeyError), at_work(5.0):
        raise KeyError
    assert "MainThread" not in busy_threads()

"""Scoring beside the line: answered, raised or given up in time; what hangs is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edgeflow.clock import monotonic_ns
from edgeflow.scoring.scorer import Scores
from edgeflow.station.scoring_thread import NotScoredInTime, ScoringThread
from edgeflow.thread_activity import busy_threads
from tests.support.waiting import PATIENCE_S, wait_until

MINUTE_NS = 60_000_000_000
MAPS = np.zeros((1, 2, 2), np.float32)


def scores(part: float) -> Scores:
    return Scores(
        inputs=np.zeros((1, 2, 2, 3), np.uint8), maps=MAPS, raw_maps=MAPS, masks=None, views={},
        part=part, highest=part,
    )  # fmt: skip


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def thread(gate: threading.Event) -> Iterator[ScoringThread]:
    made = ScoringThread()
    yield made
    gate.set()
    assert made.close(10)


def call(
    thread: ScoringThread, work: Callable[[], Scores], *, wait_ns: int = MINUTE_NS, limit_ns: int = MINUTE_NS
) -> float:
    return thread.call(work, until_ns=monotonic_ns() + wait_ns, limit_ns=limit_ns).part


def test_answers_are_handed_back_in_order_from_one_other_thread(thread: ScoringThread) -> None:
    names: set[str] = set()

    def work(number: int) -> Scores:
        names.add(threading.current_thread().name)
        return scores(number)

    assert [call(thread, lambda n=n: work(n)) for n in range(3)] == [0, 1, 2]
    assert names == {"scoring"}
    assert not thread.hangs()
    assert "scoring" not in busy_threads()


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError()])
def test_an_error_is_raised_where_the_answer_is_waited_for(thread: ScoringThread, error: Exception) -> None:
    def fail() -> Scores:
        raise error

    with pytest.raises(type(error)):
        call(thread, fail)
    assert call(thread, lambda: scores(1)) == 1


def test_an_exit_in_scoring_is_an_error_like_others_and_ends_no_thread(thread: ScoringThread) -> None:
    def leave() -> Scores:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        call(thread, leave)
    assert call(thread, lambda: scores(1)) == 1


def test_no_answer_in_time_is_given_up_and_the_late_one_is_discarded(
    thread: ScoringThread, gate: threading.Event
) -> None:
    def slow() -> Scores:
        gate.wait(PATIENCE_S)
        return scores(1)

    with pytest.raises(NotScoredInTime, match=r"has not answered for \d+\.\d s"):
        call(thread, slow, wait_ns=1_000_000)
    with pytest.raises(NotScoredInTime):
        call(thread, lambda: scores(2), wait_ns=1_000_000)
    wait_until(lambda: "scoring" in busy_threads())  # it may not have begun yet
    gate.set()
    assert call(thread, lambda: scores(3)) == 3, "neither the late answer nor the part that was given up"


def test_a_call_hangs_once_it_is_over_its_limit_until_it_answers(gate: threading.Event) -> None:
    clock = Clock()
    thread = ScoringThread(clock)

    def slow() -> Scores:
        gate.wait(PATIENCE_S)
        return scores(1)

    with pytest.raises(NotScoredInTime):
        thread.call(slow, until_ns=0, limit_ns=1000)
    clock.now_ns = 1000
    assert not thread.hangs()
    clock.now_ns = 1001
    assert thread.hangs()
    with pytest.raises(NotScoredInTime):  # at once, whatever time there is
        thread.call(lambda: scores(2), until_ns=10 * MINUTE_NS, limit_ns=1000)
    gate.set()
    assert thread.close(10)
    assert not thread.hangs()


def test_whoever_waits_has_a_turn_every_second(thread: ScoringThread, gate: threading.Event) -> None:
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 2:
            gate.set()

    def slow() -> Scores:
        gate.wait(PATIENCE_S)
        return scores(4)

    answer = thread.call(slow, until_ns=monotonic_ns() + MINUTE_NS, limit_ns=MINUTE_NS, turn=turn)
    assert (answer.part, len(turns)) == (4, 2)


class Device:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_what_a_call_uses_is_closed_after_it_and_before_the_end(
    thread: ScoringThread, gate: threading.Event
) -> None:
    device = Device()

    def slow() -> Scores:
        gate.wait(PATIENCE_S)
        return scores(1)

    with pytest.raises(NotScoredInTime):
        call(thread, slow, wait_ns=0)
    thread.release(device)
    assert not thread.close(0.05), "it hangs, and says so"
    assert not device.closed.is_set()
    gate.set()
    assert thread.close(10)
    assert device.closed.is_set()


def test_what_was_never_used_is_closed_too() -> None:
    thread, device = ScoringThread(), Device()
    thread.release(device)
    assert thread.close(1)
    assert device.closed.is_set()


def test_a_release_that_fails_does_not_end_scoring(thread: ScoringThread) -> None:
    class Broken:
        def close(self) -> None:
            raise OSError("gone")

    thread.release(Broken())
    assert call(thread, lambda: scores(1)) == 1

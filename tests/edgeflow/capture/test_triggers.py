"""Triggers at an interval."""

from __future__ import annotations

import queue

from hypothesis import given
from hypothesis import strategies as st

from edgeflow.capture.triggers import IntervalPacer, IntervalSource, Trigger
from edgeflow.clock import monotonic_ns
from tests.support.waiting import PATIENCE_S

MS = 1_000_000


def test_triggers_stay_on_the_grid_however_late_each_one_fires() -> None:
    pacer = IntervalPacer(period_ms=10, session="s", start_ns=0)
    for tick in range(1000):
        assert pacer.due_ns == tick * 10 * MS
        pacer.fire(pacer.due_ns + 3 * MS)


def test_missed_periods_are_skipped_and_not_made_up_for() -> None:
    pacer = IntervalPacer(period_ms=10, session="s", start_ns=0)
    pacer.fire(0)
    pacer.fire(74 * MS)
    assert pacer.due_ns == 80 * MS


def test_ids_count_triggers_and_carry_the_session() -> None:
    pacer = IntervalPacer(period_ms=10, session="box-7", start_ns=0)
    first, second = pacer.fire(0), pacer.fire(95 * MS)
    assert first == Trigger(trigger_id="box-7-000001", part_id=None, at_ns=0)
    assert (second.trigger_id, second.at_ns) == ("box-7-000002", 95 * MS)


@given(
    period_ms=st.floats(0.1, 10_000), delays_ns=st.lists(st.integers(0, 20_000 * MS), min_size=1, max_size=50)
)
def test_the_next_trigger_is_always_due_after_the_last_and_within_a_period(
    period_ms: float, delays_ns: list[int]
) -> None:
    pacer = IntervalPacer(period_ms=period_ms, session="s", start_ns=1000)
    ids = set()
    for delay_ns in delays_ns:
        now_ns = pacer.due_ns + delay_ns
        ids.add(pacer.fire(now_ns).trigger_id)
        assert now_ns - 1 <= pacer.due_ns <= now_ns + period_ms * MS + 1
    assert len(ids) == len(delays_ns)


def test_the_source_gives_triggers_until_it_is_stopped() -> None:
    given_triggers: queue.SimpleQueue[Trigger] = queue.SimpleQueue()
    source = IntervalSource(period_ms=2, session="s", on_trigger=given_triggers.put)
    start_ns = monotonic_ns()
    source.start()
    triggers = [given_triggers.get(timeout=PATIENCE_S) for _ in range(3)]
    source.stop()
    stamps = [trigger.at_ns for trigger in triggers]
    assert start_ns <= stamps[0] < stamps[1] < stamps[2] <= monotonic_ns()
    while not given_triggers.empty():
        given_triggers.get()
    assert not source._thread.is_alive()
    assert given_triggers.empty()


def test_a_source_stopped_before_its_start_gives_nothing() -> None:
    given_triggers: queue.SimpleQueue[Trigger] = queue.SimpleQueue()
    source = IntervalSource(period_ms=1, session="s", on_trigger=given_triggers.put)
    source.stop()
    source.start()
    source._thread.join(PATIENCE_S)
    assert given_triggers.empty()

"""Capture times of a stream's pictures, whatever the network did to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.cameras.streams.stream_clock import Moment, PaceClock, StreamClock

MS = 1_000_000
STEP_MS = 40
WAY_MS = 5.0  # of a picture that nothing holds up
START_NS = 7_000_000 * MS


def queued(delays_ms: Iterable[float]) -> list[float]:
    """Arrivals after the start in ms, of pictures taken every 40 ms; none overtakes another."""
    arrivals: list[float] = []
    for number, delay_ms in enumerate(delays_ms):
        arrivals.append(max([number * STEP_MS + WAY_MS + delay_ms, *arrivals[-1:]]))
    return arrivals


def held_up(seconds: float, *, after: int, more: int = 150) -> list[float]:
    """Delays of pictures that wait until a network lets all of them go at once."""
    end_ms = after * STEP_MS + 1000 * seconds
    return [max(0.0, end_ms - n * STEP_MS) if n >= after else 0.0 for n in range(after + more)]


def by_stream(arrivals_ms: list[float], *, max_late_ms: float = 500, rate: float = 1.0) -> list[Moment]:
    clock = StreamClock(max_late_ns=round(max_late_ms * MS))
    return [
        clock.moment(round(number * STEP_MS * MS * rate), START_NS + round(arrived_ms * MS))
        for number, arrived_ms in enumerate(arrivals_ms)
    ]


def by_pace(arrivals_ms: list[float], *, waited: Callable[[int], bool] | None = None) -> list[Moment]:
    """Moments of a reader that waits whenever nothing is there."""
    clock = PaceClock()
    moments = []
    before_ms = -1000.0
    for number, arrived_ms in enumerate(arrivals_ms):
        waits = arrived_ms - before_ms > 3 if waited is None else waited(number)
        moments.append(
            clock.moment(START_NS + round(arrived_ms * MS), waited_ns=10 * MS if waits else 100_000)
        )
        before_ms = arrived_ms
    return moments


def errors_ms(moments: list[Moment]) -> dict[int, float]:
    """Of every usable picture, stamp minus exposure and usual way."""
    return {
        number: (moment.captured_ns - START_NS) / MS - number * STEP_MS - WAY_MS
        for number, moment in enumerate(moments)
        if moment.usable
    }


@settings(max_examples=60, deadline=None)
@given(
    jitter=st.lists(st.floats(0, 30), min_size=50, max_size=50),
    held_s=st.floats(0.05, 3),
    later=st.lists(st.floats(0, 400), min_size=20, max_size=60),
)
def test_a_picture_keeps_its_moment_however_long_its_way_was(
    jitter: list[float], held_s: float, later: list[float]
) -> None:
    arrivals = queued([*jitter, 0.0, *([0.0] * 13), *held_up(held_s, after=64)[64:], *later])
    moments = by_stream(arrivals)
    errors = errors_ms(moments)
    assert all(-0.1 <= errors[n] <= min(jitter[: n + 1]) + 0.5 for n in errors if n < 50)
    assert all(abs(error) < 1.0 for number, error in errors.items() if number >= 64)
    for number, moment in enumerate(moments[64:], 64):
        late_ms = arrivals[number] - number * STEP_MS - WAY_MS
        assert moment.late_ns / MS == pytest.approx(late_ms, abs=1.0)
        if abs(late_ms - 500) > 2:
            assert moment.usable == (late_ms < 500)


def test_a_delay_that_stays_is_never_taken_for_usual() -> None:
    moments = by_stream(queued([0.0] * 50 + [1000.0] * 25 * 600))
    assert not any(moment.usable for moment in moments[60:])


@pytest.mark.parametrize("limit_ms", [100, 250])
def test_pictures_are_used_up_to_the_limit_and_not_beyond(limit_ms: int) -> None:
    arrivals = queued([0.0] * 50 + [limit_ms - 1.0, 0, 0, 0, 0, 0, 0, 0, limit_ms + 1.0])
    moments = by_stream(arrivals, max_late_ms=limit_ms)
    assert moments[50].usable
    assert not moments[58].usable


@pytest.mark.parametrize("ppm", [-100, 100])
def test_clocks_that_drift_apart_stay_together(ppm: int) -> None:
    errors = errors_ms(by_stream(queued([0.0] * 25 * 600), rate=1 + ppm * 1e-6))
    assert len(errors) > 25 * 598
    assert all(abs(error) < 0.5 for error in errors.values())


def test_a_stored_second_that_a_server_sends_at_once_is_passed_over() -> None:
    """The first pictures are old: what arrives within a moment was taken within a second."""
    arrivals = queued(held_up(1.0, after=0))
    moments = by_stream(arrivals)
    errors = errors_ms(moments)
    assert min(errors) >= 25 + 12
    assert all(abs(error) < 0.1 for error in errors.values())


@pytest.mark.parametrize("shift_ms", [-90_000, -30, 100, 1500, 3_600_000])
def test_a_stream_time_that_begins_anew_is_learned_anew_before_pictures_are_used(shift_ms: int) -> None:
    clock = StreamClock(max_late_ns=500 * MS)
    moments = []
    for number in range(100):
        stream_ms = number * STEP_MS + (shift_ms - STEP_MS if number >= 50 else 0)
        arrived_ms = number * STEP_MS + WAY_MS
        moments.append(clock.moment(round(stream_ms * MS), START_NS + round(arrived_ms * MS)))
    usable = [number for number, moment in enumerate(moments) if moment.usable]
    assert usable == [*range(13, 50), *range(63, 100)]
    assert all(abs(error) < 0.1 for error in errors_ms(moments).values())


def test_a_stream_whose_time_stands_still_is_not_used() -> None:
    clock = StreamClock(max_late_ns=3_600_000 * MS)
    assert not any(clock.moment(5, START_NS + n * STEP_MS * MS).usable for n in range(200))


@settings(max_examples=60, deadline=None)
@given(held_s=st.floats(0.1, 2.0), after=st.integers(30, 300), seed=st.integers(0, 10**6))
def test_pictures_without_a_time_that_come_in_a_burst_are_never_taken_for_new(
    held_s: float, after: int, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - jitter, not a secret
    delays = [delay + chance.uniform(0, 4) for delay in held_up(held_s, after=after)]
    arrivals = queued(delays)
    errors = errors_ms(by_pace(arrivals))
    assert all(-10 <= error <= 20 for error in errors.values())
    released = round(after + 25 * held_s)
    assert not any(number in errors for number in range(after, released - 2))
    assert all(number in errors for number in range(released + 2, len(arrivals)))


@pytest.mark.parametrize("left_out", [1, 3, 5])
def test_pictures_that_a_camera_left_out_are_noticed_and_a_regular_pace_ends_the_doubt(left_out: int) -> None:
    delays = [0.0] * 60 + [left_out * STEP_MS] * 100
    usable = [number for number, moment in enumerate(by_pace(queued(delays))) if moment.usable]
    assert usable == [*range(60), *range(70, 160)]


def after_a_gap(gap_ms: float, steps_ms: list[float]) -> list[bool]:
    """True for each usable picture of those that come in these steps after a gap in an even pace."""
    arrivals = [n * 40.0 for n in range(60)]
    arrivals.append(arrivals[-1] + gap_ms)
    for step_ms in steps_ms:
        arrivals.append(arrivals[-1] + step_ms)
    return [moment.usable for moment in by_pace(arrivals)][60:]


def test_a_queue_that_empties_slowly_is_no_usual_pace() -> None:
    usable = after_a_gap(240.0, [36.0] * 60)
    assert not any(usable[:40])
    assert all(usable[50:])


def test_pictures_that_come_unevenly_after_a_gap_prove_nothing() -> None:
    assert not any(after_a_gap(160.0, [20.0, 60.0] * 25)[:40])


def test_after_a_long_gap_the_pace_is_measured_anew() -> None:
    usable = [n for n, m in enumerate(by_pace(queued([0.0] * 60 + [800.0] * 200))) if m.usable]
    assert usable[:60] == list(range(60))
    assert 60 + 25 * 1.9 < usable[60] < 60 + 25 * 3.2
    assert usable[60:] == list(range(usable[60], 260))


def test_a_slower_pace_is_learned() -> None:
    arrivals = [*(n * 40.0 for n in range(60)), *(60 * 40.0 + n * 80.0 for n in range(150))]
    usable = [number for number, moment in enumerate(by_pace(arrivals)) if moment.usable]
    assert usable[-100:] == list(range(110, 210))


def test_a_reader_that_never_waits_is_behind() -> None:
    moments = by_pace(queued([0.0] * 100), waited=lambda number: number < 40)
    assert [n for n, moment in enumerate(moments) if moment.usable] == list(range(40 + 12))


def test_pictures_that_come_a_little_unevenly_are_all_used() -> None:
    chance = random.Random(1)  # noqa: S311 - jitter, not a secret
    moments = by_pace(queued([chance.uniform(0, 20) for _ in range(1000)]))
    assert all(moment.usable for moment in moments)
    assert all(0 <= moment.late_ns < 25 * MS for moment in moments)


@pytest.mark.parametrize("rate", [0.999, 0.9995, 0.99])
def test_a_stream_whose_time_runs_slow_gives_no_stamp_that_is_far_behind(rate: float) -> None:
    moments = by_stream(queued([0.0] * 8000), rate=rate)
    behind_ms = [-error for error in errors_ms(moments).values()]
    assert max(behind_ms) < 50 + 5000 * (1 - rate)
    assert not any(moment.usable for moment in moments[-500:])

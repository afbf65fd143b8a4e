"""The camera's clock on the computer's: bounds that hold whatever delays, drifts and steps there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.cameras.genicam.device_clock import DeviceClock

MS = 1_000_000
S = 1000 * MS


def test_a_frame_that_came_late_keeps_its_time() -> None:
    clock = DeviceClock()
    assert clock.captured_ns(1 * MS, 50 * MS) == 50 * MS
    assert clock.captured_ns(101 * MS, 149 * MS) == 149 * MS  # faster: the offset shrinks
    assert clock.captured_ns(201 * MS, 900 * MS) / MS == pytest.approx(249, abs=0.02)


def test_arrivals_alone_do_not_tell_how_long_transfer_takes() -> None:
    clock = DeviceClock()
    clock.captured_ns(1 * MS, 151 * MS)
    assert clock.unsure_ns(1 * MS) is None
    assert clock.exposed_ns(1 * MS) == (None, 151 * MS)


def test_a_trigger_bounds_the_exposure_from_below() -> None:
    clock = DeviceClock()
    clock.captured_ns(5 * S, 10 * S + 160 * MS)
    clock.triggered(5 * S, 10 * S)
    assert clock.exposed_ns(5 * S) == (10 * S, 10 * S + 160 * MS)
    assert clock.captured_ns(5 * S + 100 * MS, 10 * S + 300 * MS) / MS == pytest.approx(10_100, abs=0.02)
    assert (clock.unsure_ns(5 * S + 100 * MS) or 0) / MS == pytest.approx(160, abs=0.03)


def test_a_reading_of_the_cameras_clock_tells_when_a_late_frame_was_exposed() -> None:
    clock = DeviceClock()
    assert clock.read(5 * S, 10 * S, 10 * S + 1 * MS)
    captured_ns = clock.captured_ns(6 * S, 11 * S + 400 * MS)
    assert captured_ns / MS == pytest.approx(11_000, abs=0.2)
    assert (clock.unsure_ns(6 * S) or 0) / MS == pytest.approx(1, abs=0.3)


def test_of_several_readings_the_tightest_bounds_count() -> None:
    clock = DeviceClock()
    clock.read(5 * S, 10 * S - 3 * MS, 10 * S)
    clock.read(5 * S + 10 * MS, 10 * S + 10 * MS, 10 * S + 17 * MS)
    earliest_ns, latest_ns = clock.exposed_ns(5 * S + 10 * MS)
    assert earliest_ns == 10 * S + 10 * MS
    assert (latest_ns or 0) / MS == pytest.approx(10_010, abs=0.01)


def test_bounds_loosen_as_clocks_drift() -> None:
    clock = DeviceClock()
    clock.read(0, 10 * S, 10 * S)
    assert clock.exposed_ns(60 * S) == (70 * S - 6 * MS, 70 * S + 6 * MS)
    assert clock.slack_ns(60 * S) == 6 * MS


@pytest.mark.parametrize("step_s", [-4000, -3, 3, 4000])
def test_a_camera_clock_that_was_set_is_measured_anew(step_s: int) -> None:
    """By the next reading at the latest; nothing is known of it in between, or nothing wrong."""
    clock = DeviceClock()
    clock.read(5000 * S, 10_000 * S, 10_000 * S + MS)
    clock.captured_ns(5001 * S, 10_001 * S + 50 * MS)
    stamp_ns, at_ns = (5002 + step_s) * S, 10_002 * S
    clock.captured_ns(stamp_ns, at_ns + 50 * MS)
    clock.read(stamp_ns + 100 * MS, at_ns + 100 * MS, at_ns + 101 * MS)
    earliest_ns, latest_ns = clock.exposed_ns(stamp_ns + 200 * MS)
    assert earliest_ns is not None
    assert latest_ns is not None
    assert earliest_ns <= at_ns + 200 * MS <= latest_ns
    assert latest_ns - earliest_ns < 5 * MS


def test_a_camera_that_arrived_before_it_was_exposed_has_another_clock_now() -> None:
    clock = DeviceClock()
    clock.read(5 * S, 10 * S, 10 * S)
    clock.captured_ns(6 * S + 700 * MS, 11 * S + 600 * MS)
    assert clock.unsure_ns(6 * S + 700 * MS) is None


def test_a_reading_of_some_other_clock_is_refused() -> None:
    clock = DeviceClock()
    clock.captured_ns(5000 * S, 10_000 * S)
    assert not clock.read(5, 10_001 * S, 10_001 * S)
    assert clock.unsure_ns(5001 * S) is None


EVENTS = st.lists(
    st.tuples(
        st.integers(1, 3000),  # ms since the event before
        st.sampled_from(["frame", "frame", "frame", "trigger", "read"]),
        st.integers(0, 400),  # ms of transfer
        st.integers(0, 40),  # ms from trigger to exposure, or of a round trip
    ),
    min_size=1,
    max_size=60,
)


@given(events=EVENTS, zero_s=st.integers(0, 10**6), ppm=st.integers(-90, 90))
def test_the_true_exposure_is_never_outside_the_interval(
    events: list[tuple[int, str, int, int]], zero_s: int, ppm: int
) -> None:
    clock, at_ns, known = DeviceClock(), 10**6 * S, False

    def device(ns: int) -> int:
        return zero_s * S + (ns - 10**6 * S) * (10**6 + ppm) // 10**6

    for pause_ms, kind, transfer_ms, trip_ms in events:
        at_ns += pause_ms * MS
        stamp_ns = device(at_ns)
        if kind == "read":
            assert clock.read(stamp_ns, at_ns - trip_ms * MS, at_ns + 2 * trip_ms * MS)
        else:
            captured_ns = clock.captured_ns(stamp_ns, at_ns + transfer_ms * MS)
            assert captured_ns <= at_ns + transfer_ms * MS
            if kind == "trigger":
                clock.triggered(stamp_ns, at_ns - trip_ms * MS)
        known = known or kind != "frame"
        earliest_ns, latest_ns = clock.exposed_ns(stamp_ns)
        assert (earliest_ns is not None) == known
        assert latest_ns is not None
        assert latest_ns >= at_ns - 2
        assert earliest_ns is None or earliest_ns <= at_ns + 2


@pytest.mark.parametrize("more_ns", [0, 1])
def test_a_transfer_of_ten_seconds_is_the_longest_that_a_reading_may_show(more_ns: int) -> None:
    clock = DeviceClock()
    clock.arrived(5 * S, 20 * S + more_ns)
    assert clock.read(5 * S, 10 * S, 10 * S) is (more_ns == 0)

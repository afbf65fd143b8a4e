"""Delay of trigger messages, estimated from the sender's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.capture.trigger_messages.filter import TriggerFilter
from edgeflow.capture.trigger_messages.sender_clock import SenderClock, utc_ns
from edgeflow.contracts.messages import TriggerMessage

MS = 1_000_000
ZERO = utc_ns("2026-11-28T12:00:00.0Z") or 0


def heard(clock: SenderClock, at_ms: float, arrived_ms: float) -> float:
    """Delay in ms."""
    return clock.estimate(ZERO + round(at_ms * MS), round(arrived_ms * MS)).held_ns / MS


def test_what_comes_as_quickly_as_before_was_not_held_up() -> None:
    clock = SenderClock()
    assert [heard(clock, 200 * k, 5000 + 200 * k) for k in range(5)] == [0] * 5


def test_a_message_that_one_retransmission_held_up_tells_by_how_much_and_when_it_was_due() -> None:
    clock = SenderClock()
    for k in range(3):
        heard(clock, 200 * k, 5000 + 200 * k)
    late = clock.estimate(ZERO + 600 * MS, 5850 * MS)
    assert late.known
    assert late.held_ns / MS == pytest.approx(250, abs=0.1)
    assert late.moment_ns / MS == pytest.approx(5600, abs=0.1)


def test_the_first_messages_after_a_start_tell_no_moment() -> None:
    clock = SenderClock()
    assert [clock.estimate(ZERO + k * 200 * MS, (900 + k * 200) * MS).known for k in range(4)] == [
        False, False, True, True,
    ]  # fmt: skip


def test_messages_that_were_held_up_together_tell_no_moment_until_others_agree() -> None:
    clock = SenderClock()
    held = [clock.estimate(ZERO + at_ms * MS, (5902 + at_ms // 200) * MS) for at_ms in (0, 200, 650)]
    assert [each.known for each in held] == [False, False, False]
    on_time = [clock.estimate(ZERO + at_ms * MS, (5002 + at_ms) * MS) for at_ms in (1000, 1200, 1400)]
    assert [each.known for each in on_time] == [False, False, True]
    assert on_time[2].moment_ns == 6402 * MS


@pytest.mark.parametrize(("more_ms", "known"), [(19, True), (21, False)])
def test_what_came_quicker_by_far_has_to_be_agreed_to_anew(more_ms: int, known: bool) -> None:
    clock = SenderClock()
    for k in range(5):
        clock.estimate(ZERO + 200 * k * MS, (5000 + 200 * k) * MS)
    assert clock.estimate(ZERO + 1000 * MS, (6000 - more_ms) * MS).known is known


def test_a_message_without_a_clock_is_of_unknown_age() -> None:
    told = SenderClock().estimate(None, 7)
    assert (told.moment_ns, told.held_ns, told.known) == (7, 0, False)


def test_clocks_that_drift_hold_nothing_up() -> None:
    clock = SenderClock()
    late = [heard(clock, 1000 * k, 1000 * k * (1 + 90e-6)) for k in range(3600)]
    assert max(late) < 1


def test_a_clock_set_forward_counts_from_the_next_message() -> None:
    clock = SenderClock()
    for k in range(5):
        heard(clock, 200 * k, 200 * k)
    assert heard(clock, 61_000, 1000) == 0
    assert heard(clock, 61_200, 1200) == 0
    assert heard(clock, 61_400, 1650) == pytest.approx(250, abs=0.1)


def test_a_clock_set_back_is_taken_for_late_messages_for_a_while_and_not_for_ever() -> None:
    clock = SenderClock()
    for k in range(5):
        heard(clock, 500 * k, 500 * k)
    late = [heard(clock, 500 * k - 3000, 500 * k) for k in range(5, 40)]
    assert late[:19] == pytest.approx([3000] * 19, abs=2)
    assert late[19:] == pytest.approx([0] * 16, abs=2)


@pytest.mark.parametrize("step_ms", [8, 30, 49])
def test_a_clock_set_back_by_a_little_is_not_taken_for_late_messages_for_ever(step_ms: int) -> None:
    clock = SenderClock()
    for k in range(5):
        heard(clock, 500 * k, 500 * k)
    late = [heard(clock, 500 * k - step_ms, 500 * k + k % 3) for k in range(5, 60)]
    assert max(late[:19]) == pytest.approx(step_ms, abs=3)
    assert max(late[20:]) < 4


def test_messages_that_pile_up_are_no_clock_that_was_set_back() -> None:
    clock = SenderClock()
    heard(clock, 0, 0)
    late = [heard(clock, 100 * k, 6000 + 100 * k - 40 * k) for k in range(1, 60)]
    assert all(held > 3000 for held in late)


def test_a_clock_of_whole_seconds_holds_nothing_up_for_ever() -> None:
    clock = SenderClock()
    late = [heard(clock, 370 * k // 1000 * 1000, 370 * k) for k in range(40)]
    assert late[10:] == [0] * 30


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:00.123456789123Z", 123_456_789),
        ("2026-02-30T00:00:00.0Z", None),
        ("2026-01-01T25:00:00.0Z", None),
    ],
)
def test_a_moment_is_read_exactly_or_not_at_all(text: str, ns: int | None) -> None:
    assert utc_ns(text) == ns


@given(
    sent=st.lists(
        st.tuples(st.integers(60, 900), st.sampled_from([0, 0, 0, 0, 180, 250, 700, 3000]), st.booleans()),
        max_size=60,
    ),
    zero_ms=st.integers(-(10**9), 10**9),
    jitter_ms=st.integers(0, 9),
)
def test_no_message_that_was_held_up_for_half_a_period_triggers_the_cameras(
    sent: list[tuple[int, int, bool]], zero_ms: int, jitter_ms: int
) -> None:
    """One connection: what is held up holds up what follows; messages may be lost on the way."""
    intake, at_ms, out_ms = TriggerFilter(late_ns=30 * MS), 0, 0
    intake.offer(message("first", 0), retained=False, received_ns=zero_ms * MS)
    for number, (gap_ms, hold_ms, lost) in enumerate(sent):
        at_ms += gap_ms
        if lost:
            continue
        out_ms = max(out_ms, at_ms + number % (jitter_ms + 1) + hold_ms)
        taken = intake.offer(
            message(f"t{number}", at_ms), retained=False, received_ns=(zero_ms + out_ms) * MS
        )
        held_ms = out_ms - at_ms
        assert (taken.outcome == "accepted") == (held_ms <= 30)
        assert taken.trigger is not None, "its part gets a verdict in any case"


def message(name: str, at_ms: int) -> TriggerMessage:
    seconds, ms = divmod(at_ms, 1000)
    at = f"2026-11-28T12:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}Z"
    return TriggerMessage(trigger_id=name, part_id=None, encoder=None, at=at)


def test_without_a_limit_half_the_time_between_two_parts_is_one() -> None:
    intake = TriggerFilter()
    offered = [
        intake.offer(message(f"t{k}", at_ms), retained=False, received_ns=at * MS).outcome
        for k, (at_ms, at) in enumerate([(50, 52), (250, 520), (450, 520), (650, 652)])
    ]
    assert offered == ["accepted", "late", "accepted", "accepted"]


def test_a_message_that_only_names_a_part_is_never_too_late_and_tells_when_it_was_due() -> None:
    intake = TriggerFilter(names_only=True)
    for k in range(3):
        intake.offer(message(f"t{k}", 200 * k), retained=False, received_ns=(200 * k + 5) * MS)
    late = intake.offer(message("t3", 600), retained=False, received_ns=900 * MS)
    assert late.outcome == "accepted"
    assert late.trigger is not None
    assert late.trigger.at_ns == 900 * MS
    assert late.trigger.given_ns == pytest.approx(605 * MS, abs=MS // 10)

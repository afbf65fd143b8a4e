"""Trigger messages of the line: each part once, whatever is repeated, retained or out of order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeflow.capture.trigger_messages.filter import FilterResult, TriggerFilter
from edgeflow.capture.triggers import Trigger
from edgeflow.contracts.messages import TriggerMessage


def message(
    name: str, part: str | None = None, *, encoder: int | None = None, at: str | None = None
) -> TriggerMessage:
    return TriggerMessage(trigger_id=name, part_id=part, encoder=encoder, at=at)


def offer(intake: TriggerFilter, sent: TriggerMessage, *, retained: bool = False) -> FilterResult:
    return intake.offer(sent, retained=retained, received_ns=7)


def test_a_trigger_carries_what_the_line_says_and_the_boxs_own_clock() -> None:
    given_ = offer(TriggerFilter(), message("t1", "p1", encoder=120))
    assert given_.outcome == "accepted"
    assert given_.trigger == Trigger(trigger_id="t1", part_id="p1", at_ns=7, encoder=120)


def test_a_trigger_that_comes_again_is_the_same_one() -> None:
    intake = TriggerFilter()
    outcomes = [offer(intake, message("t1", "p1")).outcome for _ in range(3)]
    assert outcomes == ["accepted", "duplicate", "duplicate"]
    assert intake.counts == {"accepted": 1, "duplicate": 2}


def test_a_retained_trigger_is_refused_and_its_fresh_copy_taken() -> None:
    intake = TriggerFilter()
    old = offer(intake, message("t1", "p1"), retained=True)
    assert (old.outcome, old.trigger) == ("retained", None)
    assert "without the retain flag" in old.text
    assert offer(intake, message("t1", "p1")).outcome == "accepted"


def test_a_part_that_has_its_verdict_gets_no_second_one() -> None:
    intake = TriggerFilter()
    offer(intake, message("t1", "p1"))
    again = offer(intake, message("t2", "p1"))
    assert (again.outcome, again.trigger) == ("decided", None)
    assert "'p1' was triggered by 't1'" in again.text


def test_parts_without_names_are_told_apart_by_their_triggers() -> None:
    intake = TriggerFilter()
    assert [offer(intake, message(name)).outcome for name in ("t1", "t2")] == ["accepted", "accepted"]


def test_a_trigger_that_was_overtaken_is_decided_without_frames() -> None:
    intake = TriggerFilter()
    offer(intake, message("t1", encoder=100))
    offer(intake, message("t3", encoder=300))
    late = offer(intake, message("t2", encoder=200))
    assert late.outcome == "out_of_order"
    assert late.trigger is not None
    assert "encoder 200 after 300" in late.text
    assert offer(intake, message("t4", encoder=400)).outcome == "accepted"


def test_without_an_encoder_the_senders_clock_gives_the_order() -> None:
    intake = TriggerFilter()
    offer(intake, message("t1", at="2026-11-24T10:00:05.5Z"))
    assert offer(intake, message("t2", at="2026-11-24T10:00:05.55Z")).outcome == "accepted"
    assert offer(intake, message("t3", at="2026-11-24T10:00:05.51Z")).outcome == "out_of_order"


def test_what_is_remembered_is_bounded() -> None:
    intake = TriggerFilter(remembered=10)
    for number in range(1000):
        assert offer(intake, message(f"t{number}", f"p{number}")).outcome == "accepted"
    assert intake.remembered == 20


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([None, "p1", "p2"]), st.booleans(), st.integers(0, 5))
    )
)
def test_whatever_comes_no_trigger_and_no_part_counts_twice(
    sent: list[tuple[int, str | None, bool, int]],
) -> None:
    intake = TriggerFilter()
    offered = [
        intake.offer(message(f"t{n}", part, encoder=encoder), retained=retained, received_ns=at)
        for at, (n, part, retained, encoder) in enumerate(sent)
    ]
    acted = [taken.trigger for taken in offered if taken.trigger is not None]
    assert len({t.trigger_id for t in acted}) == len(acted)
    parts = [t.part_id for t in acted if t.part_id]
    assert len(set(parts)) == len(parts)
    encoders = [t.trigger.encoder for t in offered if t.outcome == "accepted" and t.trigger]
    assert encoders == sorted(encoders, key=lambda e: e or 0)
    assert sum(intake.counts.values()) == len(sent)


SECOND = 1_000_000_000


def clock(seconds: float) -> str:
    return f"2026-11-28T{int(seconds) // 3600:02d}:{int(seconds) // 60 % 60:02d}:{seconds % 60:09.6f}Z"


def running(since_s: int) -> TriggerFilter:
    """An intake that has heard a sender's clock for ten seconds."""
    intake = TriggerFilter()
    for n in range(11):
        sent = message(f"early {n}", at=clock(since_s + n))
        assert intake.offer(sent, retained=False, received_ns=(5000 + n) * SECOND).outcome == "accepted"
    return intake


def test_a_copy_from_before_all_that_is_remembered_is_no_new_part() -> None:
    intake = running(3600)
    old = message("from before the start", at=clock(3000))
    taken = intake.offer(old, retained=False, received_ns=5011 * SECOND)
    assert (taken.outcome, taken.trigger) == ("stale", None)
    assert "sent 611 s ago" in taken.text


def test_a_clock_set_back_makes_one_message_stale_and_the_next_ones_late_but_answered() -> None:
    intake = running(7200)
    outcomes = [
        intake.offer(message(f"t{n}", at=clock(3600 + n)), retained=False, received_ns=(5011 + n) * SECOND)
        for n in range(4)
    ]
    assert outcomes[0].outcome == "stale"
    assert all(taken.trigger is not None for taken in outcomes[1:])


def test_a_message_that_was_held_up_while_the_box_ran_is_answered() -> None:
    intake = TriggerFilter()
    for n in range(200):
        intake.offer(message(f"t{n}", at=clock(3600 + n)), retained=False, received_ns=(5000 + n) * SECOND)
    held = intake.offer(message("held up", at=clock(3650.5)), retained=False, received_ns=5200 * SECOND)
    assert (held.outcome, held.trigger is not None) == ("out_of_order", True)


def test_a_clock_set_back_by_little_is_no_overtaken_message_for_ever() -> None:
    intake = running(7200)
    outcomes = [
        intake.offer(message(f"t{n}", at=clock(7208 + n)), retained=False, received_ns=(5011 + n) * SECOND)
        for n in range(40)
    ]
    assert all(taken.trigger is not None for taken in outcomes)
    assert [taken.outcome for taken in outcomes[-15:]] == ["accepted"] * 15


def test_after_reset_the_senders_clock_is_heard_anew() -> None:
    intake = running(7200)
    intake.reset(5011 * SECOND)
    back = intake.offer(message("t1", at=clock(3600)), retained=False, received_ns=5011 * SECOND)
    assert back.outcome == "accepted"

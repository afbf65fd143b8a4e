"""The reference controller opens the gate for a valid OK in time only, and counts each result once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.contracts.messages import Decision, VerdictName
from line_control.gate import Gate
from line_control.receipts import Receipts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def decision(
    seq: int, verdict: VerdictName = "OK", *, trigger: str = "", session: str = "s", valid_ms: int = 500
) -> Decision:
    until = (NOW + timedelta(milliseconds=valid_ms)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    return Decision(
        result_id=f"{session}-{seq:06d}",
        trigger_id=trigger or f"t-{seq}",
        part_id=f"p-{seq}",
        verdict=verdict,
        reason="",
        seq=seq,
        session=session,
        acquired_at=until,
        valid_until=until,
    )


def gate(*, online: bool = True, announced: bool = True) -> Gate:
    made = Gate(wait_ms=300, announced=announced)
    if online:
        made.presence("online")
    return made


def test_a_valid_ok_in_time_opens_the_gate_once() -> None:
    line = gate()
    line.expect("t-1", 1000)
    assert line.decide(decision(1), 1200, NOW).kind == "open"
    assert line.decide(decision(1), 1201, NOW).kind == "duplicate"  # QoS 1 may send it again
    assert line.decide(decision(2, trigger="t-1"), 1202, NOW).kind == "duplicate"
    assert line.expire(5000) == []
    assert (line.counts.open, line.counts.duplicate) == (1, 2)


@pytest.mark.parametrize("verdict", ["NG", "UNDECIDED"])
def test_any_other_verdict_rejects(verdict: VerdictName) -> None:
    line = gate()
    line.expect("t-1", 1000)
    assert line.decide(decision(1, verdict), 1200, NOW).kind == "reject"


def test_silence_rejects_and_what_comes_afterwards_is_late() -> None:
    line = gate()
    line.expect("t-1", 1000)
    assert line.expire(1300) == []
    (ruling,) = line.expire(1301)
    assert (ruling.kind, ruling.part_id) == ("missing", "t-1")
    assert line.decide(decision(1), 1302, NOW).kind == "late"
    line.expect("t-1", 1303)  # a part is never judged twice
    assert line.expire(9999) == []


def test_a_decision_after_its_time_or_its_validity_is_late() -> None:
    line = gate()
    line.expect("t-1", 1000)
    assert line.decide(decision(1), 1301, NOW).kind == "late"
    line.expect("t-2", 2000)
    assert line.decide(decision(2, valid_ms=-51), 2001, NOW).kind == "late"
    line.expect("t-3", 3000)
    assert line.decide(decision(3, valid_ms=-49), 3001, NOW).kind == "open"  # within the clocks' difference


@pytest.mark.parametrize("word", ["offline", "stopped", "", "nonsense"])
def test_only_a_box_that_is_online_is_believed(word: str) -> None:
    line = gate()
    line.presence(word)
    line.expect("t-1", 1000)
    assert line.decide(decision(1), 1001, NOW).kind == "reject"


def test_a_controller_that_lost_its_connection_waits_for_the_box_to_be_online_again() -> None:
    line = gate()
    line.disconnected()
    line.expect("t-1", 1000)
    assert line.decide(decision(1), 1001, NOW).kind == "reject"
    line.presence("online")
    line.expect("t-2", 1000)
    assert line.decide(decision(2), 1001, NOW).kind == "open"


def test_a_part_that_nobody_announced_rejects_unless_the_box_triggers_itself() -> None:
    assert gate().decide(decision(1), 1000, NOW).kind == "reject"
    assert gate(announced=False).decide(decision(1), 1000, NOW).kind == "open"


def test_gaps_in_the_numbers_are_decisions_that_never_came() -> None:
    line = gate(announced=False)
    for seq in (4, 5, 9):
        line.decide(decision(seq), 1000, NOW)
    assert line.counts.unheard == 3
    line.decide(decision(1, session="after a restart", trigger="x"), 1000, NOW)
    assert line.counts.unheard == 3


VERDICTS: tuple[VerdictName, ...] = ("OK", "NG", "UNDECIDED")


def test_of_all_combinations_one_opens_the_gate() -> None:
    opened = []
    for verdict, expected, online, in_time, valid in itertools.product(VERDICTS, *[(True, False)] * 4):
        line = gate(online=online)
        if expected:
            line.expect("t-1", 1000)
        ruling = line.decide(
            decision(1, verdict, valid_ms=500 if valid else -500), 1100 if in_time else 1400, NOW
        )
        if ruling.kind == "open":
            opened.append((verdict, expected, online, in_time, valid))
    assert opened == [("OK", True, True, True, True)]


def test_each_result_counts_once_and_gaps_are_known() -> None:
    receipts = Receipts()
    assert [receipts.add("s", seq) for seq in (1, 2, 2, 5, 4, 4, 1)] == [
        True, True, False, True, True, False, False,
    ]  # fmt: skip
    assert receipts.missing() == {"s": [3]}
    assert (receipts.received, receipts.duplicates) == (4, 3)
    receipts.excuse("s-000003")
    assert receipts.missing() == {}
    assert not receipts.add("s", 3)


def test_what_a_full_window_leaves_behind_is_lost_not_waited_for() -> None:
    receipts = Receipts(window=3)
    for seq in (1, 4, 5, 7, 8):
        receipts.add("s", seq)
    assert receipts.lost == 2
    assert receipts.missing() == {"s": [6]}


@given(st.lists(st.integers(1, 30), max_size=100))
def test_receipts_agree_with_a_plain_set(numbers: list[int]) -> None:
    receipts, seen = Receipts(window=1000), set[int]()
    for seq in numbers:
        assert receipts.add("s", seq) == (seq not in seen)
        seen.add(seq)
    top = max(seen, default=0)
    assert receipts.missing().get("s", []) == [n for n in range(1, top) if n not in seen]


def test_a_decision_whose_result_does_not_come_is_a_missing_number() -> None:
    receipts = Receipts()
    receipts.add("s", 1)
    receipts.expect("s", 3)
    assert receipts.missing() == {"s": [2, 3]}
    receipts.add("s", 2)
    receipts.add("s", 3)
    assert receipts.missing() == {}

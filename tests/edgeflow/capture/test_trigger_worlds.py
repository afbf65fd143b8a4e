"""Random lines and senders: no line locks, no part is decided twice, every part gets its trigger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.capture.trigger_messages.filter import TriggerFilter
from edgeflow.contracts.messages import TriggerMessage

MS = 1_000_000
ZERO = datetime(2026, 11, 28, tzinfo=UTC)
RESTART_MS = 1500  # a controller that starts anew takes longer than a part is under way


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Counting of a controller."""

    ids: Literal["unique", "from 1 at every start", "rolling"]
    rolls_at: int
    encoder: Literal["none", "grows", "wraps", "zeroed at every start"]
    wraps_at: int
    clock: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """One part, and what becomes of its message.

    Attributes:
        gap_ms: since the part before.
        restart: the controller starts anew before it.
        hold_ms: the message and all after it are held up; only of senders with a clock.
        copies_ms: when copies of the message come, after it; late ones only of senders with a clock.
    """

    gap_ms: int
    restart: bool
    hold_ms: int
    copies_ms: tuple[int, ...]


@dataclass(kw_only=True)
class Played:
    """Outcome of a world in the filter."""

    accepted: int = 0
    in_doubt: int = 0
    silent: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    upsets: int = 0


SENDERS = st.builds(
    Sender,
    ids=st.sampled_from(["unique", "from 1 at every start", "rolling"]),
    rolls_at=st.integers(20, 60),
    encoder=st.sampled_from(["none", "grows", "wraps", "zeroed at every start"]),
    wraps_at=st.integers(1000, 2**32),
    clock=st.booleans(),
)
EVENTS = st.lists(
    st.builds(
        Event,
        gap_ms=st.integers(60, 900),
        restart=st.sampled_from([False] * 15 + [True]),
        hold_ms=st.sampled_from([0] * 12 + [150, 700, 4000]),
        copies_ms=st.lists(st.sampled_from([0, 1, 40, 400, 8000, 90_000]), max_size=2).map(tuple),
    ),
    min_size=3,
    max_size=150,
)


def messages(sender: Sender, events: list[Event]) -> tuple[list[tuple[int, int, TriggerMessage]], int]:
    """Arrival, number of the part, message; and how often the sender's counters began anew."""
    sent: list[tuple[int, int, TriggerMessage]] = []
    now_ms = out_ms = position = count = upsets = 0
    for number, event in enumerate(events):
        restart = event.restart and count > 1
        now_ms += event.gap_ms + RESTART_MS * restart
        count = 1 if restart else count + 1
        before = position
        position = 0 if restart and sender.encoder == "zeroed at every start" else position + 100
        position %= sender.wraps_at if sender.encoder == "wraps" else 2**62
        upsets += restart or position < before or (sender.ids == "rolling" and number % sender.rolls_at == 0)
        name = {"unique": number, "from 1 at every start": count, "rolling": number % sender.rolls_at}
        message = TriggerMessage(
            trigger_id=str(name[sender.ids]),
            encoder=None if sender.encoder == "none" else position,
            at=f"{(ZERO + timedelta(milliseconds=now_ms)).isoformat()[:19]}.{now_ms % 1000:03d}Z"
            if sender.clock
            else None,
        )
        out_ms = max(out_ms, now_ms + event.hold_ms * sender.clock)
        sent.append((out_ms, number, message))
        late = [ms for ms in event.copies_ms if ms < 500 or sender.clock]
        sent += [(out_ms + ms, number, message) for ms in late]
    return sorted(sent, key=lambda each: each[:2]), upsets


def play(sender: Sender, events: list[Event]) -> Played:
    sent, upsets = messages(sender, events)
    intake, played, met = TriggerFilter(), Played(upsets=upsets), set()
    for out_ms, number, message in sent:
        taken = intake.offer(message, retained=False, received_ns=(10**6 + out_ms) * MS)
        if number in met:
            played.twice += [f"{number}: {message}"] if taken.trigger is not None else []
            continue
        met.add(number)
        played.accepted += taken.outcome == "accepted"
        played.in_doubt += taken.outcome in ("repeated", "out_of_order")
        played.silent += [] if taken.trigger is not None else [f"{number}: {taken.outcome} {message}"]
    assert len(met) == len(events)
    return played


@settings(max_examples=150, deadline=None)
@given(sender=SENDERS, events=EVENTS)
def test_every_part_has_one_trigger_and_no_copy_has_one(sender: Sender, events: list[Event]) -> None:
    played = play(sender, events)
    assert played.silent == []
    assert played.twice == []


@settings(max_examples=150, deadline=None)
@given(sender=SENDERS, events=EVENTS)
def test_counters_that_begin_anew_put_few_parts_in_doubt_and_the_line_goes_on(
    sender: Sender, events: list[Event]
) -> None:
    undelayed = [Event(gap_ms=e.gap_ms, restart=e.restart, hold_ms=0, copies_ms=e.copies_ms) for e in events]
    played = play(sender, undelayed)
    assert played.accepted + played.in_doubt == len(events)
    assert played.in_doubt <= (0 if sender.clock else 18 * played.upsets), "in no more than a second"

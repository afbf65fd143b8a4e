"""Which trigger messages of the line count: pure, so that every order, loss and repetition can be tried."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Literal

from edgeflow.contracts.messages import TriggerMessage
from edgeflow.sender_clock import Heard, SenderClock, utc_ns
from edgeflow.triggers import Trigger

__all__ = ["Intake", "TriggerIntake", "TriggerOutcome"]

TriggerOutcome = Literal[
    "accepted", "duplicate", "retained", "decided", "out_of_order", "late", "invalid", "not_ready"
]
"""``decided``: the part has, or gets, its verdict from an earlier trigger. ``out_of_order``: the part passed
before one that was already triggered. ``late``: held up on its way for so long that another part may be in
front of the cameras."""

_REMEMBERED = 10_000  # parts; far more than can be on a line at once
_GAPS = 20  # latest times between two parts, of which the smallest counts
_LEAST_GAP_NS = 10_000_000  # what is sent closer together is no two parts


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What became of one message.

    Attributes:
        trigger: None where nothing is to be done; of an ``out_of_order`` or ``late`` one the part must be
            decided without frames, since the cameras see another part by now.
        text: why it was not accepted, and what to check.
    """

    outcome: TriggerOutcome
    trigger: Trigger | None
    text: str = ""


class TriggerIntake:
    """Remembers what was triggered; every part is triggered once, whatever the line sends.

    Args:
        late_ns: how long a message may be held up before it is ``late``; None: for half the smallest of the
            latest times between two parts, as the sender's clock tells them.
        names_only: the cameras are triggered by the line itself, so that a message that was held up still
            names its part: none is ``late``.
    """

    def __init__(
        self, remembered: int = _REMEMBERED, *, late_ns: int | None = None, names_only: bool = False
    ) -> None:
        self._remembered = remembered
        self._late_ns = late_ns
        self._names_only = names_only
        self._clock = SenderClock()
        self._sent_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._parts: OrderedDict[str, str] = OrderedDict()  # part id → trigger id
        self._last: TriggerMessage | None = None
        self.counts: Counter[TriggerOutcome] = Counter()

    def offer(self, message: TriggerMessage, *, retained: bool, received_ns: int) -> Intake:
        """A message came.

        Args:
            retained: the broker had kept it, so that it may be of any age.
            received_ns: monotonic; the trigger's moment, since the line's clock is another one.
        """
        heard = None if retained else self.hear(message, received_ns)
        intake = self._judge(message, heard, received_ns)
        self.counts[intake.outcome] += 1
        return intake

    def hear(self, message: TriggerMessage, received_ns: int) -> Heard:
        """Compare the sender's clock; also for messages that are not acted upon."""
        at_ns = utc_ns(message.at) if message.at else None
        return self._clock.hear(at_ns, received_ns)

    def refuse(self, outcome: TriggerOutcome, text: str) -> Intake:
        """Count what could not even be offered."""
        self.counts[outcome] += 1
        return Intake(outcome=outcome, trigger=None, text=text)

    def _judge(self, message: TriggerMessage, heard: Heard | None, received_ns: int) -> Intake:
        name = f"trigger '{message.trigger_id}'"
        if heard is None:
            text = f"{name}: retained, so it may be of any age; publish triggers without the retain flag"
            return Intake(outcome="retained", trigger=None, text=text)
        if message.trigger_id in self._ids:
            return Intake(outcome="duplicate", trigger=None, text=f"{name}: came before")
        earlier = self._parts.get(message.part_id) if message.part_id else None
        if earlier is not None:
            text = f"{name}: part '{message.part_id}' was triggered by '{earlier}'; one part, one verdict"
            return Intake(outcome="decided", trigger=None, text=text)
        self._remember(message)
        trigger = Trigger(
            trigger_id=message.trigger_id,
            part_id=message.part_id,
            at_ns=received_ns,
            encoder=message.encoder,
            given_ns=heard.moment_ns if heard.known else None,
        )
        overtaken = self._overtaken_by(message)
        if overtaken:
            text = f"{name}: came after that of a later part ({overtaken}): the cameras see another part"
            return Intake(outcome="out_of_order", trigger=trigger, text=text)
        self._last = message
        limit_ns = self._limit_ns(message)
        if limit_ns is not None and heard.held_ns > limit_ns:
            text = (
                f"{name}: came {heard.held_ns / 1e6:.0f} ms later than others (limit {limit_ns / 1e6:.0f}): "
                "the cameras may see another part; check the network between the sender, the broker and "
                "this box, and the sender's clock"
            )
            return Intake(outcome="late", trigger=trigger, text=text)
        return Intake(outcome="accepted", trigger=trigger)

    def _limit_ns(self, message: TriggerMessage) -> int | None:
        """How long this message may have been held up; None where nothing tells."""
        sent_ns = utc_ns(message.at) if message.at else None
        if sent_ns is not None:
            if self._sent_ns is not None and sent_ns - self._sent_ns >= _LEAST_GAP_NS:
                self._gaps_ns.append(sent_ns - self._sent_ns)
            self._sent_ns = sent_ns
        if self._names_only:
            return None
        limits = [gap_ns // 2 for gap_ns in self._gaps_ns] + ([self._late_ns] if self._late_ns else [])
        return min(limits, default=None)

    def _remember(self, message: TriggerMessage) -> None:
        self._ids[message.trigger_id] = None
        if message.part_id:
            self._parts[message.part_id] = message.trigger_id
        while len(self._ids) > self._remembered:
            self._ids.popitem(last=False)
        while len(self._parts) > self._remembered:
            self._parts.popitem(last=False)

    def _overtaken_by(self, message: TriggerMessage) -> str:
        """What shows that a later part was triggered already; empty where nothing does."""
        last = self._last
        if last is None:
            return ""
        if message.encoder is not None and last.encoder is not None:
            behind = message.encoder < last.encoder
            return f"encoder {message.encoder} after {last.encoder}" if behind else ""
        if message.at is None or last.at is None:
            return ""
        behind = message.at.rstrip("Z") < last.at.rstrip("Z")  # text of one form: its order is that of time
        return f"at {message.at} after {last.at}" if behind else ""

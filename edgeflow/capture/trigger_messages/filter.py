"""Filter for trigger messages: decides which ones trigger a part; pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

from edgeflow.capture.trigger_messages.encoder_order import EncoderOrder
from edgeflow.capture.trigger_messages.memory import TriggerMemory, Windows
from edgeflow.capture.trigger_messages.sender_clock import SenderClock, SendTime, utc_ns
from edgeflow.capture.triggers import Trigger
from edgeflow.contracts.messages import TriggerMessage
from edgeflow.rate_limit import RateLimit

__all__ = ["FilterResult", "TriggerFilter", "TriggerOutcome"]

TriggerOutcome = Literal[
    "accepted",
    "duplicate",
    "retained",
    "decided",
    "stale",
    "repeated",
    "out_of_order",
    "late",
    "crowded",
    "invalid",
    "not_ready",
]
"""Nothing is done about ``duplicate`` (a copy of a message), ``retained``, ``decided`` (the part has, or
gets, its verdict from another trigger), ``stale`` (sent before all that is remembered, so that its part may
have been decided then) and ``not_ready``.

The part is decided without frames after ``repeated`` (an id that may be used again, or a late copy),
``out_of_order`` (the part passed before one that was already triggered), ``late`` (held up on its way for so
long that another part may be in front of the cameras), ``crowded`` (too many parts are under way) and
``invalid`` (where it names a part)."""

_REMEMBERED = 10_000  # parts; far more than can be on a line at once
_GAPS = 20  # latest times between two parts, of which the smallest counts
_LEAST_GAP_NS = 10_000_000  # what is sent closer together is no two parts
_REFUSED_FROM = 100  # parts under way: from here on, triggers are refused
_COUNTED_FROM = 200  # from here on, they are only counted
_ANSWERS = 50  # refused triggers that are answered at once
_ANSWER_NS = 200_000_000  # one more in this time


@dataclass(frozen=True, kw_only=True)
class FilterResult:
    """Outcome of one message.

    Attributes:
        trigger: None where nothing is to be done. Where the outcome is not ``accepted``, the part must be
            decided without frames, since the cameras see another part by now.
        text: why it was not accepted, and what to check.
    """

    outcome: TriggerOutcome
    trigger: Trigger | None
    text: str = ""


class TriggerFilter:
    """Triggers every part once, whatever the line sends.

    Nothing that the sender counts is taken to be monotone: encoder, clock and ids may begin anew at any time.

    Args:
        late_ns: how long a message may be held up before it is ``late``; None: for half the smallest of the
            latest times between two parts, as the sender's clock tells them.
        names_only: the cameras are triggered by the line itself, so that a message that was held up still
            names its part: none is ``late``.
        windows: for how long an id stands for one part.
    """

    def __init__(
        self,
        remembered: int = _REMEMBERED,
        *,
        late_ns: int | None = None,
        names_only: bool = False,
        windows: Windows | None = None,
    ) -> None:
        self._late_ns = late_ns
        self._names_only = names_only
        self._windows = windows or Windows()
        self._memory = TriggerMemory(remembered, self._windows)
        self._begin()
        self._since_ns: int | None = None
        self._answers = RateLimit(at_once=_ANSWERS, every_ns=_ANSWER_NS)
        self.counts: Counter[TriggerOutcome] = Counter()
        self.unanswered = 0

    def _begin(self) -> None:
        self._clock = SenderClock()
        self._encoder = EncoderOrder()
        self._sent_ns: int | None = None  # of the last message that gaps are counted from
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)
        self._last: TriggerMessage | None = None
        self._was_stale = False

    @property
    def remembered(self) -> int:
        """Number of remembered triggers and parts."""
        return len(self._memory)

    @property
    def ids_are_used_again(self) -> bool:
        """True if the sender's ids begin anew so soon that a late copy looks like a new part."""
        return self._memory.ids_are_used_again

    def reset(self, now_ns: int) -> None:
        """Forget the sender's clock, encoder and ids, but for the parts that are under way."""
        self._memory.reset(now_ns)
        self._begin()

    def offer(
        self, message: TriggerMessage, *, retained: bool, received_ns: int, under_way: int = 0
    ) -> FilterResult:
        """Take a message; return its outcome.

        Args:
            retained: the broker had kept it, so that it may be of any age.
            received_ns: monotonic; the trigger's moment, since the line's clock is another one.
            under_way: how many triggers have no decision yet.
        """
        sent = None if retained else self.estimate_send_time(message, received_ns)
        outcome, text = self._classify(message, sent, received_ns, under_way)
        return self._record(outcome, text, message, sent, received_ns, under_way)

    def estimate_send_time(self, message: TriggerMessage, received_ns: int) -> SendTime:
        """Estimate the time of sending; also for messages that trigger nothing."""
        if self._since_ns is None:
            self._since_ns = received_ns
        at_ns = utc_ns(message.at) if message.at else None
        return self._clock.estimate(at_ns, received_ns)

    def refuse(self, outcome: TriggerOutcome, text: str) -> FilterResult:
        """Count a message that could not be read or used."""
        self.counts[outcome] += 1
        return FilterResult(outcome=outcome, trigger=None, text=text)

    def refuse_named(
        self, message: TriggerMessage, why: str, *, received_ns: int, under_way: int = 0
    ) -> FilterResult:
        """Refuse a message that names a part: it is decided without frames, unless it is decided already."""
        known, earlier = self._memory.classify(message, received_ns)
        if known in ("copy", "decided"):
            return self.refuse("invalid", f"{why}; its part is decided by trigger '{earlier}'")
        return self._record("invalid", why, message, None, received_ns, under_way)

    def _record(
        self,
        outcome: TriggerOutcome,
        text: str,
        message: TriggerMessage,
        sent: SendTime | None,
        received_ns: int,
        under_way: int,
    ) -> FilterResult:
        """Count a message, and remember it where its part is triggered or decided."""
        self.counts[outcome] += 1
        if outcome in ("duplicate", "retained", "decided", "stale"):
            return FilterResult(outcome=outcome, trigger=None, text=text)
        if outcome != "accepted" and not (under_way < _COUNTED_FROM and self._answers.allows(received_ns)):
            self.unanswered += 1
            text = f"{text}; not answered, there are too many"
            return FilterResult(outcome=outcome, trigger=None, text=text)
        self._memory.add(message, received_ns)
        has_moment = sent is not None and (sent.known or sent.settling)
        trigger = Trigger(
            trigger_id=message.trigger_id,
            part_id=message.part_id,
            at_ns=received_ns,
            encoder=message.encoder,
            given_ns=sent.moment_ns if sent is not None and has_moment else None,
            context=message.context,
            settling=sent is not None and sent.settling,
        )
        return FilterResult(outcome=outcome, trigger=trigger, text=text)

    def _classify(
        self, message: TriggerMessage, sent: SendTime | None, received_ns: int, under_way: int
    ) -> tuple[TriggerOutcome, str]:
        name = f"trigger '{message.trigger_id}'"
        if sent is None:
            return (
                "retained",
                f"{name}: retained, so it may be of any age; publish triggers without the retain flag",
            )
        known, earlier = self._memory.classify(message, received_ns)
        if known == "copy":
            return "duplicate", f"{name}: came before"
        if known == "decided":
            part = f"part '{message.part_id}'" if message.part_id else "its part"
            same = "this id is under way for another part" if earlier == message.trigger_id else ""
            text = same or f"{part} was triggered by '{earlier}'; one part, one verdict"
            return "decided", f"{name}: {text}"
        if known == "repeated":
            return "repeated", (
                f"{name}: this id was used before: a late copy, or ids that begin anew; let ids count on for "
                "longer, or send 'at', the time of each trigger, with milliseconds"
            )
        if self._is_stale(sent, received_ns):
            text = f"{name}: sent {sent.held_ns / 1e9:.0f} s ago by its 'at'; its part is over"
            return "stale", text
        return self._classify_order(message, sent, received_ns, under_way)

    def _classify_order(
        self, message: TriggerMessage, sent: SendTime, received_ns: int, under_way: int
    ) -> tuple[TriggerOutcome, str]:
        name = f"trigger '{message.trigger_id}'"
        overtaken = self._overtaken_by(message, sent, received_ns)
        if overtaken:
            return (
                "out_of_order",
                f"{name}: came after that of a later part ({overtaken}): the cameras see another part",
            )
        self._last = message
        limit_ns = self._limit_ns(message)
        if limit_ns is not None and sent.held_ns > limit_ns:
            return "late", (
                f"{name}: came {sent.held_ns / 1e6:.0f} ms later than others (limit {limit_ns / 1e6:.0f}): "
                "the cameras may see another part; check the network between the sender, the broker and "
                "this box, and the sender's clock"
            )
        if under_way >= _REFUSED_FROM:
            text = f"{name}: {_REFUSED_FROM} parts wait for their decision; check what sends triggers so fast"
            return "crowded", text
        return "accepted", ""

    def _is_stale(self, sent: SendTime, received_ns: int) -> bool:
        """Return True when a message is older than the memory; two in a row mean a clock set back."""
        sent_ns = received_ns - sent.held_ns
        since_ns = self._memory.complete_since_ns or self._since_ns or received_ns
        old = sent.known and sent.held_ns > self._windows.doubt_ns and sent_ns < since_ns
        first, self._was_stale = old and not self._was_stale, old
        return first

    def _limit_ns(self, message: TriggerMessage) -> int | None:
        """Return the longest delay that a message may have; None where it is not known."""
        sent_ns = utc_ns(message.at) if message.at else None
        if sent_ns is not None:
            if self._sent_ns is not None and sent_ns - self._sent_ns >= _LEAST_GAP_NS:
                self._gaps_ns.append(sent_ns - self._sent_ns)
            self._sent_ns = sent_ns
        if self._names_only:
            return None
        limits = [gap_ns // 2 for gap_ns in self._gaps_ns] + ([self._late_ns] if self._late_ns else [])
        return min(limits, default=None)

    def _overtaken_by(self, message: TriggerMessage, sent: SendTime, received_ns: int) -> str:
        """Return the evidence that a later part was triggered already; empty where there is none."""
        last = self._last
        sent_ns, last_ns = (utc_ns(m.at) if m is not None and m.at else None for m in (message, last))
        if message.encoder is not None and (last is None or last.encoder is not None):
            later = sent_ns is not None and last_ns is not None and sent_ns > last_ns
            if self._encoder.follows(message.encoder, received_ns, sent_later=later) or last is None:
                return ""
            return f"encoder {message.encoder} after {last.encoder}"
        if sent_ns is None or last_ns is None or last is None:
            return ""
        # What is earlier by the sender's clock and not held up shows that this clock was set back.
        behind = sent_ns < last_ns and sent.held_ns > 0
        return f"at {message.at} after {last.at}" if behind else ""

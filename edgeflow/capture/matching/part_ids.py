"""Part ids of the line's trigger messages, assigned to the sets of hardware-triggered cameras."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from edgeflow.capture.matching.exposure import Interval, moment
from edgeflow.capture.matching.matcher import MatchingRules
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

__all__ = ["PartIdAssigner"]

_UNNAMED = 16  # latest sets that got no name, to which a message may belong that comes late
_GAPS = 20  # latest times between two sets, of which the smallest counts
_HELD_UP_NS = 10 * 10**9  # so long a message may be on its way that does not tell when it was sent
_IN_RHYTHM = 4  # a part of the window: so exactly messages follow each other as the sets do


@dataclass(frozen=True, kw_only=True)
class _Set:
    """A set without part id; ``at`` is None where the frames do not show the time of exposure."""

    view_set: ViewSet
    at: Interval | None


@dataclass(frozen=True, kw_only=True)
class _Message:
    """A message; ``before_ns`` is the moment of the one before it."""

    trigger: Trigger
    before_ns: int | None

    @property
    def at_ns(self) -> int:
        given_ns = self.trigger.given_ns
        return self.trigger.at_ns if given_ns is None else given_ns

    @property
    def at(self) -> Interval:
        return Interval(earliest_ns=self.at_ns, latest_ns=self.at_ns)


class PartIdAssigner:
    """Gives a set the name of a message where that can be of no other set, and no other message of it.

    A message is within ``window_ns`` of the exposure, which is known as an interval. The set gets its name
    where this fits, and would not fit the message of the part before or after: parts are at least
    ``least_gap_ns`` apart, or as near as the latest sets were. So neither a lost message nor a part that no
    camera saw makes the following ones take each other's names, nor does transfer of any length. A message
    that does not tell when it was sent may be late: at first, and after a set without name, it names one only
    where no other message follows that fits, too; and after a set without name, or while the sender's clock
    is about to be known, only where it follows the message before as the set follows its predecessor.

    A set that cannot be told from its neighbours gets a fault; a message without set makes an empty one.
    """

    def __init__(self, rules: MatchingRules, window_ns: int, least_gap_ns: int | None = None) -> None:
        self._rules = rules
        self._window_ns = window_ns
        self._least_gap_ns = 2 * window_ns if least_gap_ns is None else least_gap_ns
        self._sets: deque[_Set] = deque()
        self._messages: deque[_Message] = deque()
        self._unnamed: deque[Interval] = deque(maxlen=_UNNAMED)
        self._gaps_ns: deque[float] = deque(maxlen=_GAPS)
        self._whole: Interval | None = None  # the latest set with all views
        self._latest: Interval | None = None  # the latest set that was settled
        self._latest_message_ns: int | None = None

    def announce(self, trigger: Trigger, now_ns: int) -> list[ViewSet]:
        """Take a message: the line has triggered the cameras."""
        message = _Message(trigger=trigger, before_ns=self._latest_message_ns)
        self._latest_message_ns = message.at_ns
        self._messages.append(message)
        return self.settled(now_ns)

    def add(self, view_sets: list[ViewSet], now_ns: int) -> list[ViewSet]:
        """Take sets of the cameras, in order."""
        for view_set in view_sets:
            at = moment(view_set.frames.values(), self._rules.transfer_ns, self._rules.max_skew_ns)
            self._sets.append(_Set(view_set=view_set, at=at))
            if at is not None and not view_set.missing and not view_set.fault:
                if self._whole is not None:
                    self._gaps_ns.append(at.latest_ns - self._whole.latest_ns)
                self._whole = at
        return self.settled(now_ns)

    def settled(self, now_ns: int) -> list[ViewSet]:
        """Return the sets that have a part id now, or cannot get one any more."""
        settled = []
        while (first := self._first(now_ns)) is not None:
            settled.append(first)
        return settled

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``settled`` is due; None while nothing waits."""
        due = [self._set_until_ns(self._sets[0])] if self._sets else []
        due += [self._message_until_ns(self._messages[0])] if self._messages else []
        return min(due, default=None)

    def _first(self, now_ns: int) -> ViewSet | None:
        if self._sets and self._sets[0].at is None:
            return self._without_name("its frames do not tell when it was")
        if self._may_be_followed(now_ns):
            return None
        if self._sets and self._messages:
            return self._match_first(self._sets[0].at, self._messages[0])
        if self._sets and self._set_until_ns(self._sets[0]) <= now_ns:
            return self._without_name(self._no_message())
        if self._messages and self._message_until_ns(self._messages[0]) <= now_ns:
            return self._rules.view_set(self._messages.popleft().trigger, {})
        return None

    def _may_be_followed(self, now_ns: int) -> bool:
        """Return True when the only message may be an earlier part's: then the set's own one follows."""
        due_ns = self.next_expiry_ns()
        if due_ns is None or not self._sets or len(self._messages) != 1:
            return False
        return self._is_of_any_age(self._messages[0]) and now_ns < due_ns

    def _match_first(self, at: Interval | None, message: _Message) -> ViewSet:
        assert at is not None  # noqa: S101 - the caller made sure
        if message.at_ns + self._window_ns < at.earliest_ns:
            return self._rules.view_set(self._messages.popleft().trigger, {})
        if message.at_ns - self._window_ns > at.latest_ns:
            return self._without_name(self._no_message())
        doubt = self._doubt(at, message)
        return self._without_name(doubt) if doubt else self._named()

    def _doubt(self, at: Interval, message: _Message) -> str:
        """Return the reason why a message that fits must not name the set; empty where it may."""
        name, window_ns = f"'{message.trigger.trigger_id}'", self._window_ns
        if not at.known:
            return (
                "a camera's clock is not compared with this computer's, so that transfer may have taken any "
                "time; give sync.transfer_ms, or use a camera with a time-stamp latch"
            )
        gap_ns = min([self._least_gap_ns, *self._gaps_ns])
        neighbours = (message.at_ns - gap_ns, message.at_ns + gap_ns)
        if any(at.within(Interval(earliest_ns=ns, latest_ns=ns), window_ns) for ns in neighbours):
            unsure_ms = (at.latest_ns - at.earliest_ns) / 1e6
            return (
                f"message {name} fits, but so would that of a neighbouring part: exposures are known within "
                f"{unsure_ms:.0f} ms, parts are {gap_ns / 1e6:.0f} ms apart"
            )
        others = [other for other in list(self._messages)[1:] if other.at.within(at, window_ns)]
        if others:
            return f"messages {name} and '{others[0].trigger.trigger_id}' both fit"
        sets = [*self._unnamed, *(other.at for other in list(self._sets)[1:] if other.at is not None)]
        if any(message.at.within(other, window_ns) for other in sets):
            return f"message {name} fits another set too"
        if self._may_be_late(at, message):
            return f"message {name} does not tell when it was sent, and may be that of a part before"
        return ""

    def _is_of_any_age(self, message: _Message) -> bool:
        """Return True when a message does not carry its time, and others may be delayed."""
        if message.trigger.given_ns is not None and not message.trigger.settling:
            return False
        if message.trigger.settling or self._latest is None:
            return True
        return any(other.latest_ns > message.at_ns - _HELD_UP_NS for other in self._unnamed)

    def _may_be_late(self, at: Interval, message: _Message) -> bool:
        if self._latest is None or not self._is_of_any_age(message):
            return False
        if message.before_ns is None:
            return True
        messages_ns = message.at_ns - message.before_ns
        return abs(messages_ns - (at.latest_ns - self._latest.latest_ns)) > self._window_ns / _IN_RHYTHM

    def _set_until_ns(self, waiting: _Set) -> int:
        latest_ns = waiting.view_set.triggered_ns if waiting.at is None else round(waiting.at.latest_ns)
        return latest_ns + self._window_ns

    def _message_until_ns(self, message: _Message) -> int:
        # A set with missing views takes the whole timeout to come out.
        return message.at_ns + self._window_ns + self._rules.timeout_ns

    def _named(self) -> ViewSet:
        waiting, trigger = self._sets.popleft(), self._messages.popleft().trigger
        self._latest = waiting.at
        return replace(
            waiting.view_set,
            trigger_id=trigger.trigger_id,
            part_id=trigger.part_id or trigger.trigger_id,
            encoder=trigger.encoder,
            context=trigger.context,
            product=trigger.product,
        )

    def _no_message(self) -> str:
        return f"no trigger message within {self._window_ns / 1e6:g} ms"

    def _without_name(self, why: str) -> ViewSet:
        waiting = self._sets.popleft()
        if waiting.at is not None:
            self._unnamed.append(waiting.at)
            self._latest = waiting.at
        fault = f"{why}: which part this is, is unknown"
        return replace(
            waiting.view_set,
            fault="; ".join(filter(None, [waiting.view_set.fault, fault])),
            fault_code=waiting.view_set.fault_code or "unnamed_part",
        )

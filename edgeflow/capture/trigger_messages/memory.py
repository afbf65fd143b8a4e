"""Memory of earlier triggers and parts: tells a copy of a message from an id that is used again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from edgeflow.capture.trigger_messages.sender_clock import utc_ns
from edgeflow.contracts.messages import TriggerMessage

__all__ = ["MessageMatch", "TriggerMemory", "Windows"]

MessageMatch = Literal["new", "copy", "decided", "repeated"]
"""``new``: not seen before, or its id begins anew. ``copy``: this message came before. ``decided``: its part,
or its id, belongs to another trigger. ``repeated``: its id is used again, or it is a late copy; which, is not
known."""

_CONFIRMED = 3  # ids in a row that are used again, in their old order, and not in a burst


K = TypeVar("K")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Times for which an id stands for one part.

    Attributes:
        under_way_ns: a trigger's part is under way: what comes with its id is the same trigger.
        part_ns: the part's decision may still count: another trigger for it is none.
        doubt_ns: a message with an old id, and nothing else to compare, may be a late copy.
    """

    under_way_ns: int = 1_000_000_000
    part_ns: int = 2_000_000_000
    doubt_ns: int = 60_000_000_000


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One trigger, without what is not needed to know it again."""

    trigger_id: str
    at: str | None
    encoder: int | None
    part_id: str | None
    came_ns: int


class TriggerMemory:
    """Memory of triggers, bounded by number; pure.

    Senders repeat messages (QoS 1, a connection that came back), and they begin their ids anew (a counter
    that rolls over, a controller that restarts). The sender's time, or an encoder that moved on, tells the
    two apart. Where neither does, an old id is in doubt for a minute, unless three of them come in their old
    order and not in a burst: then this sender uses its ids again, and no old id is in doubt until ``reset``.

    Args:
        remembered: so many triggers at most.
    """

    def __init__(self, remembered: int, windows: Windows) -> None:
        self._remembered = remembered
        self._windows = windows
        self._ids: OrderedDict[str, _Seen] = OrderedDict()
        self._parts: OrderedDict[str, _Seen] = OrderedDict()
        self._stamps: OrderedDict[tuple[str, str], _Seen] = OrderedDict()  # also of ids that were used since
        self._last: _Seen | None = None
        self._doubted: list[tuple[_Seen, int]] = []  # what was seen first, and when its id came again
        self.ids_are_used_again = False

    def __len__(self) -> int:
        return len(self._ids) + len(self._parts)

    @property
    def complete_since_ns(self) -> int | None:
        """Time since which no trigger is forgotten; None where all triggers are remembered."""
        return next(iter(self._ids.values())).came_ns if len(self._ids) == self._remembered else None

    def classify(self, message: TriggerMessage, now_ns: int) -> tuple[MessageMatch, str]:
        """Compare a message with earlier triggers; return the match and the earlier trigger's id."""
        seen = self._ids.get(message.trigger_id)
        if seen is not None:
            known = self._by_id(seen, message, now_ns)
            if known != "new":
                return known, seen.trigger_id
        part = self._parts.get(message.part_id) if message.part_id else None
        if part is not None and self._is_the_same(part, message, now_ns):
            return "decided", part.trigger_id
        if seen is None:
            self._doubted.clear()
        return "new", ""

    def add(self, message: TriggerMessage, now_ns: int) -> None:
        """Remember a message whose part is triggered, or decided in another way."""
        seen = _Seen(
            trigger_id=message.trigger_id,
            at=message.at,
            encoder=message.encoder,
            part_id=message.part_id,
            came_ns=now_ns,
        )
        self._put(self._ids, message.trigger_id, seen)
        if message.part_id:
            self._put(self._parts, message.part_id, seen)
        if message.at:
            self._put(self._stamps, (message.trigger_id, message.at), seen)
        self._last = seen

    def reset(self, now_ns: int) -> None:
        """Forget all but the parts that are under way."""
        tables: tuple[OrderedDict[Any, _Seen], ...] = (self._ids, self._parts, self._stamps)
        for table in tables:
            while table and next(iter(table.values())).came_ns <= now_ns - self._windows.under_way_ns:
                table.popitem(last=False)
        self._doubted.clear()
        self.ids_are_used_again = False

    def _put(self, table: OrderedDict[K, _Seen], key: K, seen: _Seen) -> None:
        table.pop(key, None)
        table[key] = seen
        while len(table) > self._remembered:
            table.popitem(last=False)

    def _by_id(self, seen: _Seen, message: TriggerMessage, now_ns: int) -> MessageMatch:
        stamped = self._stamps.get((message.trigger_id, message.at or ""))
        if stamped is not None and self._is_stamped_alike(stamped, message):
            return "copy"
        age_ns = max(now_ns - seen.came_ns, _sent_after_ns(seen.at, message.at))
        other_part = _differ(seen.part_id, message.part_id)
        if age_ns < self._windows.under_way_ns:
            return "decided" if other_part else "copy"  # one id cannot stand for two parts at once
        other = other_part or _differ(seen.at, message.at) or _differ(seen.encoder, message.encoder)
        if other or age_ns >= self._windows.doubt_ns or self.ids_are_used_again:
            return "new"
        if seen is self._last:
            return "copy"
        return self._doubt(seen, now_ns)

    def _doubt(self, seen: _Seen, now_ns: int) -> MessageMatch:
        """Only ids in their old order show that they are used again; copies come in a burst."""
        if self._doubted and seen.came_ns <= self._doubted[-1][0].came_ns:
            self._doubted.clear()
        self._doubted.append((seen, now_ns))
        first, since_ns = self._doubted[0]
        least_ns = min(self._windows.under_way_ns, (seen.came_ns - first.came_ns) // 2)
        if len(self._doubted) >= _CONFIRMED and now_ns - since_ns >= least_ns:
            self._doubted.clear()
            self.ids_are_used_again = True
            return "new"
        return "repeated"

    def _is_the_same(self, part: _Seen, message: TriggerMessage, now_ns: int) -> bool:
        """Return True when another trigger for a part belongs to its present round, not to the next one."""
        if part.trigger_id == message.trigger_id:
            return False
        return now_ns - part.came_ns < self._windows.part_ns or self._is_stamped_alike(part, message)

    def _is_stamped_alike(self, seen: _Seen, message: TriggerMessage) -> bool:
        """Return True when both carry one time of the sender's clock, and that clock is running."""
        if message.at is None or message.at != seen.at:
            return False
        return self._last is None or self._last is seen or self._last.at != message.at


def _sent_after_ns(one: str | None, other: str | None) -> int:
    """Return the time between two messages by the sender's clock; 0 where it is not known."""
    one_ns, other_ns = (utc_ns(at) if at else None for at in (one, other))
    return 0 if one_ns is None or other_ns is None else other_ns - one_ns


def _differ(one: object, other: object) -> bool:
    """Return True when both are given and differ."""
    return one is not None and other is not None and one != other

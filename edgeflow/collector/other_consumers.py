"""Other consumers that acknowledge results, and two boxes under one name. Pure; clocks are arguments."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["OtherConsumers", "Registration", "SessionWatch", "registration_of"]

ACTIVE = "collecting"
_FORGET_S = 60.0  # a foreign acknowledgement is told for so long
_MOST_BOXES = 20_000
_OLD_SESSIONS = 8


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A collector, as its retained registration tells."""

    group: str
    name: str
    state: str
    store: str


def registration_of(topic: str, payload: bytes) -> Registration | None:
    """Return the registration in a retained message; None where it is none."""
    levels = topic.split("/")
    try:
        document = json.loads(payload) if payload else {}
    except (ValueError, RecursionError):
        return None
    if len(levels) < 2 or not isinstance(document, dict):
        return None
    state, store = (str(document.get(key, ""))[:100] for key in ("state", "store"))
    return Registration(group=levels[-2], name=levels[-1], state=state, store=store)


@dataclass(kw_only=True)
class OtherConsumers:
    """Other acknowledging consumers than this group with this database.

    One acknowledgement lets the box forget a result, so that another group, or another database of the same
    group, gets only a part of all results.
    """

    group: str
    name: str
    store: str = ""
    _registered: dict[tuple[str, str], Registration] = field(default_factory=dict)
    _foreign: dict[str, float] = field(default_factory=dict)

    def registered(self, found: Registration) -> None:
        """Note a registration; one without a state is over."""
        key = (found.group, found.name)
        if key == (self.group, self.name):
            return
        if found.state:
            self._registered[key] = found
        else:
            self._registered.pop(key, None)

    def acknowledged(self, root: str, consumer: str, now_s: float) -> None:
        """Note an acknowledgement on the topics of a box, with the consumer that it names."""
        if consumer != self.group:
            self._foreign[consumer] = now_s
            if len(self._foreign) > 100:
                del self._foreign[next(iter(self._foreign))]
            self._root = root

    _root: str = ""

    def active(self) -> list[str]:
        """Return the other collectors that take results away from this database, in words."""
        if not self.store:  # not known yet
            return []
        return [
            f"collector '{other.name}' of group '{other.group}' collects into another database"
            for other in self._registered.values()
            if other.state == ACTIVE and (other.group != self.group or other.store != self.store)
        ]

    def problems(self, now_s: float) -> list[str]:
        """Return what is wrong, in words: another group, another database, or foreign acknowledgements."""
        found = self.active()
        for consumer, at_s in self._foreign.items():
            if now_s - at_s < _FORGET_S and not any(f"group '{consumer}'" in text for text in found):
                who = f"group '{consumer}'" if consumer else "a program that is no collector"
                found.append(f"{who} acknowledges results ({self._root})")
        return found


@dataclass(kw_only=True)
class _Sessions:
    current: str
    before: OrderedDict[str, None] = field(default_factory=OrderedDict)
    two_at_s: float = float("-inf")


class SessionWatch:
    """Notices two running boxes under one name: fresh results of a session after those of a later one.

    A box that starts again has a new session, and sends what waits of the earlier one as replayed.
    """

    def __init__(self) -> None:
        self._boxes: OrderedDict[str, _Sessions] = OrderedDict()

    def add(self, root: str, session: str, now_s: float, *, replayed: bool) -> bool:
        """Note a result; return True where two boxes have this name."""
        if replayed:
            return False
        known = self._boxes.get(root)
        if known is None:
            self._boxes[root] = _Sessions(current=session)
            if len(self._boxes) > _MOST_BOXES:
                self._boxes.popitem(last=False)
            return False
        if session == known.current:
            return False
        again = session in known.before
        known.before[known.current] = None
        known.before.pop(session, None)
        while len(known.before) > _OLD_SESSIONS:
            known.before.popitem(last=False)
        known.current = session
        if again:
            known.two_at_s = now_s
        return again

    def two_boxes(self, now_s: float, within_s: float = 600.0) -> list[str]:
        """Return the topic roots under which two boxes were seen lately."""
        return [root for root, known in self._boxes.items() if now_s - known.two_at_s < within_s]

    def sessions(self, roots: Iterable[str]) -> dict[str, str]:
        """Return the session of the latest fresh result by root."""
        return {root: known.current for root in roots if (known := self._boxes.get(root)) is not None}

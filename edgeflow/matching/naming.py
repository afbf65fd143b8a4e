"""Sets of hardware-triggered cameras get the line's own trigger and part ids, announced by message."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from edgeflow.matching.base import Rules, ViewSet
from edgeflow.triggers import Trigger

__all__ = ["Naming"]


class Naming:
    """Pairs sets with announcements one by one, in order, where they are within ``window_ns``.

    The window has to be shorter than half the time between two parts: then neither a lost message nor a
    part that no camera saw makes the following ones take each other's names. A set without announcement
    cannot be told from its neighbours and gets a fault; an announcement without set makes an empty one.
    """

    def __init__(self, rules: Rules, window_ns: int) -> None:
        self._rules = rules
        self._window_ns = window_ns
        self._sets: deque[ViewSet] = deque()
        self._announced: deque[Trigger] = deque()

    def announce(self, trigger: Trigger, now_ns: int) -> list[ViewSet]:
        """The line said that it triggered the cameras."""
        self._announced.append(trigger)
        return self.settle(now_ns)

    def add(self, view_sets: list[ViewSet], now_ns: int) -> list[ViewSet]:
        """Sets came out of the cameras, in order."""
        self._sets.extend(view_sets)
        return self.settle(now_ns)

    def settle(self, now_ns: int) -> list[ViewSet]:
        """What can be named, or must go without."""
        settled = []
        while (first := self._first(now_ns)) is not None:
            settled.append(first)
        return settled

    def next_expiry_ns(self) -> int | None:
        """When ``settle`` has something to do at the latest."""
        due = [self._set_until_ns(self._sets[0])] if self._sets else []
        due += [self._announced_until_ns(self._announced[0])] if self._announced else []
        return min(due, default=None)

    def _first(self, now_ns: int) -> ViewSet | None:
        if self._sets and self._announced:
            ahead_ns = self._announced[0].at_ns - self._sets[0].triggered_ns
            if ahead_ns > self._window_ns:
                return self._unnamed(self._sets.popleft())
            if ahead_ns < -self._window_ns:
                return self._empty(self._announced.popleft())
            return self._named(self._sets.popleft(), self._announced.popleft())
        if self._sets and self._set_until_ns(self._sets[0]) <= now_ns:
            return self._unnamed(self._sets.popleft())
        if self._announced and self._announced_until_ns(self._announced[0]) <= now_ns:
            return self._empty(self._announced.popleft())
        return None

    def _set_until_ns(self, view_set: ViewSet) -> int:
        return view_set.triggered_ns + self._window_ns

    def _announced_until_ns(self, trigger: Trigger) -> int:
        # A set with missing views takes the whole timeout to come out.
        return trigger.at_ns + self._window_ns + self._rules.timeout_ns

    def _named(self, view_set: ViewSet, trigger: Trigger) -> ViewSet:
        return replace(
            view_set,
            trigger_id=trigger.trigger_id,
            part_id=trigger.part_id or trigger.trigger_id,
            encoder=trigger.encoder,
            context=trigger.context,
        )

    def _unnamed(self, view_set: ViewSet) -> ViewSet:
        fault = f"no trigger message within {self._window_ns / 1e6:g} ms: which part this is, is unknown"
        return replace(
            view_set,
            fault="; ".join(filter(None, [view_set.fault, fault])),
            fault_code=view_set.fault_code or "unnamed_part",
        )

    def _empty(self, trigger: Trigger) -> ViewSet:
        return self._rules.view_set(trigger, {})

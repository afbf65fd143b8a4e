"""The books of a line whose box, broker and controller were killed: pure.

Every trigger ends as a delivered result, or is a miss that somebody can count: it had no decision, or its
decision's number has no result. Misses are only where a kill explains them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from faults.figures import Figure

__all__ = ["Books"]


@dataclass(frozen=True, kw_only=True)
class Books:
    """Records of each participant, written at the moment of the event.

    Names begin with their session; numbers within a session have no gaps.

    Attributes:
        triggers: in order, before anything else was done for them.
        decided: (trigger, result id) in order.
        stored: result ids on the box's disk; a kill may come before the last of them are written down.
        received: result ids in the controller's file, as often as they stand there.
        told: highest number of a decision per session that a subscriber heard of.
        killed: sessions that ended by SIGKILL.
        in_hand: how many of a session's last triggers may be undecided when it is killed.
    """

    triggers: Sequence[str]
    decided: Sequence[tuple[str, str]]
    stored: Collection[str]
    received: Sequence[str]
    told: Mapping[str, int]
    killed: Collection[str]
    in_hand: int

    def figures(self, fault: str, parts: int) -> list[Figure]:
        """The account, with limits where something could be lost, of at least so many parts."""
        received = set(self.received)
        stored = self._on_disk()
        answered = {trigger for trigger, _ in self.decided}
        undecided = [name for name in self.triggers if name not in answered]
        cut_short = [result for _, result in self.decided if result not in stored]
        balance = len(self.triggers) - len(received) - len(undecided) - len(cut_short)

        def figure(what: str, value: int, *, limit: int | None = None) -> Figure:
            return Figure(fault=fault, what=what, value=value, limit=limit)

        return [
            Figure(fault=fault, what="triggers", value=len(self.triggers), limit=parts, at_least=True),
            figure("decisions", len(self.decided)),
            figure("parts decided twice", len(self.decided) - len(answered), limit=0),
            figure("results stored", len(stored)),
            figure("results delivered", len(received)),
            figure("stored and not delivered", len(stored - received), limit=0),
            figure("delivered twice after deduplication", len(self.received) - len(received), limit=0),
            figure("misses: in hand when the box was killed", len(undecided)),
            figure("misses: decided, killed before the disk had the result", len(cut_short)),
            figure("of these, missing numbers that a subscriber sees", self._seen(cut_short)),
            figure("misses that no kill explains", self._unexplained(undecided, cut_short), limit=0),
            figure("triggers - results delivered - misses", abs(balance), limit=0),
        ]

    def _on_disk(self) -> set[str]:
        """Only what was on the disk is sent."""
        return {*self.stored, *self.received}

    def _seen(self, results: Sequence[str]) -> int:
        return sum(_number(result) <= self.told.get(_session(result), 0) for result in results)

    def _unexplained(self, undecided: Sequence[str], cut_short: Sequence[str]) -> int:
        """Misses that are not among the last of a killed session."""
        last_trigger = _last(self.triggers)
        last_stored = _last(self._on_disk())
        early = [name for name in undecided if _number(name) <= last_trigger[_session(name)] - self.in_hand]
        holes = [name for name in cut_short if _number(name) < last_stored.get(_session(name), 0)]
        alive = [name for name in (*undecided, *cut_short) if _session(name) not in self.killed]
        return len({*early, *holes, *alive})


def _session(name: str) -> str:
    return name.partition("-")[0]


def _number(name: str) -> int:
    return int(name.rpartition("-")[2].lstrip("t"))


def _last(names: Collection[str]) -> dict[str, int]:
    last: dict[str, int] = {}
    for name in names:
        last[_session(name)] = max(last.get(_session(name), 0), _number(name))
    return last

"""Gate: it opens only for a valid OK, for an expected part, in time, once. Everything else rejects.

Written as a state machine of a few tables, so that it can be carried over to a PLC line by line. Clocks are
arguments: ``now_ms`` is the controller's own running clock, ``utc`` its wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from edgeflow.contracts.messages import Decision

__all__ = ["Counts", "Gate", "Ruling"]

Kind = Literal["open", "reject", "late", "missing", "duplicate"]
_REMEMBERED = 1000  # parts whose gate has acted: whatever still comes for them is late or a duplicate


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """Action of the gate for one part, with the reason.

    Attributes:
        kind: ``open``; ``reject`` (the box said so, or may not be believed); ``late`` and ``missing`` (the
            part was rejected when its time was over); ``duplicate`` (nothing is done).
    """

    kind: Kind
    part_id: str
    why: str


@dataclass(kw_only=True)
class Counts:
    """Counts of events; ``unheard`` are decisions that the box numbered and that never arrived."""

    open: int = 0
    reject: int = 0
    late: int = 0
    missing: int = 0
    duplicate: int = 0
    unheard: int = 0


@dataclass(kw_only=True)
class Gate:
    """The gate of one station.

    Attributes:
        wait_ms: a part that has no valid OK this long after it was expected is rejected.
        announced: parts are told by :meth:`expect`; else any part is expected, and only ``valid_until``
            says whether its decision is in time (then both clocks must agree, see chrony).
        skew_ms: how far the box's clock may be behind this one.
    """

    wait_ms: float
    announced: bool = True
    skew_ms: float = 50.0
    online: bool = False
    counts: Counts = field(default_factory=Counts)
    _expected: dict[str, float] = field(default_factory=dict)
    _done: dict[str, Kind] = field(default_factory=dict)
    _last_seq: dict[str, int] = field(default_factory=dict)

    def presence(self, word: str) -> None:
        """``availability`` changed; any other word than ``online``, or none, and nothing opens the gate."""
        self.online = word == "online"

    def disconnected(self) -> None:
        """The controller's own connection is gone: that is silence, and silence rejects."""
        self.online = False

    def expect(self, trigger_id: str, now_ms: float) -> None:
        """A part stands before the cameras, and this is its trigger."""
        if trigger_id not in self._done:
            self._expected[trigger_id] = now_ms

    def decide(self, decision: Decision, now_ms: float, utc: datetime) -> Ruling:
        """A decision came in."""
        if self._is_repeated(decision):
            return self._count(decision, "duplicate", "this decision was heard before")
        key = decision.trigger_id
        if key in self._done:
            late = self._done[key] == "missing"
            why = "its time was over" if late else "the gate has acted already"
            return self._count(decision, "late" if late else "duplicate", why)
        since_ms = self._expected.pop(key, None)
        kind, why = self._judge(decision, since_ms, now_ms, utc)
        self._remember(key, kind)
        return self._count(decision, kind, why)

    def expire(self, now_ms: float) -> list[Ruling]:
        """Parts whose time is over without a decision: rejected now. Call it often."""
        over = [key for key, since_ms in self._expected.items() if now_ms - since_ms > self.wait_ms]
        for key in over:
            del self._expected[key]
            self._remember(key, "missing")
            self.counts.missing += 1
        return [
            Ruling(kind="missing", part_id=key, why=f"no decision in {self.wait_ms:g} ms") for key in over
        ]

    def _judge(
        self, decision: Decision, since_ms: float | None, now_ms: float, utc: datetime
    ) -> tuple[Kind, str]:
        if since_ms is None and self.announced:
            return "reject", "this part is not expected"
        if not self.online:
            return "reject", "the box is not online"
        if since_ms is not None and now_ms - since_ms > self.wait_ms:
            return "late", f"came {now_ms - since_ms:.0f} ms after the part"
        over_ms = (utc - datetime.fromisoformat(decision.valid_until)).total_seconds() * 1e3
        if over_ms > self.skew_ms:
            return "late", f"was valid until {over_ms:.0f} ms ago"
        if decision.verdict != "OK":
            return "reject", f"{decision.verdict}: {decision.reason}"
        return "open", ""

    def _is_repeated(self, decision: Decision) -> bool:
        """The box numbers its decisions: a number that is no higher was heard, a gap was not."""
        last = self._last_seq.get(decision.session)
        if last is not None and decision.seq <= last:
            return True
        self.counts.unheard += decision.seq - last - 1 if last is not None else 0
        self._last_seq = {decision.session: decision.seq}  # one session at a time: a restart begins anew
        return False

    def _remember(self, key: str, kind: Kind) -> None:
        self._done[key] = kind
        while len(self._done) > _REMEMBERED:
            del self._done[next(iter(self._done))]

    def _count(self, decision: Decision, kind: Kind, why: str) -> Ruling:
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)
        return Ruling(kind=kind, part_id=decision.part_id, why=why)

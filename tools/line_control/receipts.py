"""Record of received results: each counts once, also when it is sent again, in memory that does not grow.

The box numbers the results of a session without gaps. Per session it is enough to know the number up to which
all came (the high-water mark) and those that came beyond it (the window).
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Receipts"]


@dataclass(kw_only=True)
class _Session:
    mark: int = 0
    beyond: set[int] = field(default_factory=set)
    lost: int = 0
    expected: int = 0

    def add(self, seq: int, window: int) -> bool:
        if seq <= self.mark or seq in self.beyond:
            return False
        self.beyond.add(seq)
        while self.mark + 1 in self.beyond:
            self._step()
        while len(self.beyond) > window:  # the gap before it is given up
            self.lost += min(self.beyond) - self.mark - 1
            self.mark = min(self.beyond) - 1
            while self.mark + 1 in self.beyond:
                self._step()
        return True

    def _step(self) -> None:
        self.mark += 1
        self.beyond.remove(self.mark)

    def gaps(self) -> list[int]:
        top = max(self.beyond | {self.mark, self.expected})
        return [seq for seq in range(self.mark + 1, top + 1) if seq not in self.beyond]


class Receipts:
    """Numbers of results received, per session.

    Args:
        window: how many may come ahead of a missing one before that counts as lost.
        sessions: how many are remembered; the oldest is forgotten.
    """

    def __init__(self, window: int = 10_000, sessions: int = 1000) -> None:
        self._window = window
        self._limit = sessions
        self._sessions: dict[str, _Session] = {}
        self.duplicates = 0
        self.received = 0

    def add(self, session: str, seq: int) -> bool:
        """Note a result; False where it was received before."""
        new = self._session(session).add(seq, self._window)
        self.received += new
        self.duplicates += not new
        return new

    def expect(self, session: str, seq: int) -> None:
        """A decision has this number: a result with the same number has to follow."""
        known = self._session(session)
        known.expected = max(known.expected, seq)

    def excuse(self, result_id: str) -> None:
        """A result will never come: the box says that it gave it up (``dropped``)."""
        session, _, number = result_id.rpartition("-")
        if session and number.isdigit():
            self._session(session).add(int(number), self._window)

    def missing(self) -> dict[str, list[int]]:
        """Numbers that were decided or that later ones have overtaken; they may still come."""
        return {name: gaps for name, session in self._sessions.items() if (gaps := session.gaps())}

    @property
    def lost(self) -> int:
        """Results given up because the window was full."""
        return sum(session.lost for session in self._sessions.values())

    def _session(self, name: str) -> _Session:
        if name not in self._sessions:
            self._sessions[name] = _Session()
            if len(self._sessions) > self._limit:
                del self._sessions[next(iter(self._sessions))]
        return self._sessions[name]

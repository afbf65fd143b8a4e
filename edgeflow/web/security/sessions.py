"""Sessions of logged-in users, in memory: a restart of the page ends them all."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edgeflow.security.users import Role

__all__ = ["Session", "Sessions"]

_MOST = 500
_IDLE_S = 12 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """A logged-in user.

    Attributes:
        csrf: token that every change has to carry, since no other site can read it.
    """

    user: str
    role: Role
    csrf: str


class Sessions:
    """Sessions by their secret token; the longest unused ones go first.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Session, float]] = OrderedDict()

    def begin(self, user: str, role: Role) -> tuple[str, Session]:
        """Return a new session with its token."""
        token, session = (
            secrets.token_urlsafe(32),
            Session(user=user, role=role, csrf=secrets.token_urlsafe(32)),
        )
        with self._lock:
            self._known[token] = (session, self._clock())
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return token, session

    def find(self, token: str) -> Session | None:
        """Return the session of a token; None where it is unknown or was unused for twelve hours."""
        now_s = self._clock()
        with self._lock:
            found = self._known.get(token)
            if found is None:
                return None
            if now_s - found[1] > _IDLE_S:
                del self._known[token]
                return None
            self._known[token] = (found[0], now_s)
            self._known.move_to_end(token)
            return found[0]

    def end(self, token: str) -> None:
        """Forget a session."""
        with self._lock:
            self._known.pop(token, None)

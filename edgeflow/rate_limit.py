"""Rate limit: a burst at once, then a steady rate. Pure."""

from __future__ import annotations

__all__ = ["RateLimit"]


class RateLimit:
    """A token bucket.

    Args:
        at_once: how often in a row.
        every_ns: after that, once in this time.
    """

    def __init__(self, *, at_once: int, every_ns: int) -> None:
        self._at_once = at_once
        self._every_ns = every_ns
        self._left = at_once
        self._since_ns: int | None = None

    def allows(self, now_ns: int) -> bool:
        """Return True if one more action is allowed now; it is counted then."""
        if self._since_ns is None or self._left == self._at_once:
            self._since_ns = now_ns
        more = (now_ns - self._since_ns) // self._every_ns
        self._left = min(self._at_once, self._left + more)
        self._since_ns += more * self._every_ns
        if self._left == 0:
            return False
        self._left -= 1
        return True

"""Bound on wrong passwords, by name and by address; the clock is an argument."""

from __future__ import annotations

from collections import OrderedDict, deque

__all__ = ["Attempts"]

_MOST = 5
_WINDOW_S = 60.0
_REMEMBERED = 2000


class Attempts:
    """Wrong passwords of the last minute; after five, a name or address has to wait."""

    def __init__(self) -> None:
        self._failed_s: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, keys: tuple[str, ...], now_s: float) -> float:
        """Return the seconds until another attempt is allowed; 0 where it is allowed now."""
        waits = [0.0]
        for key in keys:
            failed = self._failed_s.get(key, deque[float]())
            while failed and now_s - failed[0] > _WINDOW_S:
                failed.popleft()
            if len(failed) >= _MOST:
                waits.append(_WINDOW_S - (now_s - failed[0]))
        return max(waits)

    def failed(self, keys: tuple[str, ...], now_s: float) -> None:
        """Record a wrong password."""
        for key in keys:
            self._failed_s.setdefault(key, deque(maxlen=_MOST)).append(now_s)
            self._failed_s.move_to_end(key)
        while len(self._failed_s) > _REMEMBERED:
            self._failed_s.popitem(last=False)

"""Decision stream: decisions, results and state of a running box, for programs that hand them on to a PLC."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from edgeflow.contracts.messages import Decision, Result, State
from edgeflow.errors import UsageError

__all__ = ["BEAT_S", "DecisionStream"]

BEAT_S = 0.25
"""A follower hears of the box at least so often."""

_LOOK_S = 0.05  # for a state that changed
_LAST = 50  # results that a new follower gets at once
_FOLLOWERS = 8
_MOST = 256
_STALLED_S = 10.0  # a follower that takes nothing for so long is cut

Item = Decision | Result


class DecisionStream:
    """Decisions at once, results when they are recorded, state when it changes, for followers.

    The line's part is to append to short queues. JSON is made on the thread of a follower's connection.

    Args:
        state: the box's state, asked twenty times a second for each follower.
    """

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._followers: tuple[_Follower, ...] = ()
        self._last: deque[Result] = deque(maxlen=_LAST)
        self._latest: Decision | None = None
        self._closed = False

    def decided(self, decision: Decision) -> None:
        """Take a decision; for the line's thread, never waits."""
        self._latest = decision
        for follower in self._followers:
            follower.put(decision)

    def finished(self, result: Result) -> None:
        """Take the full record of a decision; for the line's thread, never waits."""
        self._last.append(result)
        for follower in self._followers:
            follower.put(result)

    def close(self) -> None:
        """End the stream of every follower."""
        self._closed = True
        for follower in self._followers:
            follower.close()

    def serve(self, connection: socket.socket) -> None:
        """Write the stream to one follower until it goes, stalls for 10 s, or the box ends.

        Raises:
            UsageError: as many follow as may.
            OSError: the follower went or stalled.
        """
        follower = self._admitted()
        try:
            connection.settimeout(_STALLED_S)
            connection.sendall(self._hello())
            self._send(connection, follower)
        finally:
            with self._lock:
                self._followers = tuple(other for other in self._followers if other is not follower)

    def _admitted(self) -> _Follower:
        follower = _Follower()
        with self._lock:
            if len(self._followers) >= _FOLLOWERS:
                raise UsageError(f"{_FOLLOWERS} programs follow this box already; end one of them")
            self._followers = (*self._followers, follower)
        return follower

    def _hello(self) -> bytes:
        latest = self._latest
        return _line(
            "hello",
            {
                "state": _plain(self._state()),
                "decision": None if latest is None else _plain(latest),
                "results": [_plain(result) for result in list(self._last)],
            },
        )

    def _send(self, connection: socket.socket, follower: _Follower) -> None:
        told: tuple[object, ...] = ()
        beat_due_s = 0.0
        while not self._closed:
            item = follower.take(_LOOK_S)
            lines = [] if item is None else [_line_of(*item)]
            if dropped := follower.dropped():
                lines.append(_line("dropped", {"count": dropped}))
            state = self._state()
            news = (state.state, state.ready, state.detail, state.recipe, state.product, state.degraded_views)
            if news != told or time.monotonic() >= beat_due_s:
                told, beat_due_s = news, time.monotonic() + BEAT_S
                lines.append(_line("state", {"state": _plain(state)}))
            if lines:
                connection.sendall(b"".join(lines))


class _Follower:
    """One follower's queue: bounded, the oldest dropped first."""

    def __init__(self) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._closed = False

    def put(self, item: Item) -> None:
        with self._changed:
            if len(self._items) >= _MOST:
                self._items.popleft()
                self._dropped += 1
            self._items.append((item, time.monotonic_ns()))
            self._changed.notify()

    def take(self, patience_s: float) -> tuple[Item, int] | None:
        """Return the next item and its monotonic time in ns; None where none came in time, or at the end."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(patience_s)
            return self._items.popleft() if self._items else None

    def dropped(self) -> int:
        """Return how many were dropped since the last call."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


def _line_of(item: Item, at_ns: int) -> bytes:
    kind = "decision" if isinstance(item, Decision) else "result"
    return _line(kind, {kind: _plain(item), "at_ns": at_ns})


def _plain(message: Decision | Result | State) -> dict[str, Any]:
    return message.model_dump(mode="json", by_alias=True)


def _line(kind: str, content: dict[str, Any]) -> bytes:
    return json.dumps({"kind": kind, **content}).encode() + b"\n"

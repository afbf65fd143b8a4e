"""Live stream: takes finished parts from the line without waiting, and serves whoever watches."""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from edgeflow.contracts.messages import Result, VerdictName
from edgeflow.errors import UsageError
from edgeflow.live.previews import LivePart, previews
from edgeflow.live.subscriber import Kind, Line, Subscriber
from edgeflow.right_of_way import RightOfWay
from edgeflow.thread_activity import waiting, working

__all__ = ["LiveStream"]

logger = logging.getLogger(__name__)

_LAST = 50  # results that a new watcher gets at once
_WATCHERS = 8
_STATUS_S = 1.0
_LOOK_S = 2.0  # between looks for a watcher that has gone, where nothing is told
_STALLED_S = 10.0  # a watcher that takes nothing for so long is cut
_SHARE = 0.02  # of one core, for pictures
_SILENT_S = 30.0
_STOP_S = 2.0
_RATE_S = 60.0
_PATIENCE_S = 0.2  # of what is shown, where parts follow each other without a gap


class LiveStream:
    """Results, status and pictures of a running box, for watchers on its local socket.

    The line's part is a few assignments. JSON and pictures are made on the thread ``live`` and only while
    somebody watches; pictures take at most 2 % of a core, and parts between them have none. Each message and
    each picture begins between two parts, where there is a gap.

    Args:
        status: the box's status, asked once a second while somebody watches.
        share: of one core, at most, for pictures.
        right_of_way: the line's; None where no line runs.
    """

    def __init__(
        self,
        status: Callable[[], Mapping[str, Any]],
        share: float = _SHARE,
        right_of_way: RightOfWay | None = None,
    ) -> None:
        self._share = share
        self._right_of_way = right_of_way or RightOfWay()
        self._status = status
        self._changed = threading.Condition()
        self._subscribers: list[Subscriber] = []
        self._fresh: deque[Result] = deque(maxlen=_LAST)  # not sent yet
        self._last: deque[Result] = deque(maxlen=_LAST)
        self._times_s: deque[float] = deque(maxlen=10_000)
        self._counts: Counter[VerdictName] = Counter()
        self._part: LivePart | None = None
        self._preview: Line | None = None
        self._preview_due_s = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def __enter__(self) -> LiveStream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            subscribers = list(self._subscribers)
            self._changed.notify()
        for subscriber in subscribers:
            subscriber.close()
        self._thread.join(_STOP_S)

    @property
    def watched(self) -> bool:
        """True if somebody watches, so that a part's pictures are wanted."""
        return bool(self._subscribers)

    def offer(self, part: LivePart) -> None:
        """Take a finished part; for the line's thread, never waits for a watcher."""
        with self._changed:
            result, waits = part.result, self._part
            if result is not None:
                self._counts[result.verdict] += 1
                self._times_s.append(time.monotonic())
                self._last.append(result)
            if not self._subscribers:
                return
            if result is not None:
                self._fresh.append(result)
            # A part that is not OK is shown, also where many OK ones follow at once.
            if waits is None or waits.is_ok or not part.is_ok:
                self._part = part
            self._changed.notify()

    def serve(self, connection: socket.socket) -> None:
        """Write the stream to one watcher until it goes, stalls for 10 s, or the box ends.

        Raises:
            UsageError: as many watch as may.
            OSError: the watcher went or stalled.
        """
        subscriber = self._subscribed()
        try:
            connection.settimeout(_STALLED_S)
            while (data := subscriber.take(_LOOK_S)) is not None:
                if data:
                    connection.sendall(data)
                elif _is_gone(connection):  # nothing is told while the box's status fails and no part comes
                    return
        finally:
            with self._changed:
                self._subscribers.remove(subscriber)

    def _subscribed(self) -> Subscriber:
        """Return a subscriber that begins with ``hello``, which is made while the line goes on."""
        with self._changed:
            results, count = list(self._last), self._counts.total()
        subscriber = Subscriber()
        subscriber.put(_line("hello", {"results": [_plain(result) for result in results]}))
        with self._changed:
            if len(self._subscribers) >= _WATCHERS:
                raise UsageError(f"{_WATCHERS} programs watch this box already; end one of them")
            for result in list(self._last)[len(self._last) - min(self._counts.total() - count, _LAST) :]:
                subscriber.put(_line("result", {"result": _plain(result)}))
            self._subscribers.append(subscriber)
            self._changed.notify()
        if self._preview is not None:
            subscriber.put(self._preview)
        return subscriber

    def _run(self) -> None:
        status_due_s = 0.0
        while not self._closed:
            waiting()
            results, part, watched = self._next(status_due_s)
            working(_SILENT_S)
            try:
                self._give_way()
                for result in results:
                    self._send(_line("result", {"result": _plain(result)}))
                if watched and time.monotonic() >= status_due_s:
                    self._give_way()
                    self._send(_line("status", {"status": {**self._status(), **self._figures()}}))
                    status_due_s = time.monotonic() + _STATUS_S
                if part is not None:
                    self._send_preview(part)
            except Exception:  # what is shown must not end the box
                logger.exception("the live stream goes on after an error")
                status_due_s = time.monotonic() + _STATUS_S
        waiting()

    def _next(self, status_due_s: float) -> tuple[list[Result], LivePart | None, bool]:
        """Wait until something is due; return results, a part whose pictures are due, if anyone watches."""
        with self._changed:
            while not self._closed:
                now_s = time.monotonic()
                if not self._subscribers:
                    self._part = self._preview = None
                    self._fresh.clear()
                    self._changed.wait()
                    continue
                due_s = status_due_s
                if self._part is not None:
                    due_s = min(due_s, self._preview_due_s)
                if self._fresh or now_s >= due_s:
                    break
                self._changed.wait(due_s - now_s)
            results = list(self._fresh)
            self._fresh.clear()
            part = None
            if self._part is not None and time.monotonic() >= self._preview_due_s:
                part, self._part = self._part, None
            return results, part, bool(self._subscribers)

    def _give_way(self) -> None:
        self._right_of_way.give_way(_PATIENCE_S)

    def _send_preview(self, part: LivePart) -> None:
        before_s = time.thread_time()
        views = previews(part, self._give_way)
        self._give_way()
        line = _line("preview", {**part.about, "views": views})
        self._preview = line
        self._send(line)
        spent_s = time.thread_time() - before_s
        self._preview_due_s = time.monotonic() + spent_s / self._share

    def _figures(self) -> dict[str, Any]:
        """Counts of this session, and parts in the last minute."""
        since_s = time.monotonic() - _RATE_S
        with self._changed:
            recent = sum(at_s >= since_s for at_s in self._times_s)
            return {"counts": dict(self._counts), "parts_per_minute": recent}

    def _send(self, line: Line) -> None:
        with self._changed:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            subscriber.put(line)


def _is_gone(connection: socket.socket) -> bool:
    """Return True once the other end is closed; one that only ended its own writing still reads."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))


def _plain(result: Result) -> dict[str, Any]:
    return result.model_dump(mode="json", by_alias=True)


def _line(kind: Kind, content: Mapping[str, Any]) -> Line:
    return Line(kind=kind, data=json.dumps({"kind": kind, **content}).encode() + b"\n")

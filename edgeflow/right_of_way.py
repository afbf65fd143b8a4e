"""Right of way of the line: work beside it begins between two parts, where it can wait for that."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol

__all__ = ["Pausable", "RightOfWay"]


class Pausable(Protocol):
    """Work in another process that stands still while a part waits for its decision; never raises."""

    def pause(self) -> None:
        """Stand still at once; called on the line's thread, so it must not wait."""

    def resume(self) -> None:
        """Go on."""


class RightOfWay:
    """Held by the line while a part waits for its decision; work that serves people gives way to it.

    A low priority of the operating system would not do: a thread of Python that has to wait for a processor
    may hold the GIL meanwhile, and then the line waits too.
    """

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self._paused: tuple[Pausable, ...] = ()

    def pause_for_parts(self, work: Pausable) -> None:
        """Let work in another process stand still whenever a part waits for its decision."""
        self._paused = (*self._paused, work)

    def __enter__(self) -> None:
        self._free.clear()
        for work in self._paused:
            work.pause()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free.set()
        for work in self._paused:
            work.resume()

    def give_way(self, at_most_s: float) -> None:
        """Wait until no part waits for its decision, for ``at_most_s`` at most."""
        self._free.wait(at_most_s)

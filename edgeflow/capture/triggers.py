"""Triggers, each of which starts the inspection of a part, and the interval source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeflow.capture.part_product import PartProduct
from edgeflow.clock import monotonic_ns
from edgeflow.contracts.message_parts.context import Scalar

__all__ = ["IntervalPacer", "IntervalSource", "Trigger", "trigger_name"]

_STOP_LIMIT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """The start of one part's inspection.

    Attributes:
        trigger_id: unique in the session.
        part_id: the line's own name of the part, where it gave one.
        at_ns: monotonic, when it came here; a frame of a software trigger from before it never belongs to
            the part.
        encoder: the line's position, where it gave one.
        given_ns: monotonic, when it would have come if nothing had held it up, as the sender's clock tells;
            None where this is not known, so that it may have been given at any time before ``at_ns``.
        context: what else the line said of the part, in its own words.
        product: of the part, where the trigger itself says it.
        settling: too few messages of this sender came; it may have been given before ``given_ns``.
    """

    trigger_id: str
    part_id: str | None
    at_ns: int
    encoder: int | None = None
    given_ns: int | None = None
    context: Mapping[str, Scalar] | None = None
    settling: bool = False
    product: PartProduct | None = None

    @property
    def moment_ns(self) -> int:
        """Time when the line gave the trigger, as far as known; deadlines count from it."""
        return self.at_ns if self.given_ns is None else min(self.at_ns, self.given_ns)


def trigger_name(session: str, number: int) -> str:
    """Return the id of a session's n-th part."""
    return f"{session}-{number:06d}"


class IntervalPacer:
    """Fixed grid of trigger times: pure, no drift; missed periods are skipped."""

    def __init__(self, *, period_ms: float, session: str, start_ns: int) -> None:
        self._period_ns = period_ms * 1e6
        self._session = session
        self._start_ns = start_ns
        self._tick = 0
        self._count = 0

    @property
    def due_ns(self) -> int:
        """Time of the next trigger."""
        return self._start_ns + round(self._tick * self._period_ns)

    def fire(self, now_ns: int) -> Trigger:
        """Return the trigger of this moment; the next one is due on the first grid point after ``now_ns``."""
        self._count += 1
        passed = int((now_ns - self._start_ns) // self._period_ns)
        self._tick = max(self._tick, passed) + 1
        return Trigger(trigger_id=trigger_name(self._session, self._count), part_id=None, at_ns=now_ns)


class IntervalSource:
    """Thread that gives a trigger every ``period_ms``.

    Args:
        on_trigger: called in the source's thread; has to return at once.
    """

    def __init__(self, *, period_ms: float, session: str, on_trigger: Callable[[Trigger], None]) -> None:
        self._period_ms = period_ms
        self._session = session
        self._on_trigger = on_trigger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trigger", daemon=True)

    def start(self) -> None:
        """Give the first trigger at once; after ``stop`` none comes."""
        self._thread.start()

    def stop(self) -> None:
        """End; no trigger comes after the return. Safe to call twice, or without ``start``."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_LIMIT_S)

    def _run(self) -> None:
        pacer = IntervalPacer(period_ms=self._period_ms, session=self._session, start_ns=monotonic_ns())
        while not self._stop.wait(max(0, pacer.due_ns - monotonic_ns()) / 1e9):
            self._on_trigger(pacer.fire(monotonic_ns()))

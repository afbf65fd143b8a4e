"""Synchronizer: frames to view sets by stamps, counters and ids; pure, clock as an argument."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from edgeflow.cameras.camera import Frame
from edgeflow.capture.matching.by_counter import ByCounter
from edgeflow.capture.matching.by_time import ByTime
from edgeflow.capture.matching.by_trigger import ByTrigger
from edgeflow.capture.matching.matcher import Matcher, MatchingRules
from edgeflow.capture.matching.part_ids import PartIdAssigner
from edgeflow.capture.part_product import PartProduct
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

__all__ = ["SyncMode", "Synchronizer"]

SyncMode = Literal["triggered", "free", "hardware"]

_MATCHERS: dict[SyncMode, type[ByTrigger | ByTime | ByCounter]] = {
    "triggered": ByTrigger,
    "free": ByTime,
    "hardware": ByCounter,
}


class Synchronizer:
    """Collects frames into view sets; the clock is an argument, nothing waits.

    ``triggered``: a frame belongs to the trigger whose id it carries, else to the latest trigger
    before its exposure; in both cases it must be stamped within ``window_ms`` after that trigger. Sets come
    out in the order of the triggers, complete or at the timeout.
    ``free``: frames of all views within ``max_skew_ms`` of each other are a set; what finds no
    partners within ``timeout_ms`` comes out as a set with missing views.
    ``hardware``: the cameras have a trigger line of their own; frames are paired by the cameras' counters
    and cross-checked with time. With ``announce_ms``, triggers of the line name the sets.

    In all modes a frame is used at most once, and one older than ``timeout_ms`` never.
    ``now_ns`` must not go backwards.

    Args:
        window_ms: exposure, transfer and margin: how long after its trigger a frame may be stamped, None:
            ``timeout_ms``. In hardware mode: how far apart transfer may pull stamps of one moment, which
            has to be shorter than the time between two triggers; None: ``max_skew_ms``.
        frame_delay_ms: from the beginning of an exposure to the frame's stamp, for cameras that run by
            themselves and are matched with triggers.
        announce_ms: how far an announcement may be from the frames that it names; None: there are none.
        transfer_ms: of cameras whose clock is not compared with the computer's, how long the quickest frame
            takes from its exposure at most; None: not known, so that in hardware mode no part is named.
        min_period_ms: the shortest time between two parts; None: twice ``announce_ms``.
        own_views: see ``MatchingRules``.
    """

    def __init__(
        self,
        views: Sequence[str],
        *,
        max_skew_ms: float,
        timeout_ms: float,
        mode: SyncMode,
        session: str,
        window_ms: float | None = None,
        frame_delay_ms: float = 0,
        announce_ms: float | None = None,
        transfer_ms: float | None = None,
        min_period_ms: float | None = None,
        own_views: Callable[[PartProduct | None, int], Collection[str] | None] | None = None,
    ) -> None:
        pull_ms = transfer_ms if window_ms is None else window_ms
        if window_ms is None:
            window_ms = max(max_skew_ms, transfer_ms or 0) if mode == "hardware" else timeout_ms
        self._rules = MatchingRules(
            views=tuple(views),
            max_skew_ns=round(max_skew_ms * 1e6),
            timeout_ns=round(timeout_ms * 1e6),
            window_ns=round(window_ms * 1e6),
            delay_ns=round(frame_delay_ms * 1e6),
            session=session,
            transfer_ns=_ns(transfer_ms),
            pull_ns=_ns(pull_ms),
            own_views=own_views,
        )
        self._matcher: Matcher = _MATCHERS[mode](self._rules)
        self._part_ids = None
        if announce_ms is not None:
            self._part_ids = PartIdAssigner(self._rules, round(announce_ms * 1e6), _ns(min_period_ms))
        self._seen: dict[tuple[str, int, int], None] = {}

    def trigger(self, trigger: Trigger, now_ns: int) -> list[ViewSet]:
        """Take a trigger; in hardware mode, the message that names it. Without effect in free mode."""
        self._forget(now_ns)
        if self._part_ids is not None:
            return self._part_ids.announce(trigger, now_ns)
        return self._matcher.trigger(trigger)

    def refuse(self, trigger: Trigger, fault: str) -> list[ViewSet]:
        """Take a refused trigger: its part gets a set without frames, with this fault."""
        return self._matcher.refuse(trigger, fault)

    def add(self, frame: Frame, now_ns: int) -> list[ViewSet]:
        """Take a frame; return the sets that it settles."""
        self._forget(now_ns)
        identity = frame.view, frame.frame_id, frame.captured_ns
        stale = frame.captured_ns < now_ns - self._rules.timeout_ns
        if stale or identity in self._seen or frame.view not in self._rules.views:
            return []
        self._seen[identity] = None
        return self._named(self._matcher.add(frame), now_ns)

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:
        """Take the news that a view will not deliver for a trigger; its set does not wait for it."""
        return self._matcher.fail(view, trigger_id)

    def end(self, view: str, now_ns: int) -> list[ViewSet]:
        """Take the end of a view's recording; triggers without any frame make no set."""
        return self._named(self._matcher.end(view), now_ns)

    def expire(self, now_ns: int) -> list[ViewSet]:
        """Return the sets whose time is over; their missing views are named."""
        return self._named(self._matcher.expire(now_ns), now_ns)

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``expire`` is due; None while nothing is waiting."""
        due = [self._matcher.next_expiry_ns(), self._part_ids.next_expiry_ns() if self._part_ids else None]
        return min((ns for ns in due if ns is not None), default=None)

    @property
    def mismatches(self) -> tuple[int, str]:
        """Number of contradictions between counters and time so far, and the text of the latest one."""
        matcher = self._matcher
        return (matcher.mismatches, matcher.mismatch) if isinstance(matcher, ByCounter) else (0, "")

    def _named(self, view_sets: list[ViewSet], now_ns: int) -> list[ViewSet]:
        return view_sets if self._part_ids is None else self._part_ids.add(view_sets, now_ns)

    def _forget(self, now_ns: int) -> None:
        """Frames too old to be accepted again need not be remembered."""
        oldest_ns = now_ns - self._rules.timeout_ns
        while self._seen and (first := next(iter(self._seen)))[2] < oldest_ns:
            del self._seen[first]


def _ns(ms: float | None) -> int | None:
    return None if ms is None else round(ms * 1e6)

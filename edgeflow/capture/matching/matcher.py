"""Matcher interface, and the rules that all matchers have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edgeflow.cameras.camera import Frame
from edgeflow.capture.part_product import PartProduct
from edgeflow.capture.triggers import Trigger, trigger_name
from edgeflow.capture.view_set import ViewSet
from edgeflow.contracts.message_parts.reason_codes import ReasonCode

__all__ = ["Matcher", "MatchingRules"]


@dataclass(frozen=True, kw_only=True)
class MatchingRules:
    """Limits of one set.

    Attributes:
        timeout_ns: how long a set waits for its frames.
        window_ns: how long after the trigger a frame may be stamped; with a trigger line of the cameras, how
            far apart the stamps of frames may be that the cameras' own clocks say belong together.
        delay_ns: from the beginning of an exposure to the frame's stamp, for cameras that run by
            themselves and have no clock of their own: what is stamped earlier than this after a trigger
            was exposed before it.
        transfer_ns: how long the quickest frame of a camera takes from its exposure at most, for cameras
            whose clock is not compared with the computer's; None where nobody says it.
        pull_ns: how far apart transfer may pull the stamps of one moment, for these cameras; None where
            nobody says it.
        own_views: of a part, by its trigger's product and its moment; None: every part has all views.
    """

    views: tuple[str, ...]
    max_skew_ns: int
    timeout_ns: int
    window_ns: int
    delay_ns: int
    session: str
    transfer_ns: int | None = None
    pull_ns: int | None = None
    own_views: Callable[[PartProduct | None, int], Collection[str] | None] | None = None
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def needed(self, product: PartProduct | None, at_ns: int) -> tuple[str, ...]:
        """Return the views that a part waits for; all of them where its own are not known.

        Args:
            product: as the part's trigger says it.
            at_ns: the part's moment.
        """
        own = None if self.own_views is None else self.own_views(product, at_ns)
        return self.views if own is None else tuple(view for view in self.views if view in own)

    def new_trigger(self, at_ns: int) -> Trigger:
        """Return a trigger for a set that has none of the line."""
        name = trigger_name(self.session, next(self.numbers))
        return Trigger(trigger_id=name, part_id=None, at_ns=at_ns)

    def view_set(
        self, trigger: Trigger, frames: Mapping[str, Frame], *, skew_ns: int | None = None
    ) -> ViewSet:
        """Return the set of some frames, with all their faults; views that the part has no need of stay out.

        Args:
            skew_ns: where better known than from the frames' capture stamps.
        """
        views = self.needed(trigger.product, trigger.moment_ns)
        frames = {view: frames[view] for view in views if view in frames}
        if skew_ns is None and frames:
            stamps = [frame.captured_ns for frame in frames.values()]
            skew_ns = max(stamps) - min(stamps)
        recorded = {view: frame.part_id for view, frame in frames.items() if frame.part_id}
        agreed = next(iter(recorded.values())) if len(set(recorded.values())) == 1 else None
        faults: dict[ReasonCode, str] = {}
        if len(set(recorded.values())) > 1:
            different = ", ".join(f"{v} {p}" for v, p in recorded.items())
            faults["mixed_parts"] = f"frames of different parts: {different}"
        if skew_ns is not None and skew_ns > self.max_skew_ns:
            limit_ms = self.max_skew_ns / 1e6
            faults["skew"] = f"skew of {skew_ns / 1e6:.1f} ms is over max_skew_ms {limit_ms:g}"
        return ViewSet(
            trigger_id=trigger.trigger_id,
            part_id=trigger.part_id or agreed or trigger.trigger_id,
            triggered_ns=trigger.moment_ns,
            frames=frames,
            missing=tuple(view for view in views if view not in frames),
            skew_ms=None if skew_ns is None else skew_ns / 1e6,
            fault="; ".join(faults.values()),
            fault_code=next(iter(faults), None),
            encoder=trigger.encoder,
            context=trigger.context,
            product=trigger.product,
        )

    def refused(self, trigger: Trigger, fault: str) -> ViewSet:
        """Return the set of a trigger that was not given to the cameras."""
        return ViewSet(
            trigger_id=trigger.trigger_id,
            part_id=trigger.part_id or trigger.trigger_id,
            triggered_ns=trigger.moment_ns,
            frames={},
            missing=(),
            skew_ms=None,
            fault=fault,
            fault_code="trigger_refused",
            encoder=trigger.encoder,
            context=trigger.context,
            product=trigger.product,
        )


class Matcher(Protocol):
    """Interface of the matchers."""

    def trigger(self, trigger: Trigger) -> list[ViewSet]:
        """Take a trigger."""

    def refuse(self, trigger: Trigger, fault: str) -> list[ViewSet]:
        """Take a refused trigger: it makes a set without frames, in its turn."""

    def add(self, frame: Frame) -> list[ViewSet]:
        """Take a frame that is new."""

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:
        """Take the news that a view will not deliver for a trigger."""

    def end(self, view: str) -> list[ViewSet]:
        """Take the end of a view's recording."""

    def expire(self, now_ns: int) -> list[ViewSet]:
        """Return the sets whose time is over."""

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``expire`` is due; None while nothing is waiting."""

"""Station states by their OPC 40100-1 names: the state machine, and the present state, published retained."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Literal, Protocol

from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import utc_text
from edgeflow.contracts.messages import State, StateName
from edgeflow.errors import UsageError

__all__ = ["STOPPED", "Event", "StationState", "follow"]

STOPPED = "the station is stopped; command 'start'"

Event = Literal["opened", "prepared", "start", "stop", "reset", "fail", "halt"]
"""Events that move the station: the golden parts and cameras stand ready (``opened``), the recipe is loaded
(``prepared``), an operator's words, a failure, the end."""

_EVERYWHERE: dict[Event, StateName] = {"fail": "Error", "halt": "Halted"}
_FOLLOWING: dict[tuple[StateName, Event], StateName] = {
    ("PreOperational", "opened"): "Initialized",
    ("Initialized", "prepared"): "Ready",
    ("Ready", "start"): "ContinuousExecution",
    ("ContinuousExecution", "stop"): "Ready",
    # What is asked for already holds: a controller may repeat itself.
    ("ContinuousExecution", "start"): "ContinuousExecution",
    ("Ready", "stop"): "Ready",
    # Reset takes the station out of a failure; elsewhere it only clears alarms.
    ("Error", "reset"): "Ready",
    ("Ready", "reset"): "Ready",
    ("ContinuousExecution", "reset"): "ContinuousExecution",
}


def follow(state: StateName, event: Event) -> StateName | None:
    """The state after an event; None where it does not fit the present one."""
    if state == "Halted":
        return None  # the end: whatever comes belongs to the next session
    return _EVERYWHERE.get(event) or _FOLLOWING.get((state, event))


class _States(Protocol):
    def publish_state(self, state: State) -> None: ...


class StationState:
    """Follows the state machine; any thread may move it.

    Args:
        recipe: name of the bundle at the moment.
        product: chosen at the moment, on a box with several.
    """

    def __init__(
        self,
        states: _States,
        session: str,
        recipe: Callable[[], str],
        product: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._states = states
        self._session = session
        self._recipe = recipe
        self._product = product
        self._lock = threading.Lock()
        self._now: StateName = "PreOperational"
        self._detail = "starting"
        self._degraded: tuple[str, ...] = ()
        self.publish()

    @property
    def now(self) -> StateName:
        """Present state."""
        return self._now

    @property
    def running(self) -> bool:
        """True if parts are inspected."""
        return self._now == "ContinuousExecution"

    def move(self, event: Event, detail: str) -> StateName:
        """Go on to the next state and publish it.

        Raises:
            UsageError: the event does not fit the present state.
        """
        with self._lock:
            following = follow(self._now, event)
            if following is None:
                raise UsageError(f"'{event}' does not fit the state {self._now}; wait until it is over")
            self._now, self._detail = following, detail
        self.publish()
        return following

    def degrade(self, views: tuple[str, ...]) -> None:
        """Say which views have no camera that is well; published where that is news."""
        if views != self._degraded:
            self._degraded = views
            self.publish()

    def message(self) -> State:
        """Return the present state as it is published."""
        now = self._now
        return State(
            session=self._session,
            state=now,
            detail=self._detail,
            recipe=self._recipe(),
            ready=now in ("Ready", "ContinuousExecution"),
            degraded_views=self._degraded,
            product=self._product(),
            at=utc_text(),
        )

    def publish(self) -> None:
        """Publish the state, again if another thread moves it meanwhile: the last one stays."""
        while True:
            message = self.message()
            self._states.publish_state(message)
            if (message.state, message.detail, message.degraded_views) == (
                self._now,
                self._detail,
                self._degraded,
            ):
                return

    def inspected(self, view_sets: Iterable[ViewSet], *, asked: bool) -> Iterator[ViewSet]:
        """Yield view sets as they are while running.

        While stopped, a part that the line asked about is answered, unscored, and so never OK; where the
        box itself makes the triggers, nobody waits for an answer and there is none.

        Args:
            asked: triggers come from the line.
        """
        for view_set in view_sets:
            if self.running:
                yield view_set
            elif asked:
                yield replace(view_set, fault=STOPPED, fault_code="stopped")

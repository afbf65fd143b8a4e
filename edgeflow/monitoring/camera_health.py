"""Health of the cameras, published over MQTT when it changes, with an alarm for cameras without frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from edgeflow.alarms import Alarms
from edgeflow.cameras.worker import CameraHealth
from edgeflow.clock import utc_text
from edgeflow.contracts.messages import CameraStatus

__all__ = ["CameraHealthReporter"]

PERIOD_S = 1.0


class _Capture(Protocol):
    def statuses(self) -> Mapping[str, CameraHealth]: ...


class _Link(Protocol):
    def publish_camera_status(self, status: CameraStatus) -> None: ...


class CameraHealthReporter:
    """Looks at every camera once a second and publishes ``camera/{view}/status`` on change.

    Args:
        degrade: called every time with the views whose camera is not well.
    """

    def __init__(
        self,
        capture: _Capture,
        link: _Link,
        alarms: Alarms,
        session: str,
        degrade: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._capture = capture
        self._link = link
        self._alarms = alarms
        self._session = session
        self._degrade = degrade
        self._published: dict[str, tuple[object, ...]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def __enter__(self) -> CameraHealthReporter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(PERIOD_S)

    def report(self) -> None:
        """Publish every camera whose state has changed since the last publication."""
        statuses = self._capture.statuses()
        self._degrade(tuple(view for view, health in statuses.items() if not health.well))
        for view, health in statuses.items():
            state = (health.status, health.serial, health.reconnects, health.detail)
            self._alarm(view, health)
            if self._published.get(view) == state:
                continue
            self._published[view] = state
            self._link.publish_camera_status(
                CameraStatus(
                    session=self._session,
                    view=view,
                    status=health.status,
                    serial=health.serial,
                    fps=health.fps,
                    last_frame_age_ms=health.last_frame_age_ms,
                    reconnects=health.reconnects,
                    frames_lost=health.frames_lost,
                    detail=health.detail,
                    at=utc_text(),
                )
            )

    def _alarm(self, view: str, health: CameraHealth) -> None:
        if health.well:
            self._alarms.clear("camera_stale", subject=view)
            return
        # The status has the figure, which changes all the time.
        overdue = f"camera '{view}': connected, but a frame is overdue; check its cable and trigger"
        if health.unusable:
            overdue = f"camera '{view}': connected, but its frames cannot be used: {health.unusable}"
        text = overdue if health.status == "stale" else f"camera '{view}' is offline: {health.detail}"
        self._alarms.raise_("camera_stale", "error", text, subject=view)

    def _run(self) -> None:
        self.report()
        while not self._stop.wait(PERIOD_S):
            self.report()

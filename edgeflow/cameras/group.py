"""All cameras of a box: opened together, triggered together, closed together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from edgeflow.cameras.camera import Camera, Frame
from edgeflow.cameras.worker import CameraHealth, CameraWorker
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig, CameraConfig, ReplayConfig
from edgeflow.errors import CameraError

__all__ = ["CameraGroup", "open_limit_s"]

_START_DELAY_MS = 300  # recordings that play by themselves begin when all cameras are open
_CLOSE_S = 3.0
_DRIVER_OPEN_S = 10.0

logger = logging.getLogger(__name__)


class CameraGroup:
    """Cameras of a box, one worker per view.

    Args:
        make: how a configured camera becomes one that can be opened.
        on_frame, on_lost, on_end: as of :class:`~edgeflow.cameras.worker.CameraWorker`.
    """

    def __init__(
        self,
        config: BoxConfig,
        views: Sequence[str],
        make: Callable[[str, CameraConfig], Camera],
        *,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[str, str | None], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._config = config
        self._views = tuple(views)
        self._make = make
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_end = on_end
        self._workers: dict[str, CameraWorker] = {}
        self._settings = dict(config.cameras)

    def open(self) -> None:
        """Open all cameras.

        Raises:
            CameraError: names every camera that cannot be opened, with what to check.
        """
        free = self._config.trigger.source == "free"
        epoch_ns = monotonic_ns() + (_START_DELAY_MS * 1_000_000 if free else 0)
        errors: list[CameraError] = []
        for view in self._views:
            try:
                self._start(view, epoch_ns, free_running=free)
            except CameraError as cause:
                errors.append(cause)
        deadline_ns = monotonic_ns() + round(open_limit_s(self._config) * 1e9)
        first_tries = [worker.wait_open(deadline_ns) for worker in self._workers.values()]
        errors += [error for error in first_tries if error is not None]
        _raise_any(errors, len(self._views))

    def changed(self, cameras: Mapping[str, CameraConfig]) -> dict[str, CameraConfig]:
        """Return those of some settings that the cameras do not have."""
        return {view: camera for view, camera in cameras.items() if camera != self._settings[view]}

    def configure(self, cameras: Mapping[str, CameraConfig]) -> None:
        """Open cameras again whose settings change, and wait until all of them are open.

        Raises:
            CameraError: names every camera that does not open with these settings; it is tried again.
        """
        changed = self.changed(cameras)
        deadline_ns = monotonic_ns() + round(open_limit_s(self._config) * 1e9)
        for view, camera in changed.items():
            self._settings[view] = camera
            self._workers[view].reopen(camera)
        errors = [self._workers[view].wait_open(deadline_ns) for view in changed]
        _raise_any([error for error in errors if error is not None], len(changed))

    def trigger(self, trigger_id: str) -> list[str]:
        """Trigger all cameras; return the views of those that are disconnected and will miss it."""
        return [view for view, worker in self._workers.items() if not worker.trigger(trigger_id)]

    def statuses(self) -> dict[str, CameraHealth]:
        """Return the health of every camera, by view."""
        return {view: worker.health() for view, worker in self._workers.items()}

    def close(self) -> None:
        """Release all cameras; one that hangs is left behind. Safe to call twice."""
        for worker in self._workers.values():
            worker.stop()
        deadline_ns = monotonic_ns() + round(_CLOSE_S * 1e9)
        for view, worker in self._workers.items():
            if not worker.join(max(0.0, (deadline_ns - monotonic_ns()) / 1e9)):
                logger.warning("camera '%s': hangs, and is left behind", view, extra={"camera": view})

    def _start(self, view: str, epoch_ns: int, *, free_running: bool) -> None:
        self._workers[view] = CameraWorker(
            self._make(view, self._config.cameras[view]),
            epoch_ns=epoch_ns,
            overdue_ms=self._config.trigger.timeout_ms,
            free_running=free_running,
            on_frame=self._on_frame,
            on_lost=self._on_lost,
            on_end=self._on_end,
        )
        self._workers[view].start()


def _raise_any(errors: Sequence[CameraError], count: int) -> None:
    if errors:
        raise CameraError(
            f"{len(errors)} of {count} cameras cannot be opened",
            problems=["; ".join([error.message, *error.problems]) for error in errors],
        )


def open_limit_s(config: BoxConfig) -> float:
    """Return the time limit for opening all cameras."""
    own_ms = [c.open_timeout_ms for c in config.cameras.values() if not isinstance(c, ReplayConfig)]
    return max(own_ms, default=0) / 1000 + _DRIVER_OPEN_S

"""Camera worker: a thread that reads one camera, reopens it after errors, and keeps its health."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgeflow.cameras.camera import Camera, Configurable, EndOfStream, Frame, FrameLost
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import CameraConfig
from edgeflow.errors import CameraError

__all__ = ["CameraHealth", "CameraStatusName", "CameraWorker"]

CameraStatusName = Literal["online", "offline", "stale"]

_READ_S = 0.2  # how often a thread looks whether it should stop
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 1.0  # a camera that is back delivers within 5 s, its heartbeat of 3 s included

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CameraHealth:
    """Health of one camera.

    Attributes:
        status: ``stale`` where it is connected but a frame is overdue.
        fps: over the latest frames; None where unknown or not online.
        detail: the latest problem, or why it is not online; empty where all is well.
        frames_lost: that came damaged or late and were not used, since the box started.
        unusable: why the latest frame could not be used; empty where it could.
        serial: as the camera reported when it was last open; None where it reports none.
        over: it is a recording that came to its end, which is no fault.
    """

    view: str
    status: CameraStatusName
    fps: float | None
    last_frame_age_ms: float | None
    reconnects: int
    detail: str
    serial: str | None = None
    frames_lost: int = 0
    unusable: str = ""
    over: bool = False

    @property
    def well(self) -> bool:
        """True if the camera needs no attention."""
        return self.status == "online" or self.over


class CameraWorker:
    """Runs one camera; a read that hangs holds up nothing but its own thread.

    Args:
        on_frame, on_lost, on_end: called in the worker's thread with the frame, with view and
            trigger id of a lost frame, and with the view whose recording is over.
        overdue_ms: a frame later than this makes the camera stale.
        free_running: whether frames are due without triggers.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        epoch_ns: int,
        overdue_ms: float,
        free_running: bool,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[str, str | None], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._camera = camera
        self._epoch_ns = epoch_ns
        self._overdue_ms = overdue_ms
        self._free_running = free_running
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_end = on_end
        self._stop = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.view}", daemon=True)
        self._first_error: CameraError | None = None
        self._lock = threading.Lock()  # guards everything below
        self._online = False
        self._over = False
        self._detail = "not open yet"
        self._unusable = ""
        self._opened = self._lost = 0
        self._unopened = True  # since the start, or since other settings are wanted
        self._settings: CameraConfig | None = None  # that are wanted
        self._arrivals_ns: deque[int] = deque(maxlen=16)
        self._waiting_since_ns: int | None = None

    @property
    def view(self) -> str:
        """View that the camera delivers."""
        return self._camera.view

    def start(self) -> None:
        """Begin to open the camera; returns at once."""
        self._thread.start()

    def reopen(self, settings: CameraConfig) -> None:
        """Open the camera again with other settings; returns at once, see :meth:`wait_open`."""
        with self._lock:
            self._settings = settings
            self._unopened, self._first_error = True, None
        self._tried.clear()

    def wait_open(self, deadline_ns: int) -> CameraError | None:
        """Wait for the first attempt to open, with the latest settings; return its error, or None."""
        if not self._tried.wait(max(0, deadline_ns - monotonic_ns()) / 1e9):
            return CameraError(f"camera '{self.view}': opening it hangs; check its cable and power")
        return self._first_error

    def trigger(self, trigger_id: str) -> bool:
        """Pass a software trigger on; return False where the camera is disconnected and will miss it."""
        with self._lock:
            if not self._online:
                return self._over
            if self._waiting_since_ns is None:
                self._waiting_since_ns = monotonic_ns()
        self._camera.trigger(trigger_id)
        return True

    def health(self) -> CameraHealth:
        """Return the present health of the camera."""
        now_ns = monotonic_ns()
        with self._lock:
            overdue_ms = (now_ns - (self._waiting_since_ns or now_ns)) / 1e6
            stale = self._online and overdue_ms > self._overdue_ms
            arrivals = self._arrivals_ns
            spread_ns = arrivals[-1] - arrivals[0] if arrivals else 0
            detail = self._detail
            if stale:
                limit = f"(limit {self._overdue_ms:g})"
                advice = self._unusable or "check the camera's cable and trigger"
                detail = f"no usable frame for {overdue_ms:.0f} ms {limit}; {advice}"
            return CameraHealth(
                view=self.view,
                status="stale" if stale else "online" if self._online else "offline",
                fps=(len(arrivals) - 1) * 1e9 / spread_ns
                if spread_ns and self._online and not stale
                else None,
                last_frame_age_ms=(now_ns - arrivals[-1]) / 1e6 if arrivals else None,
                reconnects=max(0, self._opened - 1),
                detail=detail,
                serial=self._camera.serial,
                frames_lost=self._lost,
                unusable=self._unusable,
                over=self._over,
            )

    def stop(self) -> None:
        """Request the end of the thread; returns at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return False where its camera hangs (the thread is then left behind)."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stop.is_set():
            frames_came = False
            try:
                self._take_settings()
                self._camera.open(self._epoch_ns)
                self._went_online()
                for frame in iter(self._read, None):
                    frames_came = True
                    self._on_frame(frame)
            except EndOfStream:
                self._over = True
                self._went_offline("the recording is over")
                self._on_end(self.view)
                return
            except CameraError as cause:
                self._failed(cause)
            except Exception as cause:
                logger.exception(
                    "camera '%s': its driver failed", self.view, extra=self._fields("driver_failed")
                )
                self._failed(CameraError(f"camera '{self.view}': its driver failed: {cause!r}"))
            finally:
                self._camera.close()
            pause_s = _FIRST_PAUSE_S if frames_came else pause_s
            if self._settings is not None:
                self._went_offline("it is opened again with other settings")
                continue
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _read(self) -> Frame | None:
        """The next frame; None when the thread is to stop, or to open the camera with other settings."""
        while not self._stop.is_set() and self._settings is None:
            try:
                frame = self._camera.read(_READ_S)
            except FrameLost as cause:
                if str(cause) != self._detail:  # not again and again while nothing changes
                    logger.warning("%s", cause, extra=self._fields("frame_lost"))
                self._frame_lost(str(cause), of_trigger=cause.trigger_id is not None)
                self._on_lost(self.view, cause.trigger_id)
                continue
            if frame is not None:
                self._frame_came()
                return frame
        return None

    def _frame_came(self) -> None:
        with self._lock:
            now_ns = monotonic_ns()
            self._arrivals_ns.append(now_ns)
            self._waiting_since_ns = now_ns if self._free_running else None
            self._detail = self._unusable = ""

    def _frame_lost(self, detail: str, *, of_trigger: bool) -> None:
        """A frame that cannot be used; of a camera that runs by itself, one that can be is still due."""
        with self._lock:
            self._lost += 1
            self._detail = self._unusable = detail
            if of_trigger:
                self._waiting_since_ns = None

    def _fields(self, event: str) -> dict[str, str]:
        """Fields of the log."""
        return {"event": event, "camera": self.view}

    def _went_online(self) -> None:
        with self._lock:
            self._online = True
            self._detail = ""
            self._opened += 1
            self._unopened = False
            self._waiting_since_ns = monotonic_ns() if self._free_running else None
        self._tell_tried()

    def _failed(self, cause: CameraError) -> None:
        if str(cause) != self._detail:  # not again and again while it stays away
            logger.warning("%s", cause, extra=self._fields("camera_failed"))
        if self._unopened:
            self._first_error = cause
        self._went_offline(str(cause))
        self._tell_tried()

    def _take_settings(self) -> None:
        with self._lock:
            settings, self._settings = self._settings, None
        if settings is not None:
            if not isinstance(self._camera, Configurable):
                raise CameraError(f"camera '{self.view}': takes no other settings while the box runs")
            self._camera.configure(settings)

    def _tell_tried(self) -> None:
        with self._lock:
            if self._settings is None:  # else it was tried with the settings before
                self._tried.set()

    def _went_offline(self, detail: str) -> None:
        with self._lock:
            self._online = False
            self._detail = detail
            self._arrivals_ns.clear()

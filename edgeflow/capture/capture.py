"""Cameras, triggers and synchronizer of one box: one view set for every trigger, in order."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType

from edgeflow.alarms import Alarms
from edgeflow.cameras.camera import LOOK, Camera, Frame
from edgeflow.cameras.drivers import make_camera
from edgeflow.cameras.group import CameraGroup
from edgeflow.cameras.worker import CameraHealth
from edgeflow.capture.assembler import Assembler
from edgeflow.capture.events import (
    CaptureEvent,
    FrameCame,
    FrameLost,
    PartDecided,
    RecordingEnded,
    StopRequested,
    TriggerGiven,
    TriggerRefused,
)
from edgeflow.capture.first_frames import FirstFrames
from edgeflow.capture.part_product import ProductTimeline
from edgeflow.capture.reconciliation import Tally
from edgeflow.capture.sync_monitor import SyncMonitor
from edgeflow.capture.synchronizer import Synchronizer, SyncMode
from edgeflow.capture.trigger_messages.mqtt_triggers import MqttTriggers
from edgeflow.capture.triggers import IntervalSource, Trigger
from edgeflow.capture.view_set import ViewSet
from edgeflow.capture.view_set_queue import ViewSetQueue
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig, CameraConfig, ReplayConfig
from edgeflow.config.camera_views import check_views
from edgeflow.thread_activity import waiting, working

__all__ = ["Capture", "late_message_ms", "make_synchronizer"]

_WAITING_SETS = 2  # with images
_WAITING_FREE = 1  # the same of cameras that run by themselves: the first image of a set is old by then
_WAITING_EVENTS = 64  # frames beyond are not taken in: the synchronizer is far faster than cameras
_CLOSE_S = 3.0
_TURN_S = 1.0  # of the part loop, where no part comes
_SILENT_S = 10.0  # without a sign of life the synchronizer hangs

logger = logging.getLogger(__name__)


class Capture:
    """Cameras, triggers and synchronizer of one box; a context manager that opens all cameras.

    Every trigger comes out as exactly one view set, also when scoring is too slow: then the oldest
    waiting set comes out without its images, with fault ``OVERRUN``. This holds for recordings
    too: a ``period_ms`` shorter than scoring takes overruns, and a longer one inspects every part.

    Args:
        views: the bundle's views, in order.
        session: makes trigger ids unique.
        messages: the line's triggers, where the box file says that they come over MQTT.
        alarms: raised where triggers, frames and results disagree.
        products: that were chosen for parts whose triggers name none; None: the box has one bundle.
        make: how a configured camera becomes one that can be opened.

    Raises:
        ConfigError: cameras and views do not agree.
    """

    def __init__(
        self,
        config: BoxConfig,
        views: Sequence[str],
        session: str,
        *,
        messages: MqttTriggers | None = None,
        alarms: Alarms | None = None,
        products: ProductTimeline | None = None,
        make: Callable[[str, CameraConfig], Camera] = make_camera,
    ) -> None:
        check_views(config, views)
        self._config = config
        self._views = tuple(views)
        self._free = config.trigger.source == "free"
        self._messages = messages
        self._products = products
        self._monitor = SyncMonitor(config, views, alarms)
        synchronizer = make_synchronizer(config, views, session, products)
        self._assembler = Assembler(synchronizer, self._monitor, views)
        self._cameras = CameraGroup(
            config, views, make, on_frame=self._on_frame, on_lost=self._on_lost, on_end=self._on_end
        )
        self._source = (
            IntervalSource(period_ms=period_ms, session=session, on_trigger=self._on_trigger)
            if (period_ms := config.trigger.period_ms) is not None
            else None
        )
        # Applied by one thread in the order of their coming.
        self._events: queue.SimpleQueue[CaptureEvent] = queue.SimpleQueue()
        self._ready = ViewSetQueue(_WAITING_FREE if self._free else _WAITING_SETS)
        self._thread = threading.Thread(target=self._assemble, name="synchronizer", daemon=True)
        self._first_frames = FirstFrames()
        self._under_way: dict[str, None] = {}  # the line's triggers that have no decision yet
        self._started = False  # somebody waits for view sets
        self._stopping = False  # no new triggers
        self._closed = False

    def __enter__(self) -> Capture:
        """Open all cameras.

        Raises:
            CameraError: names every camera that cannot be opened, with what to check.
        """
        try:
            self._cameras.open()
        except BaseException:
            self.close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look(self, timeout_s: float) -> dict[str, Frame]:
        """Return frames from before the start of the line, view → frame; none of them belongs to a part.

        Cameras with a trigger line of their own give nothing until it pulses, and recordings that play by
        themselves are not looked at, since this would cost their first parts.
        """
        if any(isinstance(c, ReplayConfig) and c.by_itself for c in self._config.cameras.values()):
            return {}
        if self._config.trigger.source in ("interval", "mqtt"):
            self._cameras.trigger(LOOK)
        return self._first_frames.wait(len(self._views), timeout_s)

    def view_sets(self, turn: Callable[[], None] = lambda: None) -> Iterator[ViewSet]:
        """Return the view sets in order, from this call on: earlier frames belong to no part.

        Ends when all cameras reached the end of their recordings, or after ``stop``; everything
        that was triggered comes out before.

        Args:
            turn: called by whoever takes view sets before each one, and every second while none comes.
        """
        if not self._started:
            self._started = True
            self._first_frames.clear()
            if self._source is not None:
                self._source.start()
            if self._messages is not None:
                self._messages.start(self._on_message, self._on_refused, lambda: len(self._under_way))
        return self._taken(turn)

    def stop(self) -> None:
        """Give no new triggers; ``view_sets`` ends when everything in flight has come out.

        May be called from a signal handler: it takes no lock and returns at once.
        """
        self._stopping = True
        self._events.put(StopRequested())

    def statuses(self) -> dict[str, CameraHealth]:
        """Return the health of every camera, by view."""
        return self._cameras.statuses()

    def tally(self) -> Tally:
        """Return the counts of triggers, frames and results."""
        return self._monitor.tally()

    def latencies_ms(self) -> dict[str, float]:
        """Return view → time of its latest images from exposure to arrival, where the camera has a clock."""
        return self._monitor.latencies_ms()

    def changed_cameras(self, cameras: Mapping[str, CameraConfig]) -> dict[str, CameraConfig]:
        """Return those of some settings that the cameras do not have, by view."""
        return self._cameras.changed(cameras)

    def configure_cameras(self, cameras: Mapping[str, CameraConfig]) -> None:
        """Open cameras again whose settings change, and wait for them; parts meanwhile lack their views.

        Raises:
            CameraError: names every camera that does not open with these settings.
        """
        self._cameras.configure(cameras)

    def close(self) -> None:
        """Release all cameras; one that hangs is left behind. Safe to call twice."""
        self._stopping = self._closed = True
        self._stop_sources()
        self._cameras.close()
        self._events.put(StopRequested())
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)
        self._ready.finish(None)

    def _taken(self, turn: Callable[[], None]) -> Iterator[ViewSet]:
        while True:
            turn()
            if not self._ready.wait(_TURN_S):
                continue
            if (view_set := self._ready.take()) is None:
                return
            yield view_set
            self._under_way.pop(view_set.trigger_id, None)
            self._events.put(PartDecided())

    def _on_trigger(self, trigger: Trigger) -> None:
        if self._no_new_triggers:
            return
        self._events.put(TriggerGiven(trigger=trigger))  # known before its frames come
        for view in self._cameras.trigger(trigger.trigger_id):
            self._on_lost(view, trigger.trigger_id)

    def _on_message(self, trigger: Trigger) -> None:
        """Take a trigger of the line, and give it to cameras without a trigger line of their own."""
        self._under_way[trigger.trigger_id] = None
        if self._config.trigger.source == "mqtt":
            self._on_trigger(trigger)
        elif not self._no_new_triggers:
            self._events.put(TriggerGiven(trigger=trigger))

    def _on_refused(self, trigger: Trigger, why: str) -> None:
        if not self._no_new_triggers:
            self._under_way[trigger.trigger_id] = None
            self._events.put(TriggerRefused(trigger=trigger, fault=why))

    @property
    def _no_new_triggers(self) -> bool:
        return self._stopping or self._assembler.finishing

    def _on_frame(self, frame: Frame) -> None:
        arrived_ns = monotonic_ns()
        for_part = self._started and frame.trigger_id != LOOK
        if self._events.qsize() < _WAITING_EVENTS:
            self._events.put(FrameCame(frame=frame, arrived_ns=arrived_ns, for_part=for_part))
        if not self._started:
            self._first_frames.add(frame)

    def _on_lost(self, view: str, trigger_id: str | None) -> None:
        self._events.put(FrameLost(view=view, trigger_id=trigger_id))

    def _on_end(self, view: str) -> None:
        self._events.put(RecordingEnded(view=view))

    def _stop_sources(self) -> None:
        if self._source is not None:
            self._source.stop()
        if self._messages is not None:
            self._messages.stop()

    def _assemble(self) -> None:
        error: Exception | None = None
        try:
            while not self._is_done():
                for view_set in self._settle():
                    self._ready.put(self._with_product(view_set))
        except Exception as cause:
            logger.exception("the synchronizer failed")
            error = cause
        self._ready.finish(error)

    def _settle(self) -> list[ViewSet]:
        """Wait for the next event or expiry, whichever comes first."""
        expiry_ns = self._assembler.next_expiry_ns()
        timeout_s = None if expiry_ns is None else max(0, expiry_ns - monotonic_ns()) / 1e9
        try:
            waiting()
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return self._assembler.expire(monotonic_ns())
        working(_SILENT_S)
        if isinstance(event, TriggerGiven):
            self._ready.make_room()
        finishing_before = self._assembler.finishing
        view_sets = self._assembler.apply(event, monotonic_ns())
        if self._assembler.finishing and not finishing_before:
            self._stop_sources()  # what they triggered before is in the queue now
        return view_sets

    def _with_product(self, view_set: ViewSet) -> ViewSet:
        """The part with its product: its trigger's own, else the one chosen at its trigger."""
        if self._products is None or view_set.product is not None:
            return view_set
        return replace(view_set, product=self._products.at(view_set.triggered_ns))

    def _is_done(self) -> bool:
        if not self._assembler.finishing:
            return False
        if self._closed or (self._free and self._stopping):
            return True  # single frames of free-running cameras are no part yet
        return self._assembler.next_expiry_ns() is None and self._events.empty()


def make_synchronizer(
    config: BoxConfig, views: Sequence[str], session: str, products: ProductTimeline | None = None
) -> Synchronizer:
    """Return the synchronizer that a box file describes.

    Args:
        products: whose bundles have views of their own; None: every part has all views.
    """
    trigger, sync = config.trigger, config.sync
    modes: dict[str, SyncMode] = {"free": "free", "hardware": "hardware"}
    return Synchronizer(
        views,
        max_skew_ms=sync.max_skew_ms,
        timeout_ms=trigger.timeout_ms,
        mode=modes.get(trigger.source, "triggered"),
        session=session,
        window_ms=sync.window_ms,
        frame_delay_ms=sync.frame_delay_ms,
        announce_ms=trigger.part_id_window_ms,
        transfer_ms=sync.transfer_ms,
        min_period_ms=trigger.min_period_ms,
        own_views=None if products is None else products.views,
    )


def late_message_ms(config: BoxConfig) -> float:
    """Return the longest delay of a trigger message, half of the time that separates two parts."""
    least_ms = config.trigger.min_period_ms
    window_ms = config.sync.window_ms or config.trigger.timeout_ms
    return min(window_ms, least_ms or window_ms) / 2

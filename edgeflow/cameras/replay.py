"""Recorded parts played as a camera: one view's images, part after part."""

from __future__ import annotations

import queue
import time
from itertools import pairwise

from edgeflow.cameras.camera import LOOK, EndOfStream, Frame, FrameLost
from edgeflow.cameras.pacing import Pace, Pacing, RecordedPace
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import CameraConfig, ReplayConfig
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.datasets.recording import read_recording
from edgeflow.contracts.images import Reading, RgbImage, read_image
from edgeflow.errors import CameraError, DataError

__all__ = ["ReplayCamera"]


class ReplayCamera:
    """Plays the images of one view; closed and opened again, it goes on where it was.

    Without ``rate_hz`` every software trigger delivers the next part. With it, or in the rhythm of
    ``recorded_timing``, frames come by themselves, in step with all cameras of the same epoch, and a
    slow reader misses some.
    """

    def __init__(self, view: str, config: ReplayConfig) -> None:
        self._view = view
        self.configure(config)
        self._decoded: tuple[int, RgbImage | DataError] | None = None
        self._pace: Pacing | None = None
        self._triggers: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def configure(self, config: CameraConfig) -> None:
        """Take another recording, from its beginning.

        Raises:
            TypeError: settings of another kind of camera.
        """
        if not isinstance(config, ReplayConfig):
            raise TypeError(f"a recording takes no settings of kind {config.kind}")
        self._config = config
        self._recorded_view = config.view or self._view
        self._reading = Reading(bits=config.bits, orientation=config.orientation or "followed")
        self._parts: tuple[RecordedPart, ...] = ()
        self._next = 0

    @property
    def view(self) -> str:
        """View that the camera delivers."""
        return self._view

    @property
    def serial(self) -> None:
        """A recording has none."""

    def open(self, epoch_ns: int) -> None:
        """Find the recorded parts.

        Raises:
            CameraError: no such folder, or a part without this view.
        """
        try:
            if not self._parts:
                self._parts = find_parts(self._config.parts, views=(self._recorded_view,))
            self._pace = self._pacing(epoch_ns)
        except DataError as cause:
            raise CameraError(
                f"camera '{self._view}': {cause.message}; check cameras.{self._view}.parts and .view",
                problems=cause.problems,
            ) from cause

    def trigger(self, trigger_id: str) -> None:
        """Request the next part's image; a paced camera ignores it."""
        if not self._config.by_itself:
            self._triggers.put((trigger_id, monotonic_ns()))

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None when none was triggered, or due, within the timeout.

        Raises:
            FrameLost: this part's image cannot be read; names the file.
            CameraError: not open.
            EndOfStream: all parts were played.
        """
        if not self._parts:
            raise CameraError(f"camera '{self._view}': read before it was opened")
        return self._triggered(timeout_s) if self._pace is None else self._paced(self._pace, timeout_s)

    def close(self) -> None:
        """Drop the image that was read in advance."""
        self._decoded = None

    def _pacing(self, epoch_ns: int) -> Pacing | None:
        if self._config.rate_hz is not None:
            return Pace(epoch_ns=epoch_ns, rate_hz=self._config.rate_hz)
        if not self._config.recorded_timing:
            return None
        timing = read_recording(self._config.parts)
        untimed = [part.part_id for part in self._parts if part.part_id not in timing]
        untimed += [p for p, t in timing.items() if self._recorded_view not in t.frames]
        if untimed:
            raise DataError(f"{self._config.parts}: no recorded timing of part {', '.join(untimed[:5])}")
        own = [timing[part.part_id] for part in self._parts]
        offsets_ns = [round(each.frames[self._recorded_view].at_ms * 1e6) for each in own]
        if any(later <= earlier for earlier, later in pairwise(offsets_ns)):
            raise DataError(
                f"{self._config.parts}: recorded more than once; its timing starts anew in between"
            )
        # All views share the triggers' rhythm, so that they stay in step from one pass to the next.
        started_ms, ended_ms = own[0].triggered_at_ms, own[-1].triggered_at_ms
        usual_ms = (ended_ms - started_ms) / max(1, len(own) - 1) or 1000.0
        span_ns = round((ended_ms - started_ms + usual_ms) * 1e6)
        return RecordedPace(epoch_ns=epoch_ns, offsets_ns=offsets_ns, span_ns=span_ns)

    def _triggered(self, timeout_s: float) -> Frame | None:
        decoded = self._decode(self._next)  # before the trigger comes, so as not to delay it
        try:
            trigger_id, at_ns = self._triggers.get(timeout=timeout_s)
        except queue.Empty:
            return None
        return self._deliver(self._next, decoded, at_ns, trigger_id)

    def _paced(self, pace: Pacing, timeout_s: float) -> Frame | None:
        until_ns = monotonic_ns() + round(timeout_s * 1e9)
        number = max(self._next, pace.current(monotonic_ns()))
        decoded = self._decode(number)
        due_ns = pace.due_ns(number)
        time.sleep(max(0, min(due_ns, until_ns) - monotonic_ns()) / 1e9)
        return self._deliver(number, decoded, due_ns, None) if due_ns <= until_ns else None

    def _decode(self, number: int) -> RgbImage | DataError:
        """Return the image of a frame, decoded once; or the reason why there is none."""
        if number >= len(self._parts) and not self._config.loop:
            raise EndOfStream
        if self._decoded is not None and self._decoded[0] == number:
            return self._decoded[1]
        try:
            image: RgbImage | DataError = read_image(
                self._part(number).images[self._recorded_view], self._reading
            )
        except DataError as cause:
            image = cause
        self._decoded = number, image
        return image

    def _deliver(
        self, number: int, decoded: RgbImage | DataError, captured_ns: int, trigger_id: str | None
    ) -> Frame:
        if trigger_id != LOOK:
            self._next = number + 1
            self._decoded = None
        part_id = self._part(number).part_id
        if isinstance(decoded, DataError):
            message = f"camera '{self._view}': no image of part '{part_id}': {decoded}"
            raise FrameLost(message, trigger_id=trigger_id) from decoded
        return Frame(
            view=self._view,
            image=decoded,
            captured_ns=captured_ns,
            frame_id=number,
            trigger_id=trigger_id,
            part_id=part_id,
        )

    def _part(self, number: int) -> RecordedPart:
        return self._parts[number % len(self._parts)]

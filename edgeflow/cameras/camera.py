"""Frame and camera: the interface of all drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgeflow.config.box import CameraConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.errors import CameraError

__all__ = ["LOOK", "Camera", "Configurable", "EndOfStream", "Frame", "FrameLost"]

LOOK = "look"
"""Trigger id of an image that is of no part: a recording shows where it is, and stays there."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image of one view.

    Attributes:
        image: uint8 (H, W, 3), red first.
        captured_ns: monotonic stamp, as near to the exposure as the driver allows.
        frame_id: the camera's own counter, from 0.
        trigger_id: the trigger that caused it, where the camera knows.
        part_id: the recorded part, for replayed frames.
        counter: the number that the camera itself gave the frame, as it came over the wire: it wraps
            after ``counter_bits`` bits and starts anew when the camera does.
        counter_bits: 16 for GigE Vision, 64 for USB3 Vision; 0 where there is no such counter.
        device_ns: the camera's own clock at the exposure; its zero is the camera's affair.
        unsure_ns: how far the exposure may be from ``captured_ns``, before or after it. None with
            ``device_ns``: nothing compares the camera's clock with the computer's, so that it may have been
            any time before ``captured_ns``.
    """

    view: str
    image: RgbImage
    captured_ns: int
    frame_id: int
    trigger_id: str | None = None
    part_id: str | None = None
    counter: int | None = None
    counter_bits: int = 0
    device_ns: int | None = None
    unsure_ns: int | None = None


class EndOfStream(Exception):  # noqa: N818 - an event, not an error
    """A recording has been played to its end."""


class FrameLost(CameraError):  # noqa: N818 - says what was lost
    """One frame cannot be used, but the camera itself is well and goes on without being reopened."""

    def __init__(self, message: str, *, trigger_id: str | None = None) -> None:
        super().__init__(message)
        self.trigger_id = trigger_id


@runtime_checkable
class Configurable(Protocol):
    """A camera that takes other settings while it is closed."""

    def configure(self, config: CameraConfig) -> None:
        """Take other settings of the same camera; they count from the next ``open`` on."""


class Camera(Protocol):
    """A source of frames; ``trigger`` may be called from another thread than the rest."""

    @property
    def view(self) -> str:
        """View that the camera delivers."""

    @property
    def serial(self) -> str | None:
        """Serial number of the open camera; None where the camera does not report one."""

    def open(self, epoch_ns: int) -> None:
        """Connect and prepare; ``epoch_ns`` (monotonic) is the common start of paced sources.

        Raises:
            CameraError: says which camera, what happened, and what to check.
        """

    def trigger(self, trigger_id: str) -> None:
        """Give a software trigger; returns at once. Free-running cameras ignore it."""

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, in order, or None when none came within the timeout.

        Raises:
            FrameLost: this frame cannot be used; the next call goes on with the next one.
            CameraError: the camera failed; the caller closes and reopens it.
            EndOfStream: a recording is over.
        """

    def close(self) -> None:
        """Release everything; safe to call twice, or without ``open``."""

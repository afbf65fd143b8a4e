"""Events of capture: everything that the assembler's thread learns of triggers, cameras and decisions."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow.cameras.camera import Frame
from edgeflow.capture.triggers import Trigger

__all__ = [
    "CaptureEvent",
    "FrameCame",
    "FrameLost",
    "PartDecided",
    "RecordingEnded",
    "StopRequested",
    "TriggerGiven",
    "TriggerRefused",
]


@dataclass(frozen=True, kw_only=True)
class TriggerGiven:
    """A part begins; its frames come later."""

    trigger: Trigger


@dataclass(frozen=True, kw_only=True)
class TriggerRefused:
    """A trigger must not be acted upon; its part gets a view set without frames.

    Attributes:
        fault: the reason, for the part's result.
    """

    trigger: Trigger
    fault: str


@dataclass(frozen=True, kw_only=True)
class FrameCame:
    """A camera delivered a frame.

    Attributes:
        arrived_ns: monotonic.
        for_part: False for frames from before the start of the line, which belong to no part.
    """

    frame: Frame
    arrived_ns: int
    for_part: bool


@dataclass(frozen=True, kw_only=True)
class FrameLost:
    """A camera will not deliver a frame for a trigger; the id is None where the camera does not know it."""

    view: str
    trigger_id: str | None


@dataclass(frozen=True, kw_only=True)
class RecordingEnded:
    """A camera that plays a recording has reached its end."""

    view: str


@dataclass(frozen=True, kw_only=True)
class PartDecided:
    """The consumer of view sets has finished one of them."""


@dataclass(frozen=True, kw_only=True)
class StopRequested:
    """No new triggers; what is in flight still comes out."""


CaptureEvent = (
    TriggerGiven | TriggerRefused | FrameCame | FrameLost | RecordingEnded | PartDecided | StopRequested
)

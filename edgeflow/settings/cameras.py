"""The cameras of a box file: one model per kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgeflow.contracts.document import Document, Text
from edgeflow.contracts.manifest import ViewId
from edgeflow.settings.units import Milliseconds

__all__ = ["CameraConfig", "OpenCvConfig", "ReplayConfig"]

FourCc = Annotated[str, Text(pattern=r"^[A-Za-z0-9]{4}$", words="4 letters or digits such as MJPG")]


class ReplayConfig(Document):
    """Recorded parts played as a camera: the images of one view, part after part."""

    kind: Literal["replay"]
    parts: Path = Field(description="Real-IAD layout, or one folder per part")
    view: ViewId | None = Field(default=None, description="the view's name in the recording, if another")
    rate_hz: float | None = Field(default=None, gt=0, le=1000, description="with trigger source free")
    loop: bool = False


class OpenCvConfig(Document):
    """A camera read through OpenCV: a device, a video file or a network stream."""

    kind: Literal["opencv"]
    source: str = Field(min_length=1, description="/dev/v4l/by-id/…, a file, or a URL such as rtsp://…")
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    fps: float | None = Field(default=None, gt=0)
    fourcc: FourCc | None = None
    open_timeout_ms: Milliseconds = 5000
    read_timeout_ms: Milliseconds = 2000
    loop: bool = Field(default=False, description="start a file again at its end")


CameraConfig = Annotated[ReplayConfig | OpenCvConfig, Field(discriminator="kind")]

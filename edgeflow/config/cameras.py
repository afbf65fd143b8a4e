"""The cameras of a box file: one model per kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.config.units import Milliseconds
from edgeflow.contracts.documents.document import Document, Text
from edgeflow.contracts.manifest import ViewId

__all__ = [
    "CameraConfig",
    "FileConfig",
    "GenicamConfig",
    "ReplayConfig",
    "RtspConfig",
    "StreamTls",
    "V4l2Config",
]

FourCc = Annotated[str, Text(pattern=r"^[A-Za-z0-9]{4}$", words="4 letters or digits such as MJPG")]
DevicePath = Annotated[
    str,
    Text(
        # A bare index, or /dev/videoN, is another camera after the next plug or boot.
        pattern=r"^/dev/(v4l/by-|edgeflow/|[^v]|v[^i])[\w./:+@-]*$",
        words="a path that stays: /dev/v4l/by-id/… (ls /dev/v4l/by-id), or /dev/edgeflow/… from udev rules",
    ),
]
StreamUrl = Annotated[
    str,
    Text(
        pattern=r"^(rtsps?|https?)://[^\s/?#]+([/?#]\S*)?$", words="a URL such as rtsp://10.0.20.11/stream1"
    ),
]
FeatureName = Annotated[
    str, Text(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$", words="a GenICam name such as Line1")
]


StreamOrientation = Annotated[
    Literal["followed", "ignored"] | None,
    Field(
        description="whether pictures are turned as the stream says; default: followed, but ignored with a "
        "bundle whose manifest is older than 1.4"
    ),
]


class ReplayConfig(Document):
    """Recorded parts played as a camera: the images of one view, part after part."""

    kind: Literal["replay"]
    parts: Path = Field(description="Real-IAD layout, or one folder per part")
    view: ViewId | None = Field(default=None, description="the view's name in the recording, if another")
    rate_hz: float | None = Field(default=None, gt=0, le=1000, description="with trigger source free")
    recorded_timing: bool = Field(
        default=False, description="in the rhythm that 'edgeflow record' noted, instead of rate_hz"
    )
    loop: bool = False
    bits: int | None = Field(
        default=None, ge=8, le=16, description="significant bits of deeper files; default: the bundle's"
    )
    orientation: Literal["followed", "ignored", "refused"] | None = Field(
        default=None,
        description="of files that are to be turned; default: followed, but refused with a bundle whose "
        "manifest is older than 1.4",
    )

    @model_validator(mode="after")
    def _one_rhythm(self) -> ReplayConfig:
        if self.recorded_timing and self.rate_hz is not None:
            raise ValueError("rate_hz and recorded_timing exclude each other")
        return self

    @property
    def by_itself(self) -> bool:
        """Whether its frames come without a trigger."""
        return self.recorded_timing or self.rate_hz is not None


class _Timeouts(Document):
    """How long a driver may take; a driver that does not come back by itself is killed a little later."""

    open_timeout_ms: Milliseconds = 5000
    read_timeout_ms: Milliseconds = Field(
        default=2000, description="without a frame that is due; then the camera is reopened"
    )


class V4l2Config(_Timeouts):
    """A USB camera at a device path that stays; what is given here is set, locked and read back."""

    kind: Literal["v4l2"]
    device: DevicePath
    fourcc: FourCc | None = None
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    fps: float | None = Field(default=None, gt=0)
    exposure_us: float | None = Field(default=None, gt=0, description="turns automatic exposure off")
    gain: float | None = Field(default=None, ge=0, description="in the driver's own unit")
    white_balance_k: float | None = Field(default=None, gt=0, description="turns automatic balance off")


class StreamTls(Document):
    """How the certificate of an encrypted stream is verified."""

    ca: Path | None = Field(
        default=None, description="certificates of the authorities that are trusted (default: the system's)"
    )
    insecure_skip_verify: bool = Field(
        default=False, description="talk, password included, to whoever answers at the address"
    )

    @model_validator(mode="after")
    def _one_way(self) -> StreamTls:
        if self.insecure_skip_verify and self.ca is not None:
            raise ValueError("ca and insecure_skip_verify exclude each other")
        return self


class RtspConfig(_Timeouts):
    """A network stream: RTSP, or MJPEG over HTTP; of ``rtsps`` and ``https`` the certificate is verified."""

    kind: Literal["rtsp"]
    url: StreamUrl
    transport: Literal["tcp", "udp"] = "tcp"
    username: str | None = Field(default=None, min_length=1)
    password_file: Path | None = None
    tls: StreamTls = Field(default_factory=StreamTls, description="with rtsps and https")
    stamps: Literal["stream", "arrival"] = Field(
        default="stream",
        description="arrival: the camera's own time is not to be used, since it does not keep step",
    )
    max_late_ms: Milliseconds = Field(
        default=500, description="pictures whose way took longer than usual by this are not used"
    )
    orientation: StreamOrientation = None

    @property
    def encrypted(self) -> bool:
        """Whether the camera has to show a certificate."""
        return self.url.startswith(("rtsps:", "https:"))

    @model_validator(mode="after")
    def _certificates_belong_to_encryption(self) -> RtspConfig:
        if self.tls != StreamTls() and not self.encrypted:
            raise ValueError("tls goes with a url that begins with rtsps or https")
        return self

    @model_validator(mode="after")
    def _user_and_password(self) -> RtspConfig:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together")
        return self


class FileConfig(_Timeouts):
    """A video file played at its own rate."""

    kind: Literal["file"]
    path: Path
    loop: bool = Field(default=False, description="start again at its end")
    orientation: StreamOrientation = None


class GenicamConfig(_Timeouts):
    """A GigE Vision or USB3 Vision camera through Aravis.

    Without ``trigger_line`` and ``free_running`` every software trigger takes one image.
    """

    kind: Literal["genicam"]
    serial: str | None = Field(default=None, min_length=1, description="as printed on the camera")
    address: str | None = Field(default=None, min_length=1, description="IP address, instead of the serial")
    features: Path | None = Field(default=None, description="YAML of GenICam features, applied in its order")
    trigger_line: FeatureName | None = Field(default=None, description="hardware trigger, such as Line1")
    trigger_activation: Literal["RisingEdge", "FallingEdge"] = "RisingEdge"
    free_running: bool = Field(default=False, description="for trigger source free")
    packet_size: int | Literal["auto"] | None = Field(
        default=None, description="bytes with headers; auto: the largest that the network carries"
    )
    packet_delay_ns: int | None = Field(default=None, ge=0, description="between packets, so that 5 fit")

    @model_validator(mode="after")
    def _identity_and_trigger(self) -> GenicamConfig:
        if (self.serial is None) == (self.address is None):
            raise ValueError("give either serial or address")
        if self.free_running and self.trigger_line is not None:
            raise ValueError("free_running and trigger_line exclude each other")
        return self


CameraConfig = Annotated[
    ReplayConfig | V4l2Config | RtspConfig | FileConfig | GenicamConfig, Field(discriminator="kind")
]

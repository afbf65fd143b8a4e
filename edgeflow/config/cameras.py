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

    kind: Literal["replay"] = Field(description="a recording instead of a camera")
    parts: Path = Field(description="folder of recorded parts: Real-IAD layout, or one folder per part")
    view: ViewId | None = Field(
        default=None, description="the view's name in the recording; default: the name of this camera"
    )
    rate_hz: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="images per second without a trigger; required with trigger source free or hardware, "
        "unless recorded_timing is set",
    )
    recorded_timing: bool = Field(
        default=False, description="play with the times that 'edgeflow record' noted, instead of rate_hz"
    )
    loop: bool = Field(
        default=False, description="start again after the last part; default: the box stops there"
    )
    bits: int | None = Field(
        default=None,
        ge=8,
        le=16,
        description="significant bits of image files with more than 8; default: the bundle's",
    )
    orientation: Literal["followed", "ignored", "refused"] | None = Field(
        default=None,
        description="files whose EXIF data asks for a turn: turned (followed), not turned (ignored) or "
        "refused; default: followed, but refused with a bundle whose manifest is older than "
        "1.4",
    )

    @model_validator(mode="after")
    def _one_rhythm(self) -> ReplayConfig:
        if self.recorded_timing and self.rate_hz is not None:
            raise ValueError("rate_hz and recorded_timing exclude each other")
        return self

    @property
    def by_itself(self) -> bool:
        """True if its frames come without a trigger."""
        return self.recorded_timing or self.rate_hz is not None


class _Timeouts(Document):
    """Time limits of a driver; one that does not return by itself is killed a little later."""

    open_timeout_ms: Milliseconds = Field(
        default=5000, description="milliseconds in which the camera must open; its driver is then restarted"
    )
    read_timeout_ms: Milliseconds = Field(
        default=2000, description="milliseconds that a due frame may take; the camera is then opened again"
    )


class V4l2Config(_Timeouts):
    """A USB camera at a device path that stays; what is given here is set, locked and read back."""

    kind: Literal["v4l2"] = Field(description="a USB camera (Video4Linux)")
    device: DevicePath = Field(description="device path that stays the same after replugging and restarting")
    fourcc: FourCc | None = Field(
        default=None, description="pixel format as four characters; default: the camera's current one"
    )
    width: int | None = Field(
        default=None, gt=0, description="image width in pixels; default: the camera's current one"
    )
    height: int | None = Field(
        default=None, gt=0, description="image height in pixels; default: the camera's current one"
    )
    fps: float | None = Field(
        default=None, gt=0, description="frames per second; default: the camera's current rate"
    )
    exposure_us: float | None = Field(
        default=None, gt=0, description="exposure in microseconds; turns automatic exposure off"
    )
    gain: float | None = Field(
        default=None, ge=0, description="gain in the driver's own unit; default: not set"
    )
    white_balance_k: float | None = Field(
        default=None, gt=0, description="colour temperature in kelvin; turns automatic white balance off"
    )


class StreamTls(Document):
    """Verification of an encrypted stream's certificate."""

    ca: Path | None = Field(
        default=None, description="file with the certificates of trusted authorities; default: the system's"
    )
    insecure_skip_verify: bool = Field(
        default=False,
        description="accept any certificate; whoever answers at the address receives the password",
    )

    @model_validator(mode="after")
    def _one_way(self) -> StreamTls:
        if self.insecure_skip_verify and self.ca is not None:
            raise ValueError("ca and insecure_skip_verify exclude each other")
        return self


class RtspConfig(_Timeouts):
    """A network stream: RTSP, or MJPEG over HTTP; of ``rtsps`` and ``https`` the certificate is verified."""

    kind: Literal["rtsp"] = Field(description="a network camera")
    url: StreamUrl = Field(description="address of the stream, without user name and password")
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="transport of RTSP's packets; tcp loses none"
    )
    username: str | None = Field(
        default=None, min_length=1, description="the camera's user; goes with password_file"
    )
    password_file: Path | None = Field(default=None, description="file that holds the user's password alone")
    tls: StreamTls = Field(
        default_factory=StreamTls, description="verification of the certificate; for rtsps and https only"
    )
    stamps: Literal["stream", "arrival"] = Field(
        default="stream",
        description="time of a frame: the camera's own clock (stream), or its arrival at the box "
        "(arrival), for cameras whose clock is unsteady",
    )
    max_late_ms: Milliseconds = Field(
        default=500, description="frames that arrive so many milliseconds later than usual are not used"
    )
    orientation: StreamOrientation = None

    @property
    def encrypted(self) -> bool:
        """True if the camera has to show a certificate."""
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

    kind: Literal["file"] = Field(description="a video file, played at its own rate")
    path: Path = Field(description="the video file")
    loop: bool = Field(default=False, description="start again at the end of the file")
    orientation: StreamOrientation = None


class GenicamConfig(_Timeouts):
    """A GigE Vision or USB3 Vision camera through Aravis.

    Without ``trigger_line`` and ``free_running`` every software trigger takes one image.
    """

    kind: Literal["genicam"] = Field(description="a GigE Vision or USB3 Vision camera, through Aravis")
    serial: str | None = Field(
        default=None, min_length=1, description="serial number as printed on the camera; or give address"
    )
    address: str | None = Field(
        default=None, min_length=1, description="the camera's IP address; or give serial"
    )
    features: Path | None = Field(
        default=None, description="YAML file of GenICam features, which are set in the file's order"
    )
    trigger_line: FeatureName | None = Field(
        default=None, description="input of the hardware trigger, such as Line1; default: software trigger"
    )
    trigger_activation: Literal["RisingEdge", "FallingEdge"] = Field(
        default="RisingEdge", description="edge of the trigger signal that starts an exposure"
    )
    free_running: bool = Field(
        default=False, description="the camera takes images without a trigger; for trigger source free"
    )
    packet_size: int | Literal["auto"] | None = Field(
        default=None,
        description="bytes of a network packet with its headers; auto: the largest that the network "
        "carries; default: the camera's",
    )
    packet_delay_ns: int | None = Field(
        default=None,
        ge=0,
        description="nanoseconds between two packets, so that several cameras share one link; default: the "
        "camera's",
    )

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

"""Data rates of cameras, compared with the capacity of their USB controllers and network links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.cameras.genicam.features import FeatureValue, read_features
from edgeflow.config.box import BoxConfig, GenicamConfig, V4l2Config

__all__ = ["Load", "box_loads", "usb_controller"]

_BYTES = {"YUYV": 2.0, "UYVY": 2.0, "NV12": 1.5, "GREY": 1.0, "RGB3": 3.0, "BGR3": 3.0}
_COMPRESSED = 0.2  # bytes per pixel: MJPG of a detailed picture, measured 0.18
_USB_MB_S = {480: 40.0, 5000: 380.0, 10000: 760.0}  # what is left of Mbit/s after the bus's own needs
_GIGABIT_MB_S = 115.0  # of 125, with headers of 8192-byte packets


@dataclass(frozen=True, kw_only=True)
class Load:
    """Cameras that share one way into the computer.

    Attributes:
        carrier: what they share, in words.
        megabytes_per_s: by view; a camera whose format is not configured is absent.
        unknown: views whose load cannot be computed.
        capacity: in MB/s.
        measured: whether the carrier was found on this computer; else it is assumed.
    """

    carrier: str
    megabytes_per_s: Mapping[str, float]
    unknown: tuple[str, ...]
    capacity: float
    measured: bool

    @property
    def total(self) -> float:
        """Megabytes per second of all cameras together."""
        return sum(self.megabytes_per_s.values())


def box_loads(config: BoxConfig, sysfs: Path = Path("/sys")) -> list[Load]:
    """The loads of a box's USB and GigE cameras, carrier by carrier.

    Raises:
        ConfigError: a camera's feature file cannot be read.
    """
    rates: dict[tuple[str, float, bool], dict[str, float | None]] = defaultdict(dict)
    for view, camera in config.cameras.items():
        if isinstance(camera, V4l2Config):
            rates[usb_controller(camera.device, sysfs)][view] = _usb_rate(camera)
        elif isinstance(camera, GenicamConfig):
            link = ("one gigabit network link", _GIGABIT_MB_S, False)
            rates[link][view] = _genicam_rate(camera, config.trigger.period_ms)
    return [
        Load(
            carrier=carrier,
            megabytes_per_s={view: rate for view, rate in views.items() if rate is not None},
            unknown=tuple(view for view, rate in views.items() if rate is None),
            capacity=capacity,
            measured=measured,
        )
        for (carrier, capacity, measured), views in rates.items()
    ]


def usb_controller(device: str, sysfs: Path = Path("/sys")) -> tuple[str, float, bool]:
    """A device's USB controller, what it carries in MB/s, and whether it was found.

    A camera that is not plugged in is taken to share one USB 2 controller with its like: the least there is.
    """
    unknown = ("one USB 2 controller", _USB_MB_S[480], False)
    try:
        node = (sysfs / "class" / "video4linux" / Path(device).resolve().name / "device").resolve(strict=True)
    except OSError:
        return unknown
    speed = 0
    for folder in (node, *node.parents):
        if (folder / "speed").is_file():
            # A slow camera at a fast controller shares what is reserved for slow ones.
            own = int(float((folder / "speed").read_text()))
            speed = own if not speed else min(speed, own)
            if folder.name.startswith("usb"):
                name = f"USB controller {folder.parent.name} ({folder.name}, {speed} Mbit/s)"
                return name, _USB_MB_S.get(speed, _USB_MB_S[480]), True
    return unknown


def _usb_rate(camera: V4l2Config) -> float | None:
    if not (camera.width and camera.height and camera.fps):
        return None
    bytes_per_pixel = _BYTES.get(camera.fourcc or "YUYV", _COMPRESSED)
    return camera.width * camera.height * camera.fps * bytes_per_pixel / 1e6


def _genicam_rate(camera: GenicamConfig, period_ms: float | None) -> float | None:
    features = read_features(camera.features) if camera.features else {}
    width, height = _number(features, "Width"), _number(features, "Height")
    rate = _number(features, "AcquisitionFrameRate") or (1000 / period_ms if period_ms else None)
    if width is None or height is None or rate is None:
        return None
    return width * height * rate * _bytes_of(str(features.get("PixelFormat", "Mono8"))) / 1e6


def _bytes_of(pixel_format: str) -> float:
    """Bytes per pixel of a GenICam format by its name, such as BayerRG12p or RGB8."""
    channels = 3 if pixel_format.startswith(("RGB", "BGR")) else 2 if pixel_format.startswith("YUV422") else 1
    packed = {"10p": 1.25, "12p": 1.5, "10Packed": 1.5, "12Packed": 1.5}
    depth = next((size for end, size in packed.items() if pixel_format.endswith(end)), None)
    return channels * (depth or (2.0 if pixel_format.endswith(("10", "12", "14", "16")) else 1.0))


def _number(features: Mapping[str, FeatureValue], name: str) -> float | None:
    value = features.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

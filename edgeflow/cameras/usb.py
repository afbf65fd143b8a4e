"""What Linux knows of the USB device behind a camera."""

from __future__ import annotations

from pathlib import Path

__all__ = ["usb_device", "usb_serial"]

_SYSFS = Path("/sys")


def usb_device(device: str, sysfs: Path = _SYSFS) -> Path | None:
    """The folder of the USB device that a video device belongs to; None where it is none.

    Args:
        device: such as /dev/video0, or a name that leads to it.
    """
    try:
        node = (sysfs / "class" / "video4linux" / Path(device).resolve().name / "device").resolve(strict=True)
    except OSError:
        return None
    return next((folder for folder in (node, *node.parents) if (folder / "idVendor").is_file()), None)


def usb_serial(device: str, sysfs: Path = _SYSFS) -> str | None:
    """A USB camera's serial number, as its maker set it: many a cheap one has none, or that of its series."""
    folder = usb_device(device, sysfs)
    try:
        return (folder / "serial").read_text("utf-8", "replace").strip() or None if folder else None
    except OSError:
        return None

"""USB devices behind cameras: serial numbers, and cameras that share one, as Linux shows them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["usb_device", "usb_serial", "usb_twins"]

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
    return None if folder is None else _read(folder, "serial") or None


def usb_twins(device: str, sysfs: Path = _SYSFS) -> tuple[str, ...]:
    """Return attached cameras that share make and serial number, by their kernel names such as video2.

    A name in /dev/v4l/by-id, made of just these, leads to one of them, and after a plug to another.
    """
    own = usb_device(device, sysfs)
    if own is None:
        return ()
    others = {
        path.name: folder
        for path in sorted((sysfs / "class" / "video4linux").glob("*"))
        if (folder := usb_device(path.name, sysfs)) not in (None, own)
    }
    return tuple(name for name, folder in others.items() if folder and _identity(folder) == _identity(own))


def _identity(folder: Path) -> tuple[str, ...]:
    return tuple(_read(folder, name) for name in ("idVendor", "idProduct", "serial"))


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text("utf-8", "replace").strip()
    except OSError:
        return ""

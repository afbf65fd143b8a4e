"""Discovery of attached cameras, as sections of a box file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeflow.cameras.genicam.aravis import load_aravis
from edgeflow.errors import CameraError

__all__ = ["Attached", "attached_cameras"]

_LINKS = Path("/dev/v4l")


@dataclass(frozen=True, kw_only=True)
class Attached:
    """One camera.

    Attributes:
        config: its section in a box file, as far as it is known.
        about: maker, model, address, for whoever chooses.
    """

    config: dict[str, str]
    about: str


def attached_cameras(links: Path = _LINKS) -> tuple[list[Attached], list[str]]:
    """Return all cameras found, GenICam first, and the reasons why some could not be searched for.

    Of several GenICam cameras with one serial number, Aravis tells only one.
    """
    notes: list[str] = []
    try:
        found = list(_genicam())
    except CameraError as error:
        found = []
        notes.append(error.message)
    return found + list(_v4l2(links)), notes


def _genicam() -> Iterator[Attached]:
    aravis, failure = load_aravis()
    try:
        aravis.update_device_list()
        for k in range(aravis.get_n_devices()):
            maker, model = aravis.get_device_vendor(k), aravis.get_device_model(k)
            about = f"{maker} {model}, {aravis.get_device_protocol(k)} at {aravis.get_device_address(k)}"
            yield Attached(config={"kind": "genicam", "serial": aravis.get_device_serial_nbr(k)}, about=about)
    except failure as cause:
        raise CameraError(f"GenICam cameras cannot be looked for: {cause}; check the network") from cause


def _v4l2(links: Path) -> Iterator[Attached]:
    """Image streams by the name that stays; a camera's other devices carry only metadata.

    Of cameras with one serial number, or none, only one has such a name: the others go by their sockets.
    """
    named: set[Path] = set()
    for folder in ("by-id", "by-path"):
        for path in sorted((links / folder).glob("*-video-index0")):
            device = path.resolve()
            if device in named:
                continue
            named.add(device)
            about = re.sub(r"^usb-|-video-index0$", "", path.name).replace("_", " ")
            if folder == "by-path":
                about = "named by its socket: no serial number of its own"
            yield Attached(config={"kind": "v4l2", "device": str(path)}, about=about)

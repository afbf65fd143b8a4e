"""What is attached to this computer, ready to be pasted into a box file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeflow.cameras.aravis import load_aravis
from edgeflow.errors import CameraError

__all__ = ["Attached", "attached_cameras"]

_BY_ID = Path("/dev/v4l/by-id")


@dataclass(frozen=True, kw_only=True)
class Attached:
    """One camera.

    Attributes:
        config: its section in a box file, as far as it is known.
        about: maker, model, address, for whoever chooses.
    """

    config: dict[str, str]
    about: str


def attached_cameras(by_id: Path = _BY_ID) -> tuple[list[Attached], list[str]]:
    """All cameras found, GenICam first, and why some could not be looked for."""
    notes: list[str] = []
    try:
        found = list(_genicam())
    except CameraError as error:
        found = []
        notes.append(error.message)
    return found + list(_v4l2(by_id)), notes


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


def _v4l2(by_id: Path) -> Iterator[Attached]:
    """Image streams by the name that stays; a camera's other devices carry only metadata."""
    if by_id.is_dir():
        for path in sorted(by_id.iterdir()):
            if path.name.endswith("-video-index0"):
                about = re.sub(r"^usb-|-video-index0$", "", path.name).replace("_", " ")
                yield Attached(config={"kind": "v4l2", "device": str(path)}, about=about)

"""What Linux tells of a camera's USB device, from folders laid out as it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.cameras.usb import usb_serial


def sysfs(root: Path, device: str, **values: str) -> Path:
    """A USB camera's folders; its video device belongs to an interface below it."""
    camera = root / "devices" / "pci0000:00" / "usb1" / "1-4"
    (camera / "1-4:1.0").mkdir(parents=True)
    for name, value in values.items():
        (camera / name).write_text(f"{value}\n")
    (root / "class" / "video4linux" / device).mkdir(parents=True)
    (root / "class" / "video4linux" / device / "device").symlink_to(camera / "1-4:1.0")
    return root


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"idVendor": "046d", "serial": "A1B2"}, "A1B2"), ({"idVendor": "046d"}, None), ({}, None)],
)
def test_a_camera_s_serial_number_is_its_usb_device_s(
    tmp_path: Path, values: dict[str, str], expected: str | None
) -> None:
    tree = sysfs(tmp_path, "video3", **values)
    (tmp_path / "by-id").symlink_to("/dev/video3")
    assert usb_serial(str(tmp_path / "by-id"), tree) == expected
    assert usb_serial("/dev/video9", tree) is None

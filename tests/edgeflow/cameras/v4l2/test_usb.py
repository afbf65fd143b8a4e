"""USB devices behind cameras, from folders laid out as Linux does."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.cameras.v4l2.usb import usb_serial, usb_twins


def attach(root: Path, device: str, port: str = "1-4", **values: str) -> Path:
    """A USB camera's folders; its video device belongs to an interface below it."""
    camera = root / "devices" / "pci0000:00" / "usb1" / port
    (camera / f"{port}:1.0").mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (camera / name).write_text(f"{value}\n")
    (root / "class" / "video4linux" / device).mkdir(parents=True)
    (root / "class" / "video4linux" / device / "device").symlink_to(camera / f"{port}:1.0")
    return root


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"idVendor": "046d", "serial": "A1B2"}, "A1B2"), ({"idVendor": "046d"}, None), ({}, None)],
)
def test_a_camera_s_serial_number_is_its_usb_device_s(
    tmp_path: Path, values: dict[str, str], expected: str | None
) -> None:
    tree = attach(tmp_path, "video3", **values)
    (tmp_path / "by-id").symlink_to("/dev/video3")
    assert usb_serial(str(tmp_path / "by-id"), tree) == expected
    assert usb_serial("/dev/video9", tree) is None


def test_cameras_of_one_make_and_serial_number_are_found_out(tmp_path: Path) -> None:
    series = {"idVendor": "0c45", "idProduct": "6366", "serial": "SN0001"}
    attach(tmp_path, "video0", **series)
    attach(tmp_path, "video1", **series)  # the same camera's metadata
    assert usb_twins("/dev/video0", tmp_path) == ()
    attach(tmp_path, "video2", "1-5", **series)
    attach(tmp_path, "video4", "1-6", **{**series, "serial": "SN0002"})
    attach(tmp_path, "video6", "1-7", **{**series, "idProduct": "6367"})
    assert usb_twins("/dev/video0", tmp_path) == ("video2",)
    assert usb_twins("/dev/video2", tmp_path) == ("video0", "video1")
    assert usb_twins("/dev/video4", tmp_path) == usb_twins("/dev/video9", tmp_path) == ()

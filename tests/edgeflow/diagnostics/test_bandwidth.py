"""Data rates of cameras, and the capacity of USB controllers and networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.config.box import BoxConfig
from edgeflow.diagnostics.bandwidth import box_loads, usb_controller
from edgeflow.diagnostics.cameras.check_cameras import load_findings, source_findings

VIEWS = ("top", "front", "left", "back", "right")


def box(cameras: dict[str, dict[str, object]], period_ms: float = 100.0) -> BoxConfig:
    return BoxConfig.model_validate(
        {
            "station": {"site": "s", "line": "l", "station": "t"},
            "bundle": Path("b"),
            "trigger": {"source": "interval", "period_ms": period_ms, "timeout_ms": 50.0},
            "cameras": cameras,
            "sync": {"max_skew_ms": 10.0},
            "decision": {"deadline_ms": 100.0},
            "runtime": {"backend": "openvino"},
            "mqtt": {"host": "localhost"},
            "outbox": {"path": Path("o.db")},
        }
    )


def usb(fourcc: str = "MJPG", number: int = 0, **more: object) -> dict[str, object]:
    device = f"/dev/v4l/by-id/camera-{number}"
    size: dict[str, object] = {"width": 1280, "height": 720, "fps": 30.0}
    return {"kind": "v4l2", "device": device, "fourcc": fourcc, **size, **more}


def test_five_compressed_usb_cameras_fit_one_controller_and_uncompressed_ones_do_not() -> None:
    (fits,) = load_findings(box({view: usb(number=n) for n, view in enumerate(VIEWS)}))
    assert fits.state == "ok"
    assert "28 of 40 MB/s (top 5.5, front 5.5" in fits.text
    (over,) = load_findings(box({view: usb("YUYV", n) for n, view in enumerate(VIEWS)}))
    assert over.state == "warning", "where they are plugged in is not known here"
    assert "276 of 40 MB/s" in over.text
    assert "MJPG" in over.text


def sysfs(root: Path, speeds: dict[str, tuple[str, int, int]]) -> Path:
    """Folders as Linux lays them out: device → (USB bus, bus speed, camera speed)."""
    links = root / "class" / "video4linux"
    links.mkdir(parents=True)
    for device, (bus, bus_speed, speed) in speeds.items():
        hub = root / "devices" / "pci0000:00" / "0000:00:14.0" / bus
        camera = hub / f"1-{device}"
        (camera / f"1-{device}:1.0").mkdir(parents=True)
        (hub / "speed").write_text(f"{bus_speed}\n")
        (camera / "speed").write_text(f"{speed}\n")
        (links / device).mkdir()
        (links / device / "device").symlink_to(camera / f"1-{device}:1.0")
    return root


def test_cameras_are_counted_by_the_controller_that_they_are_plugged_into(tmp_path: Path) -> None:
    found = sysfs(tmp_path, {"camera-0": ("usb1", 480, 480), "camera-1": ("usb2", 10000, 5000)})
    assert usb_controller("/dev/v4l/by-id/camera-0", found) == (
        "USB controller 0000:00:14.0 (usb1, 480 Mbit/s)", 40.0, True,
    )  # fmt: skip
    cameras = {view: usb("YUYV", n) for n, view in enumerate(VIEWS[:3])}
    slow, fast, absent = box_loads(box(cameras), found)
    assert [list(load.megabytes_per_s) for load in (slow, fast, absent)] == [["top"], ["front"], ["left"]]
    assert slow.total > slow.capacity
    assert fast.total < fast.capacity == 380.0
    assert [load.measured for load in (slow, fast, absent)] == [True, True, False]


def features(path: Path, **values: object) -> Path:
    path.write_text("features:\n" + "".join(f"  {name}: {value}\n" for name, value in values.items()))
    return path


def test_gige_cameras_share_a_link(tmp_path: Path) -> None:
    file = features(tmp_path / "f.yaml", Width=2448, Height=2048, PixelFormat="BayerRG8")
    cameras = {view: {"kind": "genicam", "serial": view, "features": file} for view in VIEWS}
    (over,) = load_findings(box(cameras, period_ms=100.0))  # 5 MB, 10 times a second, 5 times
    assert over.state == "warning"
    assert "one gigabit network link: 251 of 115 MB/s" in over.text
    (fits,) = load_findings(box(cameras, period_ms=500.0))
    assert fits.state == "ok"


@pytest.mark.parametrize(
    ("pixel_format", "expected"),
    [
        ("Mono8", 1.0),
        ("Mono12", 2.0),
        ("BayerRG12p", 1.5),
        ("RGB8", 3.0),
        ("YUV422_8", 2.0),
        ("Mono10Packed", 1.5),
    ],
)
def test_bytes_of_pixel_formats(tmp_path: Path, pixel_format: str, expected: float) -> None:
    file = features(
        tmp_path / "f.yaml", Width=1000, Height=1000, PixelFormat=pixel_format, AcquisitionFrameRate=1.0
    )
    (load,) = box_loads(box({"top": {"kind": "genicam", "serial": "1", "features": file}}))
    assert load.total == pytest.approx(expected)


def test_what_is_not_configured_is_not_guessed() -> None:
    unknown = {"top": usb(width=None), "left": {"kind": "genicam", "serial": "1"}}
    assert list(load_findings(box(unknown))) == []
    (part,) = load_findings(box({"top": usb(width=None), "left": usb(number=1)}))
    assert part.text.endswith("without top, whose format is not given")


def test_two_views_of_one_camera_are_found_whatever_their_entries_look_like(tmp_path: Path) -> None:
    serial = {"kind": "genicam", "serial": "40012345"}
    (found,) = source_findings(box({"top": serial, "left": serial}))
    assert (found.state, found.name) == ("failed", "camera top")
    assert "serial 40012345: also of view left" in found.text

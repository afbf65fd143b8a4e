"""USB cameras, without one: what is asked of a device, and what is said of its answers."""

from __future__ import annotations

import pytest

from edgeflow.cameras.v4l2.camera import V4l2Camera, captured_at_ns, setting_problems, settings_of
from edgeflow.config.box import V4l2Config
from edgeflow.errors import CameraError


def config(**settings: object) -> V4l2Config:
    return V4l2Config.model_validate({"kind": "v4l2", "device": "/dev/v4l/by-id/none", **settings})


def test_a_fixed_exposure_turns_the_automatic_one_off_before_it_is_set() -> None:
    wanted = settings_of(config(exposure_us=2000, white_balance_k=4600, gain=0, width=640))
    assert list(wanted) == [
        "width", "automatic exposure", "exposure_us", "gain", "automatic white balance", "white_balance_k",
    ]  # fmt: skip
    assert settings_of(config()) == {}


def test_a_device_that_does_not_do_as_configured_is_told_in_full() -> None:
    wanted = settings_of(config(fourcc="MJPG", width=1920, height=1080, fps=30.0, exposure_us=2000))
    good = {
        "fourcc": "MJPG", "width": 1920.0, "height": 1080.0, "fps": 29.97, "automatic exposure": 1.0,
        "exposure_us": 2000.0,
    }  # fmt: skip
    assert setting_problems(wanted, good) == []
    bad = {**good, "fourcc": "YUYV", "width": 640.0, "fps": 15.0, "automatic exposure": 3.0}
    assert setting_problems(wanted, bad) == [
        "fourcc is YUYV instead of MJPG",
        "width is 640 instead of 1920",
        "fps is 15 instead of 30.0",
        "automatic exposure is 3 instead of 1.0",
    ]


def test_a_picture_that_waited_in_the_driver_keeps_its_moment() -> None:
    now_ns = 90_000 * 10**9 + 123_456_789
    for waited_ms in (0, 0.5, 33, 1000, 60_000):
        stamp_ms = now_ns / 1e6 - waited_ms
        assert abs(captured_at_ns(stamp_ms, now_ns) - (now_ns - waited_ms * 1e6)) < 1000


@pytest.mark.parametrize("stamp_ms", [0.0, 1.7e12, -5.0, 90_000_123.5, 29_000_000.0])
def test_a_stamp_of_another_clock_is_not_used(stamp_ms: float) -> None:
    now_ns = 90_000 * 10**9 + 123_456_789
    assert captured_at_ns(stamp_ms, now_ns) == now_ns


@pytest.mark.parametrize(
    ("device", "advice"),
    [("/dev/v4l/by-id/none", "no such device; check its cable"), ("/dev/null", "cannot be opened")],
)
def test_a_device_that_cannot_work_is_refused_with_advice(
    device: str, advice: str, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = V4l2Camera("top", config(device=device))
    with pytest.raises(CameraError, match=advice):
        camera.open(0)
    camera.close()
    with pytest.raises(CameraError, match="before it was opened"):
        camera.read(0)
    assert capfd.readouterr().err == ""

"""GigE Vision cameras: real ones without a sensor (Aravis' own), in a network of their own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeflow.cameras.camera import Frame, FrameLost
from edgeflow.cameras.genicam.camera import GenicamCamera
from edgeflow.cameras.genicam.features import read_features
from edgeflow.cameras.genicam.pixel_formats import PIXEL_FORMATS, to_rgb
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import GenicamConfig
from edgeflow.errors import CameraError, ConfigError
from simulators.gige_cameras import is_one_image
from tests.support.fake_cameras import FakeCamera, fake_cameras
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.xdist_group("cameras")  # they have fixed addresses


def genicam(**settings: object) -> GenicamCamera:
    return GenicamCamera("top", GenicamConfig.model_validate({"kind": "genicam", **settings}))


def next_frame(camera: GenicamCamera) -> Frame:
    frame = camera.read(PATIENCE_S)
    assert frame is not None
    return frame


def read_until_it_fails(camera: GenicamCamera) -> None:
    for _ in range(100):
        camera.read(0.1)


@pytest.fixture
def fakes() -> Iterator[list[FakeCamera]]:
    with fake_cameras(2) as cameras:
        yield cameras


def test_every_software_trigger_takes_one_image_with_counter_and_camera_time(
    fakes: list[FakeCamera],
) -> None:
    camera = genicam(serial="FAKE3")
    camera.open(0)
    frames = []
    for number in range(3):
        assert camera.read(0.1) is None
        before_ns = monotonic_ns()
        camera.trigger(f"t{number}")
        frames.append(next_frame(camera))
        assert before_ns < frames[-1].captured_ns <= monotonic_ns()
    camera.close()
    assert [frame.frame_id for frame in frames] == [0, 1, 2]
    assert [frame.trigger_id for frame in frames] == ["t0", "t1", "t2"]
    first = frames[0].counter
    assert first is not None
    assert [frame.counter for frame in frames] == [first, first + 1, first + 2]
    assert {frame.counter_bits for frame in frames} == {16}
    assert all(
        a.device_ns and b.device_ns and a.device_ns < b.device_ns for a, b in itertools.pairwise(frames)
    )
    assert frames[0].image.shape == (512, 512, 3)


def test_a_feature_file_is_applied_and_read_back(fakes: list[FakeCamera], repository: Path) -> None:
    features = repository / "firmware_configs" / "cameras" / "aravis-fake.yaml"
    camera = genicam(address="127.0.0.2", features=features, free_running=True)
    camera.open(0)
    assert next_frame(camera).image.shape == (512, 512, 3)
    device = camera._device
    for name, value in read_features(features).items():
        read = device.get_string if isinstance(value, str) else device.get_integer
        assert (device.get_float(name) if name.startswith("Exposure") else read(name)) == value
    camera.close()


def test_what_a_camera_does_not_do_is_told_with_what_it_offers(
    fakes: list[FakeCamera], tmp_path: Path
) -> None:
    features = tmp_path / "features.yaml"
    features.write_text(
        "features: {Width: 99999, PixelFormat: RGB32, ExposureTime: 5, ExposureTimeAbs: 1e3}\n"
    )
    with pytest.raises(CameraError, match="does not do as configured") as error:
        genicam(address="127.0.0.2", features=features).open(0)
    width, pixels, exposure = error.value.problems
    assert width.startswith("Width ")
    assert "it offers 1 to 2048" in width
    assert "Mono8" in pixels
    assert exposure == "the camera has no feature ExposureTime"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("features: {}", "features"),
        ("Width: 3", "unknown key"),
        ("features: {'a b': 1}", "a GenICam feature"),
    ],
)
def test_a_feature_file_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "features.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_features(path)
    assert words in str(error.value)


def test_a_wrong_serial_and_an_unknown_trigger_line_name_what_is_there(fakes: list[FakeCamera]) -> None:
    with pytest.raises(CameraError, match="no camera with this serial number; attached are: FAKE2, FAKE3"):
        genicam(serial="40012345").open(0)
    with pytest.raises(CameraError) as error:
        genicam(address="127.0.0.3", trigger_line="Line7").open(0)
    assert "Line0, Software" in error.value.problems[0]
    camera = genicam(address="127.0.0.2", trigger_line="Line0")
    camera.open(0)
    camera.trigger("ignored")
    assert camera.read(0.2) is None
    camera.close()


def test_a_camera_that_another_program_uses_is_refused(fakes: list[FakeCamera]) -> None:
    first, second = genicam(serial="FAKE2"), genicam(serial="FAKE2")
    first.open(0)
    with pytest.raises(CameraError, match="another program controls it"):
        second.open(0)
    first.trigger("t1")
    next_frame(first)
    first.close()


def test_no_image_with_missing_packets_is_ever_delivered() -> None:
    with fake_cameras(1, lost_per_mille=5):
        camera = genicam(address="127.0.0.2", free_running=True)
        camera.open(0)
        whole, lost = [], 0
        while lost < 5 or len(whole) < 3:
            try:
                whole.append(next_frame(camera))
            except FrameLost as incomplete:
                lost += "missing-packets" in str(incomplete)
        camera.close()
    assert all(is_one_image(frame.image) for frame in whole)


def test_a_triggered_image_that_was_lost_names_its_trigger() -> None:
    with fake_cameras(1, lost_per_mille=200):
        camera = genicam(address="127.0.0.2")
        camera.open(0)
        camera.trigger("t1")
        with pytest.raises(FrameLost) as lost:
            camera.read(PATIENCE_S)
        camera.close()
    assert lost.value.trigger_id == "t1"


def test_a_camera_that_owes_an_image_for_too_long_is_an_error(fakes: list[FakeCamera]) -> None:
    camera = genicam(address="127.0.0.2", free_running=True, read_timeout_ms=300)
    camera.open(0)
    next_frame(camera)
    fakes[0].freeze()
    with pytest.raises(CameraError, match="no image within 300 ms"):
        read_until_it_fails(camera)
    fakes[0].thaw()
    camera.close()


def test_every_pixel_format_gives_red_first() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    bayer = {"BayerRG8": (0, 0), "BayerGR8": (0, 1), "BayerGB8": (1, 0), "BayerBG8": (1, 1)}
    for code, known in PIXEL_FORMATS.items():
        if known.name in bayer:
            row, column = bayer[known.name]
            raw = np.zeros((4, 4), np.uint8)
            raw[row::2, column::2] = 200
            image = to_rgb(raw.tobytes(), 4, 4, code)
            assert image[1:3, 1:3, 0].min() == 200, known.name
            assert image[..., 1:].max() == 0, known.name
        elif known.name.startswith("Mono"):
            deep = np.full((4, 4), 200 << (known.bits - 8), "<u2" if known.bits > 8 else np.uint8)
            assert np.array_equal(to_rgb(deep.tobytes(), 4, 4, code), np.full((4, 4, 3), 200, np.uint8))
        elif known.name in {"RGB8", "BGR8"}:
            raw = red if known.name == "RGB8" else red[..., ::-1]
            assert np.array_equal(to_rgb(raw.tobytes(), 4, 4, code), red)
        else:
            yuv = cv2.cvtColor(
                red, {"YUV422_8": cv2.COLOR_RGB2YUV_YUY2}.get(known.name, cv2.COLOR_RGB2YUV_UYVY)
            )
            assert np.abs(to_rgb(yuv.tobytes(), 4, 4, code).astype(int) - red).max() <= 4


def test_a_picture_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="set PixelFormat to one of Mono8"):
        to_rgb(b"", 4, 4, 0x01234567)
    with pytest.raises(ValueError, match="15 bytes instead of 16"):
        to_rgb(bytes(15), 4, 4, 0x01080001)
    with pytest.raises(ValueError, match="pixels, of at most"):
        to_rgb(b"", 65500, 16384, 0x01080001)


def test_a_value_above_the_depth_that_the_camera_declares_is_refused() -> None:
    mono12 = 0x01100005
    highest = np.array([[4095, 16]], "<u2")
    assert to_rgb(highest.tobytes(), 1, 2, mono12)[0, :, 0].tolist() == [255, 1]
    with pytest.raises(ValueError, match="value 4096 is above 4095, the highest of 12 bits"):
        to_rgb((highest + 1).astype("<u2").tobytes(), 1, 2, mono12)


def test_a_camera_that_stands_still_for_a_moment_when_it_is_opened_is_asked_again() -> None:
    """One wait is no reason to give a camera up: a loaded computer stops a simulated one for longer."""
    with fake_cameras(1) as (fake,):
        camera = genicam(serial=fake.serial, free_running=True, read_timeout_ms=1000)
        camera.open(0)
        fake.freeze()
        while (buffer := camera._stream.timeout_pop_buffer(100_000)) is not None:
            camera._stream.push_buffer(buffer)
        camera._arrived_ns = monotonic_ns()
        again = threading.Timer(1.2, fake.thaw)
        again.start()
        camera._take_dropped()
        again.join()
        camera.close()

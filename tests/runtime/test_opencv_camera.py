"""Cameras read through OpenCV: real video files, and a real network stream on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.cameras.base import Camera, EndOfStream, Frame
from edgeflow.cameras.opencv import OpenCvCamera, format_problems
from edgeflow.cameras.source import public_source, public_url
from edgeflow.cameras.table import make_camera
from edgeflow.clock import monotonic_ns
from edgeflow.config import OpenCvConfig, ReplayConfig
from edgeflow.errors import CameraError

FRAME_COUNT = 5
FPS = 50.0
RED_STEP = 40


def bgr_image(red: int) -> npt.NDArray[np.uint8]:
    image = np.zeros((32, 48, 3), np.uint8)
    image[..., 2] = red
    return image


def record(path: Path, fps: float) -> Path:
    """A video whose frame k is red at level 40·(k + 1)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (48, 32))
    for k in range(FRAME_COUNT):
        writer.write(bgr_image(RED_STEP * (k + 1)))
    writer.release()
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return record(tmp_path / "part.avi", FPS)


@pytest.fixture
def slow_video(tmp_path: Path) -> Path:
    """One frame per second: slow enough for a test to know which one is due."""
    return record(tmp_path / "slow.avi", 1.0)


def opened(source: str | Path, *, epoch_ns: int | None = None, **settings: object) -> OpenCvCamera:
    config = OpenCvConfig.model_validate({"kind": "opencv", "source": str(source), **settings})
    camera = OpenCvCamera("top", config)
    camera.open(monotonic_ns() if epoch_ns is None else epoch_ns)
    return camera


def next_frame(camera: OpenCvCamera) -> Frame:
    frame = camera.read(5.0)
    assert frame is not None
    return frame


def red_of(frame: Frame) -> int:
    """Which of the video's frames this is, told by its colour."""
    assert frame.image.shape == (32, 48, 3)
    assert frame.image[..., 1:].max() < 10
    return round(float(frame.image[..., 0].mean()) / RED_STEP) - 1


def until_over(camera: Camera) -> tuple[list[Frame], Exception]:
    """All frames, and what ended them."""
    frames: list[Frame] = []
    while True:
        try:
            frame = camera.read(5.0)
        except (CameraError, EndOfStream) as end:
            return frames, end
        assert frame is not None
        frames.append(frame)


def test_a_file_plays_at_its_own_rate_from_the_epoch_on(video: Path) -> None:
    epoch_ns = monotonic_ns() + 200_000_000
    camera = opened(video, epoch_ns=epoch_ns)
    frames, end = until_over(camera)
    camera.close()
    assert isinstance(end, EndOfStream)
    assert frames
    for frame in frames:
        assert frame.captured_ns == epoch_ns + frame.frame_id * 20_000_000
        assert frame.captured_ns <= monotonic_ns()
        assert red_of(frame) == frame.frame_id


def test_a_frame_that_is_not_due_is_kept_for_the_next_read(slow_video: Path) -> None:
    camera = opened(slow_video, epoch_ns=monotonic_ns() + 100_000_000)
    assert camera.read(0.001) is None
    assert camera.read(0.001) is None
    assert red_of(next_frame(camera)) == 0


def test_a_slow_reader_of_a_file_misses_frames(slow_video: Path) -> None:
    frame = next_frame(opened(slow_video, epoch_ns=monotonic_ns() - 3_100_000_000))
    assert frame.frame_id == 3
    assert red_of(frame) == 3


def test_a_looping_file_starts_again_and_goes_on_counting(slow_video: Path) -> None:
    frame = next_frame(opened(slow_video, epoch_ns=monotonic_ns() - 7_100_000_000, loop=True))
    assert frame.frame_id == FRAME_COUNT + 2
    assert red_of(frame) == 2


def test_a_file_that_is_no_video_is_refused_without_a_word_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "part.avi"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(CameraError, match=r"camera 'top' \(.*part\.avi\): cannot be opened"):
        opened(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("0", "/dev/v4l/by-id"),
        ("-1", "/dev/v4l/by-id"),
        ("/dev/v4l/by-id/none", "no such device"),
        ("/nowhere/part.avi", "no such file"),
        ("file:///etc/passwd", "no network stream"),
    ],
)
def test_a_source_that_cannot_work_is_refused_with_advice(source: str, advice: str) -> None:
    with pytest.raises(CameraError, match=advice):
        opened(source)


def test_a_format_can_be_asked_of_devices_only(video: Path) -> None:
    with pytest.raises(CameraError, match="width, fps can be set for a device only"):
        opened(video, width=640, fps=10.0)


def test_a_device_that_lacks_the_format_is_told_in_full() -> None:
    wanted: dict[str, float | str] = {"fourcc": "MJPG", "width": 1920, "height": 1080, "fps": 30.0}
    assert format_problems(wanted, {"fourcc": "MJPG", "width": 1920, "height": 1080, "fps": 29.97}) == []
    assert format_problems(wanted, {"fourcc": "YUYV", "width": 640, "height": 1080, "fps": 15.0}) == [
        "fourcc is YUYV instead of MJPG",
        "width is 640 instead of 1920",
        "fps is 15 instead of 30.0",
    ]


def test_reading_a_camera_that_is_not_open_is_refused(video: Path) -> None:
    camera = opened(video)
    camera.close()
    camera.close()
    with pytest.raises(CameraError, match="before it was opened"):
        camera.read(0)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:s3cret@cam:554/stream",
        "rtsp://admin:s3cret/with@slash@cam:554/stream",
        "rtsp://admin:s3cret?x@cam:554/stream",
        "rtsp://cam:554/user=admin_password=s3cret_channel=1.sdp",
        "http://cam:554/video?token=s3cret",
        "http://cam:554/video?mail=s3cret@home&token=s3cret",
        "http://cam:554?token=s3cret",
    ],
)
def test_nothing_secret_of_a_url_is_shown(url: str) -> None:
    shown = public_url(url)
    assert "s3cret" not in shown
    assert "admin" not in shown
    assert shown in {f"{url.partition(':')[0]}://cam:554", f"{url.partition(':')[0]}://…"}


def test_what_is_no_url_is_shown_as_it_is() -> None:
    device = OpenCvConfig(kind="opencv", source="/dev/v4l/by-id/usb-cam@1")
    assert public_source(device) == "/dev/v4l/by-id/usb-cam@1"
    assert public_source(ReplayConfig(kind="replay", parts=Path("parts"))) == "parts"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.timeout(20)  # OpenCV's own limit is 30 s
def test_a_server_that_never_answers_is_given_up_and_its_password_kept(
    silent_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CameraError, match=r"no stream within 200 ms") as error:
        opened(f"rtsp://admin:s3cret@127.0.0.1:{silent_port}/s", open_timeout_ms=200.0)
    assert f"rtsp://127.0.0.1:{silent_port}" in str(error.value)
    assert "s3cret" not in repr(error.value) + str(error.value.__cause__)
    assert capfd.readouterr().err == ""


class MjpegHandler(BaseHTTPRequestHandler):
    """A network camera that sends some frames and then falls silent."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        jpeg = cv2.imencode(".jpg", bgr_image(RED_STEP))[1].tobytes()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for _ in range(20):
            header = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(header.encode() + jpeg + b"\r\n")
            time.sleep(0.01)
        self.server.silence.wait(15)  # type: ignore[attr-defined]


@pytest.fixture
def network_camera() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), MjpegHandler)
    server.daemon_threads = True
    server.silence = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://user:s3cret@127.0.0.1:{server.server_port}/video.mjpg"
    server.silence.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.timeout(20)  # OpenCV's own limit is 30 s
def test_a_network_camera_delivers_red_first_and_its_silence_is_an_error(network_camera: str) -> None:
    config = OpenCvConfig(kind="opencv", source=network_camera, read_timeout_ms=300)
    camera = make_camera("top", config)
    before_ns = monotonic_ns()
    camera.open(0)
    camera.trigger("ignored")
    frames, error = until_over(camera)
    camera.close()
    assert [frame.frame_id for frame in frames] == list(range(len(frames)))
    assert red_of(frames[0]) == 0
    assert frames[0].trigger_id is None
    assert before_ns < frames[0].captured_ns < monotonic_ns()
    assert "no frame within 300 ms" in str(error)
    assert "s3cret" not in str(error)

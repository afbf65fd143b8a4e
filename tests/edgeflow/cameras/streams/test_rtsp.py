"""Network cameras: a real RTSP server, and an MJPEG camera that does what cameras should not."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeflow.cameras.camera import Frame, FrameLost
from edgeflow.cameras.drivers import make_camera
from edgeflow.cameras.streams.rtsp import RtspCamera
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import RtspConfig
from edgeflow.errors import CameraError
from tests.support.clips import KEY_EVERY, bar_at, write_clip
from tests.support.fake_cameras import need
from tests.support.packages import DEBIAN_PACKAGES
from tests.support.waiting import PATIENCE_S

SUPPORT = Path(__file__).parents[3] / "support"
SECRET = "s3cret"  # noqa: S105 - of cameras that end with the test


def rtsp(url: str, **settings: object) -> RtspCamera:
    return RtspCamera("top", RtspConfig.model_validate({"kind": "rtsp", "url": url, **settings}))


def jpeg(red: int, width: int = 48) -> bytes:
    image = np.zeros((32, width, 3), np.uint8)
    image[..., 2] = red
    return bytes(cv2.imencode(".jpg", image)[1].tobytes())


def cut(data: bytes) -> bytes:
    """A picture whose second half did not come."""
    return data[: len(data) // 2 + 300]


def bomb() -> bytes:
    """A small file that says it is 65500 pixels wide and high."""
    data = bytearray(jpeg(200))
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = b"\xff\xdc\xff\xdc"
    return bytes(data)


class MjpegHandler(BaseHTTPRequestHandler):
    """Sends the pictures that the test laid out, then falls silent."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(ConnectionError):  # whoever looks may go at any time
            for picture, pause_s in zip(self.server.pictures, self.server.pauses_s, strict=False):  # type: ignore[attr-defined]
                header = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(header.encode() + picture + b"\r\n")
                time.sleep(pause_s)
        self.server.silence.wait(15)  # type: ignore[attr-defined]


class MjpegCamera:
    """A network camera over HTTP."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), MjpegHandler)
        self._server.daemon_threads = True
        self._server.silence = threading.Event()  # type: ignore[attr-defined]
        self.show([jpeg(200)] * 20)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://user:{SECRET}@127.0.0.1:{self._server.server_port}/video.mjpg"

    def show(self, pictures: list[bytes], pauses_s: Iterable[float] = itertools.repeat(0.01)) -> None:
        self._server.pictures = pictures  # type: ignore[attr-defined]
        self._server.pauses_s = pauses_s  # type: ignore[attr-defined]

    def close(self) -> None:
        self._server.silence.set()  # type: ignore[attr-defined]
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def mjpeg() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.close()


def frames_until_it_fails(camera: RtspCamera) -> tuple[list[Frame], int, CameraError]:
    """Whole frames, the number of lost ones, and what ended the stream."""
    frames, lost = [], 0
    while True:
        try:
            frames.append(camera.read(5.0))
        except FrameLost:
            lost += 1
        except CameraError as end:
            camera.close()
            return frames, lost, end


@pytest.mark.timeout(20)  # FFmpeg's own limit is far longer
def test_frames_come_red_first_and_a_camera_that_falls_silent_is_an_error(mjpeg: MjpegCamera) -> None:
    camera = rtsp(mjpeg.url, read_timeout_ms=300)
    before_ns = monotonic_ns()
    camera.open(0)
    camera.trigger("ignored")
    frames, lost, end = frames_until_it_fails(camera)
    assert [frame.frame_id for frame in frames] == list(range(len(frames)))
    assert len(frames) > 10
    assert lost == 0
    assert abs(int(frames[0].image[..., 0].mean()) - 200) < 10
    assert frames[0].image[..., 1:].max() < 10
    assert before_ns < frames[0].captured_ns < monotonic_ns()
    assert "no answer within 300 ms" in str(end)
    assert SECRET not in str(end)


def test_damaged_pictures_are_lost_and_whole_ones_behind_them_are_not(mjpeg: MjpegCamera) -> None:
    mjpeg.show([*[jpeg(200)] * 8, cut(jpeg(200)), jpeg(200), bomb(), *[jpeg(200)] * 8])
    camera = rtsp(mjpeg.url, read_timeout_ms=500)
    camera.open(0)
    frames, lost, _ = frames_until_it_fails(camera)
    assert lost == 2
    assert len(frames) >= 15
    assert all(frame.image.shape == (32, 48, 3) for frame in frames)


def test_a_stream_that_changes_its_size_is_an_error(mjpeg: MjpegCamera) -> None:
    mjpeg.show([*[jpeg(200)] * 8, *[jpeg(200, width=64)] * 8])
    camera = rtsp(mjpeg.url, read_timeout_ms=500)
    camera.open(0)
    frames, _, end = frames_until_it_fails(camera)
    assert {frame.image.shape for frame in frames} == {(32, 48, 3)}
    assert "changed its size from (48, 32) to (64, 32)" in str(end)


def test_pictures_without_a_time_that_come_out_of_a_queue_are_not_used(mjpeg: MjpegCamera) -> None:
    """At an even pace first; then nothing for most of a second, and what was held up comes at once."""
    even, queued, after = [jpeg(50)] * 40, [jpeg(200)] * 15, [jpeg(120)] * 20
    mjpeg.show([*even, *queued, *after], pauses_s=[*[0.04] * 39, 0.84, *[0.0] * 15, *[0.04] * 20])
    camera = rtsp(mjpeg.url, read_timeout_ms=1500)
    camera.open(0)
    frames, lost, _ = frames_until_it_fails(camera)
    shown = {round(float(frame.image[..., 0].mean()), -1) for frame in frames}
    assert lost >= 15
    assert 50 in shown
    assert 200 not in shown


@pytest.mark.parametrize(("stamps", "first"), [("stream", 10), ("arrival", 0)])
def test_a_stream_whose_time_is_not_to_be_used_is_stamped_by_its_arrival(
    server: tuple[subprocess.Popen[bytes], str], tmp_path: Path, stamps: str, first: int
) -> None:
    """By its own time, the first half second is only measured."""
    (tmp_path / "password").write_text(SECRET)
    camera = rtsp(server[1], username="box", password_file=tmp_path / "password", stamps=stamps)
    camera.open(0)
    frame = camera.read(5.0)
    camera.close()
    assert frame.frame_id >= first
    assert frame.frame_id < first + 40
    assert (frame.frame_id == 0) == (stamps == "arrival")


@pytest.mark.timeout(20)
def test_a_camera_behind_a_process_says_the_same(mjpeg: MjpegCamera) -> None:
    config = RtspConfig.model_validate({"kind": "rtsp", "url": mjpeg.url, "read_timeout_ms": 300})
    camera = make_camera("top", config)
    camera.open(0)
    frame = camera.read(5.0)
    assert frame is not None
    assert frame.image.shape == (32, 48, 3)
    with pytest.raises(CameraError, match="no answer within 300 ms"):
        any(camera.read(0.1) == "never" for _ in range(100))
    camera.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.timeout(20)
def test_a_server_that_never_answers_is_given_up_and_its_password_kept(
    silent_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CameraError, match="no answer within 200 ms") as error:
        rtsp(f"rtsp://admin:{SECRET}@127.0.0.1:{silent_port}/s", open_timeout_ms=200).open(0)
    assert f"rtsp://127.0.0.1:{silent_port}" in str(error.value)
    assert SECRET not in repr(error.value) + str(error.value.__cause__)
    assert capfd.readouterr().err == ""


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel drops every packet to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        yield address[1]
        for client in waiting:
            client.close()


@pytest.mark.timeout(20)
def test_an_address_where_packets_vanish_is_given_up_in_time(black_hole: int) -> None:
    with pytest.raises(CameraError, match="cannot be opened: no answer within 500 ms"):
        rtsp(f"rtsp://127.0.0.1:{black_hole}/s", open_timeout_ms=500).open(0)


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """An RTSP server that asks for a password; its process and address."""
    with rtsp_server() as running:
        yield running


@contextmanager
def rtsp_server(*clip: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    program = [sys.executable, str(SUPPORT / "rtsp_server.py"), "box", SECRET, *clip]
    environment = {**os.environ, "PYTHONPATH": DEBIAN_PACKAGES}
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as running:
        assert running.stdout is not None
        port = running.stdout.readline().decode().strip()
        need(port, "no GStreamer RTSP server for this Python")
        yield running, f"rtsp://127.0.0.1:{port}/stream"
        running.kill()


def test_an_rtsp_camera_is_read_with_its_password_from_a_file_and_a_stalled_one_given_up(
    server: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = server
    secret = tmp_path / "password"
    secret.write_text(SECRET + "\n")
    camera = rtsp(url, username="box", password_file=secret, read_timeout_ms=500)
    camera.open(0)
    frame = camera.read(5.0)
    assert frame.image.shape == (48, 64, 3)
    assert frame.image[..., 0].mean() > 200
    assert frame.image[..., 1:].max() < 40
    process.send_signal(signal.SIGSTOP)
    _, _, end = frames_until_it_fails(camera)
    assert "no answer within 500 ms" in str(end)


@pytest.mark.long
@pytest.mark.alone  # frames that a busy machine decodes late are lost, as they should be
def test_an_h264_stream_shows_every_frame_in_its_turn(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=100, between=0)
    (tmp_path / "password").write_text(SECRET)
    with rtsp_server(str(clip)) as (_, url):
        camera = rtsp(url, username="box", password_file=tmp_path / "password", read_timeout_ms=1000)
        camera.open(0)
        frames, lost, _ = frames_until_it_fails(camera)
    assert lost <= 1, "only the last one, which the end of the stream pushes out before its time"
    shown = [bar_at(frame.image) for frame in frames]
    assert {(later - earlier) % 50 for earlier, later in itertools.pairwise(shown)} == {1}
    assert len(shown) > 2 * KEY_EVERY


class Network:
    """Between a camera and the box; it can hold everything back for a while."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def hold(self, seconds: float) -> None:
        self._open.clear()
        time.sleep(seconds)
        self._open.set()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                box, camera = (
                    self._listener.accept()[0],
                    socket.create_connection(("127.0.0.1", self._target)),
                )
                for pair in ((box, camera), (camera, box)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)


def read_into(camera: RtspCamera, frames: list[Frame], lost: list[str]) -> None:
    """All that a camera gives until it fails."""
    while True:
        try:
            frames.append(camera.read(5.0))
        except FrameLost as cause:
            lost.append(str(cause))
        except CameraError:
            camera.close()
            return


@pytest.mark.timeout(60)
@pytest.mark.alone  # a busy machine loses pictures, too
def test_pictures_that_a_network_held_up_keep_their_moment_or_are_not_used(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=175, between=0)
    (tmp_path / "password").write_text(SECRET)
    frames: list[Frame] = []
    lost: list[str] = []
    with rtsp_server(str(clip)) as (_, url):
        network = Network(int(url.split(":")[2].split("/")[0]))
        held = f"rtsp://127.0.0.1:{network.port}/stream"
        camera = rtsp(held, username="box", password_file=tmp_path / "password", read_timeout_ms=3000)
        camera.open(0)
        reader = threading.Thread(target=read_into, args=(camera, frames, lost))
        reader.start()
        time.sleep(2.5)
        network.hold(1.0)
        reader.join(PATIENCE_S)
        network.close()
    assert lost, "some came more than half a second late"
    assert "pictures come late" in lost[0]
    moments = [frame.captured_ns / 1e6 - 40 * number for number, frame in numbered(frames)]
    assert max(moments) - min(moments) < 100, "each has its own moment, not that of its arrival"
    assert len(frames) > 60


def numbered(frames: list[Frame]) -> Iterator[tuple[int, Frame]]:
    """Frames with their numbers in the clip, which repeats what it shows after fifty (two seconds)."""
    number, before_ns = bar_at(frames[0].image), frames[0].captured_ns
    for frame in frames:
        step = (bar_at(frame.image) - number) % 50
        # A busy machine may lose a whole round; a moment of arrival would be wrong by half of one at most.
        step += 50 * ((frame.captured_ns - before_ns) / 1e6 - 40 * step > 1500)
        number, before_ns = number + step, frame.captured_ns
        yield number, frame


def test_why_an_rtsp_camera_does_not_answer_is_told(
    server: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = server
    secret = tmp_path / "password"
    secret.write_text("wrong")
    with pytest.raises(CameraError, match="401 Unauthorized") as error:
        rtsp(url, username="box", password_file=secret).open(0)
    assert "wrong" not in str(error.value)
    secret.write_text(SECRET)
    with pytest.raises(CameraError, match="404 Not Found"):
        rtsp(f"{url}/other", username="box", password_file=secret).open(0)
    process.kill()
    process.wait()
    with pytest.raises(CameraError, match="connection refused"):
        rtsp(url, username="box", password_file=secret).open(0)
    with pytest.raises(CameraError, match="cannot be read"):
        rtsp(url, username="box", password_file=tmp_path / "none").open(0)

"""Video files played as cameras, and what may be shown of any camera's source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.cameras.addresses import public_source, public_url
from edgeflow.cameras.camera import Camera, EndOfStream, Frame, FrameLost
from edgeflow.cameras.streams.video_file import FileCamera
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import FileConfig, GenicamConfig, ReplayConfig, V4l2Config
from edgeflow.errors import CameraError

FRAME_COUNT = 5
FPS = 50.0
SLOW_S = 20
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
    """One frame in 20 s: a test knows which one is due, however long the machine stands still."""
    return record(tmp_path / "slow.avi", 1 / SLOW_S)


def opened(source: str | Path, *, epoch_ns: int | None = None, **settings: object) -> FileCamera:
    config = FileConfig.model_validate({"kind": "file", "path": Path(source), **settings})
    camera = FileCamera("top", config)
    camera.open(monotonic_ns() if epoch_ns is None else epoch_ns)
    return camera


def frames_ago(count: float) -> int:
    """The moment at which the slow video must have begun for this many frames to be over, ns."""
    return monotonic_ns() - round(count * SLOW_S * 1e9)


def next_frame(camera: FileCamera) -> Frame:
    frame = camera.read(5.0)
    assert frame is not None
    return frame


def red_of(frame: Frame) -> int:
    """Number of a frame in the video, by its colour."""
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


def with_gaps(path: Path, times_ms: list[int]) -> Path:
    """A video with a frame at each of some moments, red at level 40·(k + 1)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            image = bgr_image(RED_STEP * (number + 1))[..., ::-1]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_frames_are_due_when_the_file_says_so_and_not_by_their_number(tmp_path: Path) -> None:
    """A recorder left frames out: their moments must not be taken by those that follow."""
    path = with_gaps(tmp_path / "gaps.mkv", [0, 100, 400, 500])
    epoch_ns = monotonic_ns() + 300_000_000
    frames, end = until_over(opened(path, epoch_ns=epoch_ns))
    assert isinstance(end, EndOfStream)
    assert frames
    at_ms = {0: 0, 1: 100, 2: 400, 3: 500}
    assert all(frame.captured_ns == epoch_ns + at_ms[frame.frame_id] * 1_000_000 for frame in frames)
    assert all(red_of(frame) == frame.frame_id for frame in frames)
    assert frames[-1].frame_id == 3


def test_a_looping_file_with_gaps_begins_again_one_step_after_its_end(tmp_path: Path) -> None:
    path = with_gaps(tmp_path / "gaps.mkv", [0, 100, 1400, 1500])
    epoch_ns = monotonic_ns() - 2_000_000_000
    frame = next_frame(opened(path, epoch_ns=epoch_ns, loop=True))
    step_ms = (frame.captured_ns - epoch_ns) / 1e6 - 1500 - 100
    assert frame.frame_id == 5
    assert red_of(frame) == 1
    assert 0 < step_ms < 500


def test_a_file_that_is_opened_again_goes_on_behind_what_it_gave(slow_video: Path) -> None:
    epoch_ns = frames_ago(1.98)
    camera = opened(slow_video, epoch_ns=epoch_ns)
    first = next_frame(camera).frame_id
    camera.open(epoch_ns)
    assert next_frame(camera).frame_id > first >= 1


def test_a_frame_that_is_not_due_is_kept_for_the_next_read(slow_video: Path) -> None:
    camera = opened(slow_video, epoch_ns=monotonic_ns() + 500_000_000)
    assert camera.read(0.001) is None
    assert camera.read(0.001) is None
    assert red_of(next_frame(camera)) == 0


def test_a_slow_reader_of_a_file_misses_frames(slow_video: Path) -> None:
    frame = next_frame(opened(slow_video, epoch_ns=frames_ago(3.1)))
    assert frame.frame_id == 3
    assert red_of(frame) == 3


def test_a_looping_file_starts_again_and_goes_on_counting(slow_video: Path) -> None:
    frame = next_frame(opened(slow_video, epoch_ns=frames_ago(7.1), loop=True))
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


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CameraError, match=r"no such file; check cameras\.top\.path"):
        opened("/nowhere/part.avi")


def test_a_frame_that_is_damaged_is_lost_and_the_next_one_comes(slow_video: Path) -> None:
    """Cut short inside its container: what decoders patch up in silence must not be scored."""
    data = bytearray(slow_video.read_bytes())
    starts = [k for k in range(len(data)) if data[k : k + 3] == b"\xff\xd8\xff"]
    middle = (starts[1] + starts[2]) // 2
    data[middle : starts[2] - 8] = bytes(starts[2] - 8 - middle)
    slow_video.write_bytes(data)
    camera = opened(slow_video, epoch_ns=frames_ago(1.5))
    with pytest.raises(FrameLost, match="frame 1 is damaged"):
        camera.read(0.1)
    camera = opened(slow_video, epoch_ns=frames_ago(2.5))
    assert red_of(next_frame(camera)) == 2


def test_an_image_that_claims_to_be_huge_is_refused_before_it_is_decoded(slow_video: Path) -> None:
    data = bytearray(slow_video.read_bytes())
    for k in range(len(data)):
        if data[k : k + 2] == b"\xff\xc0":
            data[k + 5 : k + 9] = b"\xff\xdc\xff\xdc"  # 65500 x 65500
    slow_video.write_bytes(data)
    camera = opened(slow_video, epoch_ns=frames_ago(1.5))
    with pytest.raises(FrameLost):
        camera.read(0.1)


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
    device = V4l2Config(kind="v4l2", device="/dev/v4l/by-id/usb-cam@1")
    assert public_source(GenicamConfig(kind="genicam", serial="40012345")) == "serial 40012345"
    assert public_source(device) == "/dev/v4l/by-id/usb-cam@1"
    assert public_source(ReplayConfig(kind="replay", parts=Path("parts"))) == "parts"

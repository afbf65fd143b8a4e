"""Drivers in processes of their own: they hang, crash and end without the line noticing more than a gap."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeflow.cameras.camera import EndOfStream, Frame, FrameLost
from edgeflow.cameras.process import ProcessCamera
from edgeflow.cameras.shared_frames import RingReader, RingWriter
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import FileConfig, GenicamConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.errors import CameraError
from tests.support.fake_cameras import FakeCamera, fake_cameras
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.xdist_group("cameras")  # they have fixed addresses


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Fifty frames, each of its own grey."""
    path = tmp_path / "part.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (48, 32))
    for k in range(50):
        writer.write(np.full((32, 48, 3), 5 * k, np.uint8))
    writer.release()
    return path


@pytest.fixture
def camera(video: Path) -> Iterator[ProcessCamera]:
    made = ProcessCamera("top", FileConfig(kind="file", path=video, loop=True, read_timeout_ms=200))
    made.open(monotonic_ns())
    yield made
    made.close()


def next_frame(camera: ProcessCamera) -> Frame:
    frame = camera.read(PATIENCE_S)
    assert frame is not None
    return frame


def read_until_it_ends(camera: ProcessCamera) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        camera.read(0.1)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_frames_of_a_child_are_what_its_driver_gave(camera: ProcessCamera) -> None:
    frame = next_frame(camera)
    assert (frame.view, frame.image.shape, frame.image.dtype) == ("top", (32, 48, 3), np.uint8)
    assert abs(int(frame.image[0, 0, 0]) - 5 * (frame.frame_id % 50)) <= 3
    assert frame.captured_ns <= monotonic_ns()


def test_an_image_that_somebody_holds_never_changes(camera: ProcessCamera) -> None:
    """More are held than shared memory has room for: what comes then is lost, and said so."""
    held: list[RgbImage] = []
    with pytest.raises(FrameLost, match="all 16 images are in use"):
        held.extend(frame.image for frame in iter(lambda: next_frame(camera), None))
    kept = [image.copy() for image in held]
    assert len(held) == 16
    assert not held[0].flags.writeable
    with pytest.raises(FrameLost):
        next_frame(camera)
    assert all(np.array_equal(a, b) for a, b in zip(held, kept, strict=True))


def test_an_image_outlives_its_camera(camera: ProcessCamera) -> None:
    frame = next_frame(camera)
    before = frame.image.copy()
    camera.close()
    assert np.array_equal(frame.image, before)


def test_a_driver_that_crashes_is_named_and_can_be_started_again(camera: ProcessCamera) -> None:
    earlier = next_frame(camera)
    assert camera.pid is not None
    os.kill(camera.pid, signal.SIGSEGV)
    with pytest.raises(CameraError, match=r"camera 'top': its driver crashed \(SIGSEGV\)"):
        read_until_it_ends(camera)
    camera.close()
    camera.open(monotonic_ns())
    assert next_frame(camera).frame_id > earlier.frame_id


def test_a_driver_that_hangs_is_killed(camera: ProcessCamera) -> None:
    next_frame(camera)
    pid = camera.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    camera.trigger("t1")  # never blocks
    with pytest.raises(CameraError, match="its driver hangs: silent for"):
        read_until_it_ends(camera)
    camera.close()
    assert is_gone(pid)


def test_triggers_for_a_driver_that_hangs_are_told_as_missed_and_never_wait(camera: ProcessCamera) -> None:
    """While the reader waits for its next message, hundreds of triggers find no room any more."""
    assert camera.pid is not None
    next_frame(camera)
    os.kill(camera.pid, signal.SIGSTOP)
    missed: list[FrameLost] = []
    ends: list[CameraError] = []

    def read() -> None:
        while not ends:
            try:
                camera.read(0.2)
            except FrameLost as lost:
                missed.append(lost)
            except CameraError as end:
                ends.append(end)

    reader = threading.Thread(target=read)
    reader.start()
    begun = time.monotonic()
    for number in range(1000):
        camera.trigger(f"t{number}")
    waited_s = time.monotonic() - begun
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert missed[-1].trigger_id == "t999"
    assert "takes no triggers" in str(missed[-1])
    assert "its driver hangs" in str(ends[0])
    assert waited_s < 5, "each one that waited for the reader would have cost 0.2 s"


def test_a_hanging_driver_does_not_hold_up_the_end(camera: ProcessCamera) -> None:
    pid = camera.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    camera.close()
    assert is_gone(pid)


def test_an_error_of_the_driver_arrives_as_its_own(tmp_path: Path) -> None:
    camera = ProcessCamera("top", FileConfig(kind="file", path=tmp_path / "none.avi"))
    with pytest.raises(CameraError, match=r"camera 'top' .*no such file; check cameras\.top\.path"):
        camera.open(0)
    camera.close()
    with pytest.raises(CameraError, match="before it was opened"):
        camera.read(0)


def test_the_end_of_a_recording_arrives(video: Path) -> None:
    camera = ProcessCamera("top", FileConfig(kind="file", path=video))
    camera.open(monotonic_ns() - 900_000_000)
    with pytest.raises(EndOfStream):
        read_until_it_ends(camera)
    camera.close()


def test_a_child_ends_with_its_parent_even_where_both_are_stuck(video: Path) -> None:
    """The parent is killed without a word while the child is stopped."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from edgeflow.cameras.process import ProcessCamera\n"
        "from edgeflow.config.box import FileConfig\n"
        "camera = ProcessCamera('top', FileConfig(kind='file', path=Path(sys.argv[1]), loop=True))\n"
        "camera.open(time.monotonic_ns())\n"
        "print(camera.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(video)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    wait_until(lambda: is_gone(pid))


def test_slots_are_used_again_only_when_the_last_view_of_them_is_gone() -> None:
    writer = RingWriter(slots=2, image_bytes=12)
    reader = RingReader(os.dup(writer.fd), slot_bytes=writer.slot_bytes)
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert [writer.place(image), writer.place(image), writer.place(image)] == [0, 1, None]
    corner = reader.take(1, 2, 2)[1:, 1:]  # a view of a view keeps its slot
    assert writer.place(image) is None
    assert corner.tolist() == [[[9, 10, 11]]]
    del corner
    assert writer.place(image) == 1
    with pytest.raises(ValueError, match="no image"):
        reader.take(0, 65500, 65500)
    writer.close()


def hold_up(camera: ProcessCamera) -> None:
    wait_until(lambda: camera.pid is not None)
    pid = camera.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3.3)
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def slow(video: Path) -> Iterator[ProcessCamera]:
    """Its child is held up while it starts, for longer than a driver may be silent later."""
    made = ProcessCamera("top", FileConfig(kind="file", path=video, loop=True, read_timeout_ms=100))
    delaying = threading.Thread(target=hold_up, args=(made,))
    delaying.start()
    made.open(monotonic_ns())  # in this thread, with which the child ends
    delaying.join()
    yield made
    made.close()


@pytest.fixture
def fake() -> Iterator[FakeCamera]:
    with fake_cameras(1) as (made,):
        yield made


def test_a_camera_that_was_killed_is_back_soon_after_its_return(fake: FakeCamera) -> None:
    camera = ProcessCamera("top", GenicamConfig(kind="genicam", serial="FAKE2", read_timeout_ms=500))
    camera.open(0)
    camera.trigger("t1")
    next_frame(camera)
    fake.kill()
    camera.trigger("t2")
    with pytest.raises(CameraError, match=r"camera 'top' \(serial FAKE2\)"):
        read_until_it_ends(camera)
    camera.close()
    with pytest.raises(CameraError, match="attached are: none"):
        camera.open(0)
    fake.start()
    camera.open(0)
    camera.trigger("t3")
    assert next_frame(camera).frame_id == 1
    camera.close()


def test_a_driver_that_was_slow_to_open_is_not_taken_for_hanging(slow: ProcessCamera) -> None:
    assert slow.pid is not None
    os.kill(slow.pid, signal.SIGSTOP)
    assert slow.read(0.3) is None
    os.kill(slow.pid, signal.SIGCONT)
    assert next_frame(slow).image.shape == (32, 48, 3)

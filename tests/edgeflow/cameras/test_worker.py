"""One camera in its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edgeflow.cameras.camera import EndOfStream, Frame, FrameLost
from edgeflow.cameras.worker import CameraWorker
from edgeflow.clock import monotonic_ns
from edgeflow.errors import CameraError
from tests.support.waiting import PATIENCE_S


class StagedCamera:
    """A camera that does in ``read`` what the test hands it: a frame, an error, or nothing."""

    def __init__(self, openings: int = 100) -> None:
        self.view = "top"
        self.serial: str | None = None
        self.acts: queue.SimpleQueue[Frame | Exception] = queue.SimpleQueue()
        self.triggers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.hang = threading.Event()
        self.hang.set()
        self.closed = threading.Event()
        self._openings = openings

    def open(self, epoch_ns: int) -> None:  # noqa: ARG002 - the interface's own
        self.closed.clear()
        self._openings -= 1
        if self._openings < 0:
            raise CameraError("camera 'top': unplugged; check its cable")

    def trigger(self, trigger_id: str) -> None:
        self.triggers.put(trigger_id)

    def read(self, timeout_s: float) -> Frame | None:
        self.hang.wait()
        try:
            act = self.acts.get(timeout=min(timeout_s, 0.01))
        except queue.Empty:
            return None
        if isinstance(act, Exception):
            raise act
        return act

    def close(self) -> None:
        self.closed.set()

    def give(self, number: int) -> None:
        image = np.zeros((1, 1, 3), np.uint8)
        self.acts.put(Frame(view="top", image=image, captured_ns=monotonic_ns(), frame_id=number))


class Bench:
    """A worker on a camera, and what it reported."""

    def __init__(
        self, camera: StagedCamera, *, overdue_ms: float = 60_000, free_running: bool = True
    ) -> None:
        self.camera = camera
        self.frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self.lost: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self.ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.worker = CameraWorker(
            camera,
            epoch_ns=0,
            overdue_ms=overdue_ms,
            free_running=free_running,
            on_frame=self.frames.put,
            on_lost=lambda view, trigger_id: self.lost.put((view, trigger_id)),
            on_end=self.ended.put,
        )
        self.worker.start()

    def wait_open(self) -> CameraError | None:
        return self.worker.wait_open(monotonic_ns() + round(PATIENCE_S * 1e9))


@pytest.fixture
def camera() -> Iterator[StagedCamera]:
    staged = StagedCamera()
    yield staged
    staged.hang.set()


def ended(bench: Bench) -> None:
    bench.worker.stop()
    assert bench.worker.join(PATIENCE_S)


def test_frames_come_as_they_are_read_and_health_says_online(camera: StagedCamera) -> None:
    bench = Bench(camera)
    assert bench.wait_open() is None
    for number in range(3):
        camera.give(number)
    assert [bench.frames.get(timeout=PATIENCE_S).frame_id for _ in range(3)] == [0, 1, 2]
    health = bench.worker.health()
    assert (health.status, health.detail, health.reconnects) == ("online", "", 0)
    assert health.fps is not None
    assert health.fps > 0
    assert health.last_frame_age_ms is not None
    ended(bench)
    assert camera.closed.is_set()


def test_a_camera_that_fails_is_reopened(camera: StagedCamera) -> None:
    bench = Bench(camera)
    camera.acts.put(CameraError("camera 'top': connection lost; check its cable"))
    assert camera.closed.wait(PATIENCE_S)
    assert bench.worker.health().status == "offline"
    assert bench.worker.health().detail == "camera 'top': connection lost; check its cable"
    camera.give(0)
    assert bench.frames.get(timeout=PATIENCE_S).frame_id == 0
    assert (bench.worker.health().status, bench.worker.health().reconnects) == ("online", 1)
    ended(bench)


def test_a_driver_with_an_unforeseen_failure_is_reopened_too(camera: StagedCamera) -> None:
    bench = Bench(camera)
    camera.acts.put(RuntimeError("inside the driver"))
    assert camera.closed.wait(PATIENCE_S)
    assert "inside the driver" in bench.worker.health().detail
    camera.give(0)
    assert bench.frames.get(timeout=PATIENCE_S).frame_id == 0
    ended(bench)


def test_a_lost_frame_is_reported_and_the_camera_stays_open(camera: StagedCamera) -> None:
    bench = Bench(camera)
    camera.acts.put(FrameLost("camera 'top': frame 3 is incomplete", trigger_id="t3"))
    assert bench.lost.get(timeout=PATIENCE_S) == ("top", "t3")
    assert bench.worker.health().detail == "camera 'top': frame 3 is incomplete"
    camera.give(4)
    assert bench.frames.get(timeout=PATIENCE_S).frame_id == 4
    assert (bench.worker.health().reconnects, bench.worker.health().detail) == (0, "")
    ended(bench)


def test_lost_frames_are_counted_and_a_camera_that_gives_nothing_else_is_stale(camera: StagedCamera) -> None:
    bench = Bench(camera, overdue_ms=50)
    for _ in range(3):
        camera.acts.put(FrameLost("camera 'top': pictures come late; check the network"))
        assert bench.lost.get(timeout=PATIENCE_S) == ("top", None)
    while bench.worker.health().status == "online":
        camera.acts.put(FrameLost("camera 'top': pictures come late; check the network"))
        camera.closed.wait(0.01)
    health = bench.worker.health()
    assert health.frames_lost >= 3
    assert health.detail.startswith("no usable frame for")
    assert health.detail.endswith("pictures come late; check the network")
    assert health.unusable == "camera 'top': pictures come late; check the network"
    camera.give(0)
    bench.frames.get(timeout=PATIENCE_S)
    assert bench.worker.health().unusable == ""
    ended(bench)


def test_a_lost_frame_of_a_trigger_is_its_answer(camera: StagedCamera) -> None:
    bench = Bench(camera, overdue_ms=0.001, free_running=False)
    assert bench.wait_open() is None
    assert bench.worker.trigger("t0")
    camera.acts.put(FrameLost("camera 'top': frame 0 is incomplete", trigger_id="t0"))
    bench.lost.get(timeout=PATIENCE_S)
    assert bench.worker.health().status == "online"
    ended(bench)


def test_the_end_of_a_recording_ends_the_thread(camera: StagedCamera) -> None:
    bench = Bench(camera)
    camera.acts.put(EndOfStream())
    assert bench.ended.get(timeout=PATIENCE_S) == "top"
    assert bench.worker.join(PATIENCE_S)
    assert (bench.worker.health().status, bench.worker.health().detail) == (
        "offline",
        "the recording is over",
    )
    assert bench.worker.trigger("t9"), "a recording that is over misses nothing"


def test_a_camera_that_cannot_be_opened_says_why() -> None:
    bench = Bench(StagedCamera(openings=0))
    error = bench.wait_open()
    assert error is not None
    assert "unplugged" in str(error)
    assert not bench.worker.trigger("t0")
    ended(bench)


def test_a_read_that_hangs_makes_the_camera_stale_and_holds_up_nobody(camera: StagedCamera) -> None:
    camera.hang.clear()
    bench = Bench(camera, overdue_ms=1)
    assert bench.wait_open() is None
    while bench.worker.health().status == "online":
        camera.closed.wait(0.002)
    assert bench.worker.health().status == "stale"
    assert "check the camera's cable" in bench.worker.health().detail
    bench.worker.stop()
    assert not bench.worker.join(0.01)
    camera.hang.set()
    assert bench.worker.join(PATIENCE_S)


def test_a_triggered_camera_is_stale_only_while_a_triggered_frame_is_overdue(camera: StagedCamera) -> None:
    bench = Bench(camera, overdue_ms=0.001, free_running=False)
    assert bench.wait_open() is None
    assert bench.worker.health().status == "online"
    assert bench.worker.trigger("t0")
    assert camera.triggers.get(timeout=PATIENCE_S) == "t0"
    while bench.worker.health().status == "online":
        camera.closed.wait(0.002)
    camera.give(0)
    bench.frames.get(timeout=PATIENCE_S)
    assert bench.worker.health().status == "online"
    ended(bench)

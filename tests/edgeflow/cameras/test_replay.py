"""Recorded parts played as a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.cameras.camera import EndOfStream, Frame, FrameLost
from edgeflow.cameras.drivers import make_camera
from edgeflow.cameras.pacing import Pace
from edgeflow.cameras.replay import ReplayCamera
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import ReplayConfig
from edgeflow.errors import CameraError

PART_COUNT = 3


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Three parts; part k is grey level 10·k in view ``top`` and 10·k + 1 in view ``left``."""
    for part in range(PART_COUNT):
        folder = tmp_path / f"part{part}"
        folder.mkdir()
        for offset, view in enumerate(("top", "left")):
            Image.new("RGB", (4, 3), (10 * part + offset,) * 3).save(folder / f"{view}.png")
    return tmp_path


def replay(
    parts: Path, view: str = "top", *, epoch_ns: int = 0, loop: bool = False, rate_hz: float | None = None
) -> ReplayCamera:
    camera = ReplayCamera(view, ReplayConfig(kind="replay", parts=parts, loop=loop, rate_hz=rate_hz))
    camera.open(epoch_ns)
    return camera


def triggered(camera: ReplayCamera, trigger_id: str) -> Frame:
    camera.trigger(trigger_id)
    frame = camera.read(1.0)
    assert frame is not None
    return frame


def test_each_trigger_delivers_the_next_part(parts: Path) -> None:
    camera = replay(parts)
    before_ns = monotonic_ns()
    frames = [triggered(camera, f"t{n}") for n in range(PART_COUNT)]
    assert [frame.part_id for frame in frames] == ["part0", "part1", "part2"]
    assert [frame.trigger_id for frame in frames] == ["t0", "t1", "t2"]
    assert [frame.frame_id for frame in frames] == [0, 1, 2]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 10, 20]
    assert before_ns <= frames[0].captured_ns <= frames[1].captured_ns <= monotonic_ns()
    assert frames[0].image.shape == (3, 4, 3)


def test_the_stamp_is_of_the_trigger_even_if_the_reader_comes_later(parts: Path) -> None:
    camera = replay(parts)
    camera.trigger("t0")
    triggered_ns = monotonic_ns()
    frame = camera.read(1.0)
    assert frame is not None
    assert frame.captured_ns <= triggered_ns


def test_nothing_comes_without_a_trigger(parts: Path) -> None:
    assert replay(parts).read(0.01) is None


def test_the_recording_ends_after_its_last_part(parts: Path) -> None:
    camera = replay(parts)
    for n in range(PART_COUNT):
        triggered(camera, f"t{n}")
    with pytest.raises(EndOfStream):
        camera.read(1.0)


def test_a_looping_recording_starts_again_and_goes_on_counting(parts: Path) -> None:
    camera = replay(parts, loop=True)
    frames = [triggered(camera, f"t{n}") for n in range(PART_COUNT + 1)]
    assert (frames[-1].part_id, frames[-1].frame_id) == ("part0", PART_COUNT)


def test_a_damaged_image_is_one_lost_frame_that_names_the_file(parts: Path) -> None:
    damaged = parts / "part1" / "top.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    camera = replay(parts)
    triggered(camera, "t0")
    camera.trigger("t1")
    with pytest.raises(FrameLost, match=r"part1/top\.png") as lost:
        camera.read(1.0)
    assert isinstance(lost.value, CameraError)
    assert lost.value.trigger_id == "t1"
    assert triggered(camera, "t2").part_id == "part2"


def test_closed_and_opened_again_it_goes_on_with_the_next_part(parts: Path) -> None:
    camera = replay(parts)
    triggered(camera, "t0")
    camera.close()
    camera.close()
    camera.open(0)
    assert triggered(camera, "t1").part_id == "part1"


def test_a_missing_folder_is_a_camera_error_that_names_camera_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"camera 'top': .*nowhere: no such folder"):
        replay(tmp_path / "nowhere")


def test_parts_without_the_view_are_all_named(parts: Path) -> None:
    (parts / "part0" / "top.png").unlink()
    (parts / "part2" / "top.png").unlink()
    with pytest.raises(CameraError) as error:
        replay(parts)
    assert [problem for problem in error.value.problems if "missing view top" in problem] == [
        "part part0: missing view top",
        "part part2: missing view top",
    ]


def test_reading_a_camera_that_is_not_open_is_refused(parts: Path) -> None:
    camera = ReplayCamera("top", ReplayConfig(kind="replay", parts=parts))
    with pytest.raises(CameraError, match="before it was opened"):
        camera.read(0)


def test_the_recording_may_have_another_name_for_the_view(parts: Path) -> None:
    config = ReplayConfig(kind="replay", parts=parts, view="left")
    camera = make_camera("front", config)
    camera.open(0)
    camera.trigger("t0")
    frame = camera.read(1.0)
    assert frame is not None
    assert (frame.view, int(frame.image[0, 0, 0])) == ("front", 1)


def test_paced_cameras_of_one_epoch_are_in_step(parts: Path) -> None:
    epoch_ns = monotonic_ns() + 20_000_000
    cameras = [replay(parts, view, epoch_ns=epoch_ns, loop=True, rate_hz=100) for view in ("top", "left")]
    frames = [camera.read(1.0) for camera in cameras]
    assert all(frame is not None for frame in frames)
    for frame in frames:
        assert frame is not None
        assert frame.captured_ns == epoch_ns + frame.frame_id * 10_000_000
        assert frame.captured_ns <= monotonic_ns()
        assert frame.part_id == f"part{frame.frame_id % PART_COUNT}"
        assert np.all(frame.image == 10 * (frame.frame_id % PART_COUNT) + (frame.view == "left"))


def test_a_paced_frame_that_is_not_due_yet_is_not_delivered(parts: Path) -> None:
    camera = replay(parts, epoch_ns=monotonic_ns() + 3_600_000_000_000, rate_hz=1)
    camera.trigger("ignored")
    assert camera.read(0.01) is None


def test_a_slow_reader_of_a_paced_recording_misses_frames(parts: Path) -> None:
    period_ns = 3_600_000_000_000
    camera = replay(parts, epoch_ns=monotonic_ns() - period_ns * 5 // 2, loop=True, rate_hz=1 / 3600)
    frame = camera.read(1.0)
    assert frame is not None
    assert (frame.frame_id, frame.part_id) == (2, "part2")
    assert camera.read(0.01) is None


def test_a_paced_recording_ends(parts: Path) -> None:
    camera = replay(parts, epoch_ns=monotonic_ns() - 1_000_000_000, rate_hz=10)
    with pytest.raises(EndOfStream):
        camera.read(1.0)


def test_the_pace_does_not_drift_at_odd_rates() -> None:
    pace = Pace(epoch_ns=7, rate_hz=30000 / 1001)
    assert pace.due_ns(30_000) == 7 + 1_001_000_000_000
    assert pace.current(pace.due_ns(30_000) + 1) == 30_000
    assert pace.current(0) == -1

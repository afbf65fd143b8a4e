"""All cameras of a box together, on recorded parts."""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeflow.alarms import Alarms
from edgeflow.cameras.camera import Frame
from edgeflow.capture.capture import Capture
from edgeflow.capture.part_product import PartProduct, ProductTimeline
from edgeflow.capture.trigger_messages.mqtt_triggers import MqttTriggers
from edgeflow.capture.view_set import ViewSet
from edgeflow.capture.view_set_queue import OVERRUN
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.config.camera_views import check_views
from edgeflow.config.capture import SyncConfig
from edgeflow.contracts.messages import Alarm
from edgeflow.errors import CameraError, ConfigError
from edgeflow.mqtt.subscriptions import Incoming
from tests.support.waiting import PATIENCE_S, wait_until

VIEWS = ("top", "left", "right")
PART_COUNT = 6
TIMEOUT_MS = 5000.0
PARTS = [f"part{n}" for n in range(PART_COUNT)]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Part k has grey level 10·k + v in view number v."""
    for number, part in enumerate(PARTS):
        folder = tmp_path / "recorded" / part
        folder.mkdir(parents=True)
        for offset, view in enumerate(VIEWS):
            Image.new("RGB", (4, 3), (10 * number + offset,) * 3).save(folder / f"{view}.png")
    return tmp_path / "recorded"


def box(
    parts: Path,
    *,
    period_ms: float | None = 20.0,
    timeout_ms: float = TIMEOUT_MS,
    source: str = "",
    cameras: dict[str, object] | None = None,
    **replay: object,
) -> BoxConfig:
    recorded = {view: {"kind": "replay", "parts": parts, **replay} for view in VIEWS}
    source = source or ("free" if period_ms is None else "interval")
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": parts,
        "trigger": {"source": source, "period_ms": period_ms, "timeout_ms": timeout_ms},
        "cameras": {**recorded, **(cameras or {})},
        "sync": {"max_skew_ms": 1000.0},
        "decision": {"deadline_ms": 1000.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": parts / "outbox.db"},
    }
    return BoxConfig.model_validate(document)


def captured(config: BoxConfig) -> list[ViewSet]:
    with Capture(config, VIEWS, "s") as capture:
        return list(capture.view_sets())


def test_a_recording_comes_out_complete_and_in_order(parts: Path) -> None:
    sets = captured(box(parts, period_ms=50.0))
    assert [s.part_id for s in sets] == PARTS
    assert [s.trigger_id for s in sets] == [f"s-{n:06d}" for n in range(1, PART_COUNT + 1)]
    for number, view_set in enumerate(sets):
        assert (view_set.missing, view_set.fault) == ((), "")
        for offset, view in enumerate(VIEWS):
            frame = view_set.frames[view]
            assert int(frame.image[0, 0, 0]) == 10 * number + offset
            assert frame.captured_ns >= view_set.triggered_ns


def test_paced_recordings_come_out_as_matching_sets(parts: Path) -> None:
    sets = captured(box(parts, period_ms=None, rate_hz=20.0))
    complete = [s for s in sets if not s.missing]
    assert complete
    assert [s.part_id for s in complete] == sorted(s.part_id for s in complete)
    for view_set in complete:
        assert (view_set.skew_ms, view_set.fault) == (0.0, "")
        assert view_set.part_id in PARTS


def test_a_damaged_image_costs_one_view_of_one_part(parts: Path) -> None:
    (parts / "part2" / "left.png").write_bytes(b"\x89PNG damaged")
    sets = captured(box(parts, period_ms=50.0))
    assert [s.part_id for s in sets] == PARTS
    assert [s.missing for s in sets] == [(), (), ("left",), (), (), ()]


def test_nobody_waits_for_a_frame_that_is_known_to_be_lost(parts: Path) -> None:
    (parts / "part0" / "left.png").write_bytes(b"\x89PNG damaged")
    with Capture(box(parts, period_ms=60_000.0), VIEWS, "s") as capture:
        view_set = next(capture.view_sets())
        assert monotonic_ns() - view_set.triggered_ns < TIMEOUT_MS * 1e6
    assert view_set.missing == ("left",)


def test_a_slow_consumer_gets_overruns_in_order_and_never_a_gap(parts: Path) -> None:
    with Capture(box(parts, period_ms=5.0), VIEWS, "s") as capture:
        view_sets = capture.view_sets()
        first = next(view_sets)
        capture._thread.join(PATIENCE_S)  # every other set is waiting now
        sets = [first, *view_sets]
    assert [s.trigger_id for s in sets] == [f"s-{n:06d}" for n in range(1, PART_COUNT + 1)]
    assert [s.part_id for s in sets] == PARTS
    assert [s.fault for s in sets[1:]] == [OVERRUN, OVERRUN, OVERRUN, "", ""]
    assert [len(s.frames) for s in sets[1:]] == [0, 0, 0, 3, 3]
    assert all(s.missing == () for s in sets)


def test_a_looping_recording_goes_on_until_it_is_stopped(parts: Path) -> None:
    with Capture(box(parts, period_ms=10.0, loop=True), VIEWS, "s") as capture:
        sets = []
        for view_set in capture.view_sets():
            sets.append(view_set)
            if len(sets) == PART_COUNT + 2:
                capture.stop()
    assert len(sets) >= PART_COUNT + 2
    assert [s.trigger_id for s in sets] == [f"s-{n:06d}" for n in range(1, len(sets) + 1)]
    assert [s.part_id for s in sets if s.frames] == [
        PARTS[n % PART_COUNT] for n, s in enumerate(sets) if s.frames
    ]


@pytest.fixture
def sigusr1() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("sigusr1")
def test_stop_works_from_a_signal_handler(parts: Path) -> None:
    with Capture(box(parts, period_ms=10.0, loop=True), VIEWS, "s") as capture:
        signal.signal(signal.SIGUSR1, lambda *_: capture.stop())
        count = 0
        for _ in capture.view_sets():
            count += 1
            signal.raise_signal(signal.SIGUSR1)
    assert count >= 1


def test_stopped_before_its_first_trigger_nothing_comes_out(parts: Path) -> None:
    with Capture(box(parts), VIEWS, "s") as capture:
        capture.stop()
        assert list(capture.view_sets()) == []


def test_stopping_free_cameras_ends_the_view_sets(parts: Path) -> None:
    with Capture(box(parts, period_ms=None, rate_hz=100.0, loop=True), VIEWS, "s") as capture:
        sets = list(islice(capture.view_sets(), 2))
        capture.stop()
        assert len(sets) == 2
        assert len(list(capture.view_sets())) < 50


def test_closing_ends_the_view_sets_too(parts: Path) -> None:
    with Capture(box(parts, loop=True), VIEWS, "s") as capture:
        view_sets = capture.view_sets()
        next(view_sets)
    assert len(list(view_sets)) < 50
    capture.close()


def test_a_shorter_recording_leaves_its_view_missing(parts: Path, tmp_path: Path) -> None:
    short = tmp_path / "short" / "part0"
    short.mkdir(parents=True)
    (parts / "part0" / "left.png").rename(short / "left.png")
    Image.new("RGB", (4, 3)).save(parts / "part0" / "left.png")
    cameras: dict[str, object] = {"left": {"kind": "replay", "parts": short.parent}}
    sets = captured(box(parts, period_ms=50.0, cameras=cameras))
    assert [s.missing for s in sets] == [(), *[("left",)] * (PART_COUNT - 1)]


def test_all_cameras_that_cannot_be_opened_are_named_at_once(parts: Path, tmp_path: Path) -> None:
    cameras: dict[str, object] = {
        "top": {"kind": "replay", "parts": tmp_path / "nowhere"},
        "right": {"kind": "v4l2", "device": "/dev/v4l/by-id/none"},
    }
    capture = Capture(box(parts, cameras=cameras), VIEWS, "s")
    with pytest.raises(CameraError, match="2 of 3 cameras cannot be opened") as error, capture:
        pass
    assert error.value.exit_code == 6
    top, right = error.value.problems
    assert "camera 'top'" in top
    assert "no such folder" in top
    assert "/dev/v4l/by-id" in right
    assert not any(worker._thread.is_alive() for worker in capture._cameras._workers.values())


def test_cameras_and_views_that_do_not_agree_are_all_named(parts: Path) -> None:
    with pytest.raises(ConfigError) as error:
        check_views(box(parts), ("top", "back", "bottom"))
    assert error.value.problems == (
        "cameras.back: missing; the bundle has this view",
        "cameras.bottom: missing; the bundle has this view",
        "cameras.left: no view of the bundle; its views: top, back, bottom",
        "cameras.right: no view of the bundle; its views: top, back, bottom",
    )
    check_views(box(parts), ("right", "left", "top"))


def line_message(**fields: object) -> Incoming:
    """A message on the trigger topic, as it comes from the broker."""
    return Incoming(
        topic="trigger",
        payload=json.dumps(fields).encode(),
        retained=False,
        duplicate=False,
        received_ns=monotonic_ns(),
    )


def test_part_ids_travel_from_the_lines_trigger_to_the_view_set(parts: Path) -> None:
    triggers = MqttTriggers()
    config = box(parts, period_ms=None, source="mqtt")
    sets: list[ViewSet] = []
    with Capture(config, VIEWS, "s", messages=triggers) as capture:
        triggers.handle(line_message(trigger_id="early"))
        view_sets = capture.view_sets()
        triggers.handle(line_message(trigger_id="t0", part_id="p0", encoder=0))  # before anybody takes one
        waiter = threading.Thread(target=lambda: sets.extend(view_sets))
        waiter.start()
        wait_until(lambda: len(sets) == 1)
        for number, expected in ((1, 2), (2, 3), (2, 3), (4, 4), (3, 5)):
            triggers.handle(line_message(trigger_id=f"t{number}", part_id=f"p{number}", encoder=number))
            wait_until(lambda expected=expected: len(sets) == expected)
        triggers.handle(line_message(trigger_id="t9", part_id="p1"))
        triggers.handle(line_message(nonsense=True))
        capture.stop()
        waiter.join(PATIENCE_S)
        tally = capture.tally()
    assert [(s.trigger_id, s.part_id, s.encoder) for s in sets] == [
        ("t0", "p0", 0), ("t1", "p1", 1), ("t2", "p2", 2), ("t4", "p4", 4), ("t3", "p3", 3),
    ]  # fmt: skip
    assert [len(s.frames) for s in sets] == [3, 3, 3, 3, 0]
    assert "encoder 3 after 4" in sets[-1].fault
    assert triggers.counts == {
        "not_ready": 1, "accepted": 4, "duplicate": 1, "out_of_order": 1, "decided": 1, "invalid": 1,
    }  # fmt: skip
    assert (tally.triggers, tally.view_sets, tally.refused) == (5, 5, 1)
    assert tally.frames == {"top": 4, "left": 4, "right": 4}


def test_a_decided_part_is_under_way_no_more(parts: Path) -> None:
    triggers = MqttTriggers()
    sets: list[ViewSet] = []
    config = box(parts, period_ms=None, source="mqtt", loop=True)
    with Capture(config, VIEWS, "s", messages=triggers) as capture:
        view_sets = capture.view_sets()
        waiter = threading.Thread(target=lambda: sets.extend(view_sets))
        waiter.start()
        for number in range(130):  # more than may be under way
            triggers.handle(line_message(trigger_id=str(number)))
            wait_until(lambda number=number: len(sets) > number)
        capture.stop()
        waiter.join(PATIENCE_S)
    assert "crowded" not in triggers.counts


def test_hardware_triggered_recordings_come_out_complete_and_in_order(parts: Path) -> None:
    sets = captured(box(parts, period_ms=None, source="hardware", rate_hz=20.0))
    complete = [s for s in sets if not s.missing and not s.fault]
    assert complete
    assert [s.part_id for s in complete] == sorted(s.part_id for s in complete)


class Told:
    """Records published alarms."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, Alarm | None]] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.alarms.append((name, alarm))


def test_the_first_trigger_without_a_frame_is_an_alarm(parts: Path) -> None:
    (parts / "part2" / "left.png").write_bytes(b"\x89PNG damaged")
    told = Told()
    with Capture(box(parts, period_ms=50.0), VIEWS, "s", alarms=Alarms("s", told)) as capture:
        sets = list(capture.view_sets())
        tally = capture.tally()
    assert len(sets) == tally.view_sets == PART_COUNT
    assert tally.frames == {"top": PART_COUNT, "left": PART_COUNT - 1, "right": PART_COUNT}
    assert not tally.agrees
    ((name, alarm),) = told.alarms
    assert name == "sync_mismatch"
    assert alarm is not None
    assert "'s-000003' has no frame of view 'left'" in alarm.text


@pytest.mark.parametrize(("max_skew_ms", "expected"), [(400.0, ["sync_ambiguous"]), (20.0, [])])
def test_parts_that_the_tolerance_cannot_tell_apart_are_an_alarm(
    parts: Path, max_skew_ms: float, expected: list[str]
) -> None:
    """Recordings that play by themselves: all views of a part at one moment, 200 ms before the next part."""
    told = Told()
    config = box(parts, period_ms=None, rate_hz=5.0)
    config = config.model_copy(update={"sync": SyncConfig(max_skew_ms=max_skew_ms)})
    with Capture(config, VIEWS, "s", alarms=Alarms("s", told)) as capture:
        assert len([s for s in capture.view_sets() if not s.missing]) > 1
    assert [name for name, alarm in told.alarms if alarm and "neighbouring parts" in alarm.text] == expected


def test_every_camera_has_a_status(parts: Path) -> None:
    with Capture(box(parts, period_ms=10.0, loop=True), VIEWS, "s") as capture:
        for view_set in islice(capture.view_sets(), 3):
            assert not view_set.missing
        statuses = capture.statuses()
    assert list(statuses) == list(VIEWS)
    assert {health.status for health in statuses.values()} == {"online"}
    assert all(health.fps and health.fps > 0 for health in statuses.values())


def never_answering(parts: Path, timeout_ms: float) -> BoxConfig:
    """A box whose left camera does not answer; a video of one frame in 100 s stands in for it."""
    video = parts.parent / "slow.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 0.01, (48, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 48, 3), np.uint8))
    writer.release()
    cameras: dict[str, object] = {"left": {"kind": "file", "path": video}}
    return box(parts, period_ms=60_000.0, timeout_ms=timeout_ms, cameras=cameras)


def test_a_part_does_not_wait_for_a_camera_that_its_product_lacks(parts: Path) -> None:
    timeline = ProductTimeline(PartProduct(name="A"))
    timeline.views_of = {"A": ("top", "right")}.get
    told = Told()
    config = never_answering(parts, timeout_ms=300_000.0)
    with Capture(config, VIEWS, "s", alarms=Alarms("s", told), products=timeline) as capture:
        view_set = next(capture.view_sets())
        tally = capture.tally()
    assert (list(view_set.frames), view_set.missing) == (["top", "right"], ())
    assert (tally.frames, tally.unasked["left"]) == ({"top": 1, "left": 0, "right": 1}, 1)
    assert told.alarms == []


def test_a_view_that_never_answers_expires_although_no_frame_comes(parts: Path) -> None:
    with Capture(never_answering(parts, timeout_ms=100.0), VIEWS, "s") as capture:
        view_set = next(capture.view_sets())
    assert (view_set.trigger_id, view_set.missing) == ("s-000001", ("left",))
    assert list(view_set.frames) == ["top", "right"]


def test_whoever_takes_parts_has_a_turn_with_each_and_every_second_without_any(parts: Path) -> None:
    turns: list[int] = []
    config = box(parts, period_ms=2500.0)
    with Capture(config, VIEWS, "s") as capture:
        sets = capture.view_sets(lambda: turns.append(len(turns)))
        next(sets)
        assert turns, "a turn comes before the first part"
        before = len(turns)
        next(sets)  # 2.5 s later
        assert len(turns) - before >= 2


class LateCamera:
    """Its clock is known, and its images arrive so long after their exposure."""

    serial = None

    def __init__(self, view: str, late_ms: float) -> None:
        self.view = view
        self._late_ns = round(late_ms * 1e6)
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._count = 0

    def open(self, epoch_ns: int) -> None:
        """Nothing to open."""

    def trigger(self, trigger_id: str) -> None:
        self._asked.put(trigger_id)

    def read(self, timeout_s: float) -> Frame | None:
        try:
            trigger_id = self._asked.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._count += 1
        return Frame(
            view=self.view, image=np.zeros((2, 2, 3), np.uint8), captured_ns=monotonic_ns() - self._late_ns,
            frame_id=self._count, trigger_id=trigger_id, device_ns=self._count, unsure_ns=0,
        )  # fmt: skip

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(("late_ms", "codes"), [(20, []), (9000, ["sync_latency"])])
def test_images_that_come_too_late_are_an_alarm_before_any_part_is_inspected(
    parts: Path, late_ms: float, codes: list[str]
) -> None:
    told = Told()
    config = box(parts, period_ms=60_000.0)
    with Capture(
        config, VIEWS, "s", alarms=Alarms("s", told), make=lambda view, _: LateCamera(view, late_ms)
    ) as capture:
        assert set(capture.look(10)) == set(VIEWS)
        deadline_s = time.monotonic() + 10
        while len(capture.latencies_ms()) < len(VIEWS) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        latencies_ms = capture.latencies_ms()
    assert all(late_ms <= ms < late_ms + 5000 for ms in latencies_ms.values())
    assert set(latencies_ms) == set(VIEWS)
    assert [name for name, alarm in told.alarms if alarm is not None] == codes

"""Events of capture become view sets; a recorded list of events gives the same view sets again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.cameras.camera import Frame
from edgeflow.capture.assembler import Assembler
from edgeflow.capture.capture import make_synchronizer
from edgeflow.capture.events import (
    CaptureEvent,
    FrameCame,
    FrameLost,
    PartDecided,
    RecordingEnded,
    StopRequested,
    TriggerGiven,
    TriggerRefused,
)
from edgeflow.capture.reconciliation import Tally
from edgeflow.capture.sync_monitor import SyncMonitor
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig

VIEWS = ("top", "left")
TIMEOUT_MS = 100
MS = 1_000_000
Timed = tuple[int, CaptureEvent | None]
"""Milliseconds, and the event; None: the time passes without one."""


def box(folder: Path) -> BoxConfig:
    return BoxConfig.model_validate(
        {
            "station": {"site": "s", "line": "l", "station": "t"},
            "bundle": folder,
            "trigger": {"source": "interval", "period_ms": 50.0, "timeout_ms": TIMEOUT_MS},
            "cameras": {view: {"kind": "replay", "parts": folder} for view in VIEWS},
            "sync": {"max_skew_ms": 20.0},
            "decision": {"deadline_ms": 1000.0},
            "runtime": {"backend": "openvino"},
            "mqtt": {"host": "localhost"},
            "outbox": {"path": folder / "outbox.db"},
        }
    )


def given(name: str, at_ms: int) -> TriggerGiven:
    return TriggerGiven(trigger=Trigger(trigger_id=name, part_id=name, at_ns=at_ms * MS))


def came(view: str, name: str, at_ms: int, *, for_part: bool = True) -> FrameCame:
    image = np.zeros((1, 1, 3), np.uint8)
    frame = Frame(view=view, image=image, captured_ns=at_ms * MS, frame_id=at_ms, trigger_id=name)
    return FrameCame(frame=frame, arrived_ns=at_ms * MS, for_part=for_part)


RECORDED: list[Timed] = [
    (5, came("top", "look", 4, for_part=False)),
    (10, given("t1", 10)),
    (12, came("left", "t1", 11)),
    (13, came("top", "t1", 12)),
    (14, PartDecided()),
    (60, given("t2", 60)),
    (61, FrameLost(view="left", trigger_id="t2")),
    (70, TriggerRefused(trigger=Trigger(trigger_id="t3", part_id="t3", at_ns=70 * MS), fault="encoder")),
    (72, came("top", "t2", 61)),
    (110, given("t4", 110)),
    (112, came("top", "t4", 111)),
    (210, None),
    (220, given("t5", 220)),
    (221, StopRequested()),
    (223, came("left", "t5", 221)),
    (224, came("top", "t5", 222)),
]


def replayed(config: BoxConfig, events: list[Timed]) -> tuple[list[ViewSet], Tally]:
    monitor = SyncMonitor(config, VIEWS, None)
    assembler = Assembler(make_synchronizer(config, VIEWS, "s"), monitor, VIEWS)
    sets: list[ViewSet] = []
    for at_ms, event in events:
        now_ns = at_ms * MS
        sets += assembler.expire(now_ns) if event is None else assembler.apply(event, now_ns)
    assert assembler.next_expiry_ns() is None
    return sets, monitor.tally()


def test_recorded_events_give_the_same_view_sets_again(tmp_path: Path) -> None:
    config = box(tmp_path)
    first, tally = replayed(config, RECORDED)
    assert replayed(config, RECORDED) == (first, tally)
    assert [(s.trigger_id, tuple(s.frames), s.missing, s.fault) for s in first] == [
        ("t1", ("top", "left"), (), ""),
        ("t2", ("top",), ("left",), ""),
        ("t3", (), (), "encoder"),
        ("t4", ("top",), ("left",), ""),
        ("t5", ("top", "left"), (), ""),
    ]
    assert (tally.triggers, tally.view_sets, tally.results, tally.refused) == (5, 5, 1, 1)
    assert tally.frames == {"top": 4, "left": 2}


def test_a_frame_may_come_before_its_trigger_but_not_from_before_the_line(tmp_path: Path) -> None:
    early: list[Timed] = [(12, came("top", "t1", 12)), (13, came("left", "t1", 12, for_part=False))]
    (view_set,), tally = replayed(box(tmp_path), [*early, (14, given("t1", 10)), (114, None)])
    assert (tuple(view_set.frames), view_set.missing) == (("top",), ("left",))
    assert tally.frames == {"top": 1, "left": 0}


@pytest.mark.parametrize("views", [VIEWS, tuple(reversed(VIEWS))])
def test_no_new_triggers_are_wanted_after_the_end_of_all_recordings(
    tmp_path: Path, views: tuple[str, ...]
) -> None:
    config = box(tmp_path)
    assembler = Assembler(make_synchronizer(config, VIEWS, "s"), SyncMonitor(config, VIEWS, None), VIEWS)
    assembler.apply(RecordingEnded(view=views[0]), 10 * MS)
    assembler.apply(RecordingEnded(view=views[0]), 20 * MS)
    assert not assembler.finishing
    assembler.apply(RecordingEnded(view=views[1]), 30 * MS)
    assert assembler.finishing


def test_no_new_triggers_are_wanted_after_a_stop(tmp_path: Path) -> None:
    config = box(tmp_path)
    assembler = Assembler(make_synchronizer(config, VIEWS, "s"), SyncMonitor(config, VIEWS, None), VIEWS)
    assert assembler.apply(StopRequested(), 10 * MS) == []
    assert assembler.finishing

"""Parts that time cannot tell apart: seen on the parts that come, and in the box file before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeflow.cameras.camera import Frame
from edgeflow.capture.matching.part_spacing import PartSpacing
from edgeflow.capture.synchronizer import Synchronizer
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig
from edgeflow.diagnostics.check_sync import sync_findings

VIEWS = ("top", "left")
IMAGE = np.zeros((1, 1, 3), np.uint8)
MS = 1_000_000


def paired(parts: list[tuple[float, float]], *, max_skew_ms: float, lost: int = -1) -> Iterator[ViewSet]:
    """Frames of two cameras that run by themselves, at these milliseconds, through the synchronizer.

    Args:
        lost: the part of which the first view's frame does not come.
    """
    sync = Synchronizer(VIEWS, max_skew_ms=max_skew_ms, timeout_ms=10_000, mode="free", session="s")
    stamps = [
        (at_ms, view, number)
        for number, part in enumerate(parts)
        for view, at_ms in zip(VIEWS, part, strict=True)
        if (view, number) != ("top", lost)
    ]
    for at_ms, view, number in sorted(stamps):
        frame = Frame(
            view=view, image=IMAGE, captured_ns=round(at_ms * MS), frame_id=number, part_id=f"part{number}"
        )
        yield from sync.add(frame, round(at_ms * MS))


def test_the_tolerance_that_mixes_parts_is_named_before_a_frame_is_lost() -> None:
    """The views of a part are 19 ms apart, and its last frame 28 ms before the next part's first."""
    parts = [(47.0 * k, 47.0 * k + 19) for k in range(30)]
    for max_skew_ms in (35.0, 25.0):
        mixed = any(s.fault for s in paired(parts, max_skew_ms=max_skew_ms, lost=5))
        apart = PartSpacing(tolerance_ms=max_skew_ms, setting="sync.max_skew_ms")
        for view_set in paired(parts, max_skew_ms=max_skew_ms):
            apart.settled(view_set)
        assert bool(apart.problem) == mixed == (max_skew_ms > 28)
    apart = PartSpacing(tolerance_ms=35.0, setting="sync.max_skew_ms")
    for view_set in paired(parts, max_skew_ms=35.0):
        apart.settled(view_set)
    assert apart.problem.startswith(
        "frames of neighbouring parts were 28.0 ms apart, those of one part 19.0 ms"
    )
    assert "sync.max_skew_ms 35" in apart.problem
    assert apart.problem.endswith("lower it below 28.0")


def test_where_views_are_further_apart_than_parts_no_tolerance_helps() -> None:
    apart = PartSpacing(tolerance_ms=30.0, setting="sync.max_skew_ms")
    for view_set in paired([(40.0 * k, 40.0 * k + 25) for k in range(3)], max_skew_ms=30.0):
        apart.settled(view_set)
    assert "no tolerance tells these apart: trigger the cameras together" in apart.problem


def test_the_problem_is_over_when_parts_come_slower_again() -> None:
    apart = PartSpacing(tolerance_ms=30.0, setting="sync.max_skew_ms")
    starts = [0.0, 25.0, *(25.0 + 100 * k for k in range(1, 21))]
    seen = []
    for view_set in paired([(at_ms, at_ms) for at_ms in starts], max_skew_ms=30.0):
        apart.settled(view_set)
        seen.append(bool(apart.problem))
    assert seen == [False, *[True] * 20, False]


def box(source: str, max_skew_ms: float, camera: dict[str, object]) -> BoxConfig:
    trigger = {"source": source, "timeout_ms": 50.0} | ({"period_ms": 100.0} if source == "interval" else {})
    return BoxConfig.model_validate(
        {
            "station": {"site": "s", "line": "l", "station": "t"},
            "bundle": Path("b"),
            "trigger": trigger,
            "cameras": {"top": {**camera, "fps": 10.0}, "left": camera},
            "sync": {"max_skew_ms": max_skew_ms},
            "decision": {"deadline_ms": 100.0},
            "runtime": {"backend": "openvino"},
            "mqtt": {"host": "localhost"},
            "outbox": {"path": Path("o.db")},
        }
    )


@pytest.mark.parametrize(
    ("max_skew_ms", "state", "words"),
    [
        (20.0, "ok", "no two parts"),
        (30.0, "warning", "less than 20.0 ms apart; lower it to 25.0"),
        (50.0, "warning", "frames of two parts can be taken for one"),
    ],
)
def test_check_compares_the_tolerance_with_the_fastest_camera(
    max_skew_ms: float, state: str, words: str
) -> None:
    camera: dict[str, object] = {"kind": "v4l2", "device": "/dev/v4l/by-id/camera", "fps": 20.0}
    (found,) = sync_findings(box("free", max_skew_ms, camera))
    assert found.state == state
    assert "frames of left are 50.0 ms apart" in found.text
    assert words in found.text
    assert list(sync_findings(box("interval", max_skew_ms, camera))) == []

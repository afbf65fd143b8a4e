"""Five software-triggered GigE Vision cameras on one line, and what one bad camera does to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from edgeflow.capture.capture import Capture
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import CameraError, ConfigError
from tests.support.fake_cameras import fake_cameras

pytestmark = pytest.mark.xdist_group("cameras")  # they have fixed addresses

VIEWS = ("C1", "C2", "C3", "C4", "C5")
PERIOD_MS = 200.0
MOST_SETS = 300  # a limit, never a wait


def box(tmp_path: Path) -> BoxConfig:
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": str(tmp_path),
        "trigger": {"source": "interval", "period_ms": PERIOD_MS, "timeout_ms": 180.0},
        "cameras": {
            view: {"kind": "genicam", "address": f"127.0.0.{k}", "read_timeout_ms": 1000.0}
            for k, view in enumerate(VIEWS, 2)
        },
        "sync": {"max_skew_ms": 60.0},
        "decision": {"deadline_ms": 1000.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)


def wait_until(sets: Iterator[ViewSet], condition: Callable[[ViewSet], bool]) -> None:
    """Go on to the first set that fulfils a condition; holds no images meanwhile, as a line does not."""
    assert any(condition(view_set) for view_set in islice(sets, MOST_SETS)), "it never happened"


def test_images_of_a_set_were_taken_between_their_trigger_and_the_next(tmp_path: Path) -> None:
    """These cameras have the computer's own clock, which nothing in edgeflow makes use of."""
    taken: list[tuple[int, list[int]]] = []
    with fake_cameras(len(VIEWS)), Capture(box(tmp_path), VIEWS, "s") as capture:
        for view_set in islice(capture.view_sets(), 25):
            wall_ns = view_set.triggered_ns + time.time_ns() - monotonic_ns()
            taken.append((wall_ns, [f.device_ns or 0 for f in view_set.frames.values()]))
    assert sum(len(stamps) == len(VIEWS) for _, stamps in taken) >= 3
    for (at_ns, stamps), (next_ns, _) in pairwise(taken):
        assert all(at_ns <= stamp < next_ns for stamp in stamps)


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_one_camera_that_goes_is_missing_and_comes_back_by_itself(tmp_path: Path, how: str) -> None:
    with fake_cameras(len(VIEWS)) as cameras, Capture(box(tmp_path), VIEWS, "s") as capture:
        sets = capture.view_sets()
        wait_until(sets, lambda each: not each.missing)
        cameras[0].freeze() if how == "frozen" else cameras[0].kill()
        wait_until(sets, lambda each: each.missing == ("C1",))
        wait_until(sets, lambda _: capture.statuses()["C1"].status == "offline")
        cameras[0].thaw() if how == "frozen" else cameras[0].start()
        wait_until(sets, lambda each: not each.missing)
        statuses = capture.statuses()
    assert statuses["C1"].reconnects >= 1
    assert [statuses[view].reconnects for view in VIEWS[1:]] == [0, 0, 0, 0]
    # The box file knows only their addresses.
    assert [statuses[view].serial for view in VIEWS] == [camera.serial for camera in cameras]


def test_two_views_cannot_share_a_camera(tmp_path: Path) -> None:
    config = box(tmp_path)
    first = config.cameras["C1"]
    shared = config.model_copy(update={"cameras": {"C1": first, "C2": first}})
    with fake_cameras(1), pytest.raises(CameraError, match="1 of 2 cameras cannot be opened") as error:
        Capture(shared, ("C1", "C2"), "s").__enter__()
    assert "another program controls it" in error.value.problems[0]

"""Watch over drifting scores: alarms in words, a state that survives a restart, a reload that begins anew."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.drift.monitor import DriftMonitor, state_path
from edgeflow.monitoring.drift.state import read_state
from edgeflow.monitoring.drift.view import ViewScore

PARTS = 200
LOADED, AGAIN = object(), object()


class Told:
    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.standing.pop(name)
        else:
            self.standing[name] = alarm


@pytest.fixture
def told() -> Told:
    return Told()


def monitor(path: Path, told: Told, bound: float = 0.5) -> DriftMonitor:
    return DriftMonitor(path, Alarms("session", told), bound=bound, parts=PARTS)


def parts(
    count: int, *, high: float = 0.0, loaded: object = LOADED, bundle: str = "ab", seed: int = 1
) -> list[AcceptedPart]:
    """Parts of two views; the scores of the second one are ``high`` standard deviations higher."""
    scores = np.random.default_rng(seed).normal(0.0, 0.1, (count, 2))
    scores[:, 1] += 0.1 * high
    return [
        AcceptedPart(
            loaded=loaded,
            bundle=bundle,
            graph="openvino-int8",
            calibration=100,
            views={view: ViewScore(s, True, s) for view, s in zip(("top", "left"), row, strict=True)},
            at=f"2026-11-28T10:{number // 60 % 60:02d}:{number % 60:02d}.000Z",
        )
        for number, row in enumerate(scores.tolist())
    ]


def test_the_alarm_names_view_direction_size_begin_and_remedy(tmp_path: Path, told: Told) -> None:
    watch = monitor(tmp_path / "drift.json", told)
    for part in parts(PARTS) + parts(600, high=1.5, seed=2):
        watch.take(part)
    (alarm,) = told.standing.values()
    assert alarm.name == "score_drift.left"
    assert alarm.severity == "warning"
    assert "view 'left': scores of good parts have risen by 1." in alarm.text
    assert "standard deviations since 2026-11-28T10:0" in alarm.text
    assert "more good parts will be rejected" in alarm.text
    assert "check light" in alarm.text


def test_a_restart_goes_on_where_the_box_stopped(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "drift.json"
    before = monitor(path, told)
    for part in parts(PARTS - 50):
        before.take(part)
    before.keep()
    between = monitor(path, told)
    for part in parts(100, seed=3):
        between.take(part)
    between.keep()
    state = read_state(path)
    assert state is not None
    assert all(view.reference is not None for view in state.views.values())
    after = monitor(path, told)
    for part in parts(
        300, high=2.0, loaded=AGAIN, seed=4
    ):  # the process is another one, and so is the object
        after.take(part)
    assert list(told.standing) == ["score_drift.left"]


def test_an_alarm_stands_again_after_a_restart(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "drift.json"
    before = monitor(path, told)
    for part in parts(PARTS) + parts(400, high=2.0, seed=2):
        before.take(part)
    text = told.standing["score_drift.left"].text
    before.keep()
    told.standing.clear()
    after = monitor(path, told)
    after.take(parts(1, high=2.0, seed=5)[0])
    assert told.standing["score_drift.left"].text == text


@pytest.mark.parametrize("bundle", ["ab", "cd"])
def test_a_bundle_that_is_loaded_while_the_box_runs_begins_anew(
    tmp_path: Path, told: Told, bundle: str
) -> None:
    path = tmp_path / "drift.json"
    watch = monitor(path, told)
    for part in parts(PARTS) + parts(400, high=2.0, seed=2):
        watch.take(part)
    assert told.standing
    for part in parts(400, high=2.0, loaded=AGAIN, bundle=bundle, seed=3):
        watch.take(part)
    watch.keep()
    state = read_state(path)
    assert state is not None
    assert state.bundle == bundle
    assert all(view.chart.drift is None for view in state.views.values())


def test_the_state_of_another_bundle_or_bound_is_not_used(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "drift.json"
    watch = monitor(path, told)
    for part in parts(PARTS):
        watch.take(part)
    watch.keep()
    for other, bundle in ((monitor(path, told), "cd"), (monitor(path, told, 0.8), "ab")):
        other.take(parts(1, bundle=bundle)[0])
        other.keep()
        state = read_state(path)
        assert state is not None
        assert all(view.reference is None for view in state.views.values())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "edgeflow/drift/2"}', '{"schema": "edgeflow/drift/1"}']
)
def test_a_state_that_cannot_be_read_is_begun_anew(tmp_path: Path, told: Told, text: str) -> None:
    path = tmp_path / "drift.json"
    path.write_text(text)
    assert read_state(path) is None
    watch = monitor(path, told)
    watch.take(parts(1)[0])
    watch.keep()
    assert json.loads(path.read_text())["bundle"] == "ab"


def test_the_thread_takes_parts_and_keeps_the_state_at_the_end(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "drift.json"
    watch = monitor(path, told)
    watch.start()
    for part in parts(PARTS):
        watch.offer(part)
    watch.close()
    state = read_state(path)
    assert state is not None
    assert len(state.views["top"].reference.scores if state.views["top"].reference else ()) == PARTS


def test_a_state_that_cannot_be_written_costs_nothing_else(tmp_path: Path, told: Told) -> None:
    (tmp_path / "drift.json").mkdir()
    os.utime(tmp_path / "drift.json")
    watch = monitor(tmp_path / "drift.json", told)
    for part in parts(PARTS) + parts(400, high=2.0, seed=2):
        watch.take(part)
    watch.keep()
    assert list(told.standing) == ["score_drift.left"]


def test_products_that_take_turns_have_charts_of_their_own(tmp_path: Path, told: Told) -> None:
    """Only B drifts; parts of A between its parts neither begin its chart anew nor hide the drift."""
    path = tmp_path / "drift.json"
    watch = monitor(path, told)
    of_a = parts(PARTS + 600, seed=1)
    of_b = parts(PARTS, loaded=AGAIN, bundle="cd", seed=3) + parts(
        600, high=1.5, loaded=AGAIN, bundle="cd", seed=4
    )
    for a, b in zip(of_a, of_b, strict=True):
        watch.take(replace(a, product="A"))
        watch.take(replace(b, product="B"))
    assert list(told.standing) == ["score_drift.B.left"]
    assert told.standing["score_drift.B.left"].text.startswith("product 'B', view 'left': scores")
    watch.keep()
    states = {name: read_state(state_path(path, name)) for name in ("A", "B")}
    assert {name: state and state.bundle for name, state in states.items()} == {"A": "ab", "B": "cd"}
    assert not path.exists()

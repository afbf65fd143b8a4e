"""A candidate in its real process: compared, refused, killed, frozen, too large; the line never waits."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.contracts.messages import Alarm, Result, from_json
from edgeflow.right_of_way import RightOfWay
from edgeflow.shadow.page import as_data, as_html
from edgeflow.shadow.report import shadow_report
from edgeflow.shadow.runner import FinishedPart, ShadowRunner
from simulators.small_bundle import SIDE, VIEWS, small_bundle
from tests.support.waiting import PATIENCE_S

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"


class Sink:
    def __init__(self) -> None:
        self.alarms: dict[str, Alarm | None] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.alarms[name] = alarm


class Box:
    """The candidate's runner as a box has it, and the parts that the line offers."""

    def __init__(self, config: BoxConfig) -> None:
        self.sink, self.way = Sink(), RightOfWay()
        assert config.shadow is not None
        self.config = config
        self.runner = ShadowRunner(config, config.shadow, Alarms("s", self.sink), self.way, idle=False)
        self.number = 0

    def offer(self, colour: int = 100, **changes: Any) -> None:
        """One part; the running bundle judges by its mean colour, with the threshold 1000."""
        self.number += 1
        document = json.loads(SAMPLE.read_text()) | {
            "result_id": f"r{self.number}",
            "part_id": f"p{self.number}",
            "verdict": "OK",
            "score": 0.1,
            "score_raw": float(colour),
            "threshold": 1000.0,
        }
        image = np.full((SIDE, SIDE, 3), colour, np.uint8)
        part = FinishedPart(
            result=from_json(Result, json.dumps(document).encode()),
            images=dict.fromkeys(VIEWS, image),
            complete=True,
            bundle_name="bracket",
            bundle_sha256="running",
            tolerance=1e-4,
        )
        with self.way:  # the candidate stands still meanwhile
            pass
        self.runner.offer(replace(part, **changes))

    def until(self, condition: Callable[[], bool], colour: int = 100) -> None:
        """Parts come until something has happened."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, (self.runner.figures(), self.sink.alarms)
            self.offer(colour)
            time.sleep(0.02)

    def compared(self, count: int) -> Callable[[], bool]:
        wanted = sum(self.runner.figures().outcomes.values()) + count
        return lambda: sum(self.runner.figures().outcomes.values()) >= wanted

    @property
    def child(self) -> int:
        """Process id of the candidate."""
        found = self.runner._child
        assert found is not None
        return found._process.pid


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Callable[..., Box]]:
    made: list[Box] = []

    def make(views: tuple[str, ...] = VIEWS, **shadow: Any) -> Box:
        (tmp_path / "box.yaml").write_text(
            yaml.safe_dump(
                {
                    "station": {"site": "p", "line": "l", "station": "s"},
                    "bundle": "running.bundle",
                    "trigger": {"source": "interval", "period_ms": 200},
                    "cameras": {view: {"kind": "replay", "parts": "parts"} for view in views},
                    "sync": {"max_skew_ms": 50},
                    "decision": {"deadline_ms": 5000},
                    "runtime": {"backend": "onnxruntime", "precision": "fp32"},
                    "mqtt": {"host": "127.0.0.1"},
                    "outbox": {"path": "outbox.db"},
                    "shadow": {"bundle": "candidate.bundle", **shadow},
                }
            )
        )
        made.append(Box(load_config(tmp_path / "box.yaml")))
        made[-1].runner.__enter__()
        return made[-1]

    yield make
    for one in made:
        one.runner.close()


def test_parts_are_compared_and_those_that_would_turn_are_named(
    box: Callable[..., Box], tmp_path: Path
) -> None:
    small_bundle(tmp_path / "candidate.bundle", offset=950.0, version=2)
    line = box()
    line.until(line.compared(1), colour=10)
    line.until(lambda: line.runner.figures().outcomes.get("to_ng", 0) > 0, colour=200)
    line.offer(complete=False)
    line.until(line.compared(1), colour=10)
    figures = line.runner.figures()
    assert figures.state == "comparing"
    assert figures.skipped["not_loaded"] > 0
    assert figures.skipped["incomplete"] == 1
    line.runner.close()

    report = shadow_report(line.config)
    assert report.candidate.version == 2
    assert report.compared == sum(figures.outcomes.values())
    assert report.outcomes["to_ng"] == figures.outcomes["to_ng"]
    assert report.skipped["incomplete"] == 1
    turned = report.turned[0]
    assert (turned.part.running, turned.part.verdict) == ("OK", "NG")
    assert turned.part.score is not None
    assert turned.part.score > 1.0
    assert turned.picture is not None
    page = as_html(report)
    assert turned.part.part_id in page
    assert "data:image/jpeg" in page
    assert as_data(report)["outcomes"]["to_ng"] == figures.outcomes["to_ng"]


@pytest.mark.parametrize(
    ("views", "fields", "words"),
    [
        (("top", "right"), {}, "cameras.left: missing"),
        (VIEWS, {"name": "housing"}, "of product 'housing', the box inspects 'bracket'"),
        (VIEWS, {"part": 77.0}, "does not compute what the trained model computes"),
    ],
    ids=["other views", "another product", "golden parts not reproduced"],
)
def test_a_candidate_that_is_not_for_this_box_is_refused_until_another_file_comes(
    box: Callable[..., Box],
    tmp_path: Path,
    views: tuple[str, ...],
    fields: dict[str, Any],
    words: str,
) -> None:
    small_bundle(tmp_path / "candidate.bundle", **fields)
    line = box(views)
    line.until(lambda: line.runner.figures().state == "refused")
    alarm = line.sink.alarms["shadow_refused"]
    assert alarm is not None
    assert words in alarm.text
    if views == VIEWS:
        small_bundle(tmp_path / "right.bundle")
        (tmp_path / "right.bundle").replace(tmp_path / "candidate.bundle")
        line.until(line.compared(1))
        assert line.sink.alarms["shadow_refused"] is None


def test_a_candidate_that_is_not_there_yet_is_awaited(box: Callable[..., Box], tmp_path: Path) -> None:
    line = box()
    line.until(lambda: line.runner.figures().state == "refused")
    small_bundle(tmp_path / "candidate.bundle")
    line.until(line.compared(1))


def test_a_candidate_that_crashes_or_hangs_starts_again_and_is_given_up_in_the_end(
    box: Callable[..., Box], tmp_path: Path
) -> None:
    small_bundle(tmp_path / "candidate.bundle")
    line = box(part_limit_s=1.0)
    line.until(line.compared(1))
    os.kill(line.child, signal.SIGKILL)
    line.until(lambda: line.runner.figures().ended == 1)
    line.until(line.compared(1))
    _freeze(line)
    line.until(lambda: line.runner.figures().ended == 2)
    line.until(line.compared(1))
    os.kill(line.child, signal.SIGKILL)
    line.until(lambda: line.runner.figures().state == "stopped")
    alarm = line.sink.alarms["shadow_stopped"]
    assert alarm is not None
    assert "given up after 3 failures" in alarm.text

    small_bundle(tmp_path / "right.bundle", version=2)
    (tmp_path / "right.bundle").replace(tmp_path / "candidate.bundle")
    line.until(line.compared(1))
    assert line.sink.alarms["shadow_stopped"] is None


def _freeze(line: Box) -> None:
    """The process stands still for good: no part of the line sets it going again."""
    pid = line.child
    line.offer = lambda *_, **__: line.runner.offer(frozen)  # type: ignore[method-assign]
    frozen = FinishedPart(
        result=from_json(Result, SAMPLE.read_bytes()),
        images={view: np.zeros((SIDE, SIDE, 3), np.uint8) for view in VIEWS},
        complete=True,
        bundle_name="bracket",
        bundle_sha256="running",
        tolerance=1e-4,
    )
    os.kill(pid, signal.SIGSTOP)


def test_a_candidate_that_needs_too_much_memory_is_given_up(box: Callable[..., Box], tmp_path: Path) -> None:
    small_bundle(tmp_path / "candidate.bundle")
    line = box(memory_mb=16)
    line.until(lambda: line.runner.figures().state == "stopped")
    alarm = line.sink.alarms["shadow_stopped"]
    assert alarm is not None


def test_a_candidate_stands_still_while_a_part_waits_and_ends_with_the_box(
    box: Callable[..., Box], tmp_path: Path
) -> None:
    small_bundle(tmp_path / "candidate.bundle")
    line = box()
    line.until(line.compared(1))
    pid = line.child
    with line.way:
        assert _becomes(pid, "T")
    assert _becomes(pid, "S")
    with Bundle.open(tmp_path / "candidate.bundle"):
        line.runner.close()
    assert not Path(f"/proc/{pid}").exists()


def _becomes(pid: int, state: str) -> bool:
    for _ in range(200):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == state:
            return True
        time.sleep(0.02)
    return False

"""A box as its agent sees it: the first parts after a change are counted, whatever becomes of the history."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeflow.alarms import Alarms
from edgeflow.config.box import load_config
from edgeflow.contracts.messages import Alarm
from edgeflow.fleet.box import Box
from edgeflow.history.database.store import Retention
from edgeflow.history.records import HistoryEntry, Position
from edgeflow.history.writer import History
from simulators.results import simulated_result
from simulators.small_box import write_box

AT = datetime(2026, 11, 29, tzinfo=UTC)


class Nobody:
    """Hears no alarm."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nothing."""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(config=load_config(write_box(tmp_path, 1)))


def record(path: Path, *numbers: int) -> None:
    history = History(path, Retention(days=400, bytes=2**40), Alarms("s", Nobody()))
    history.start()
    for number in numbers:
        result = simulated_result(number, AT, {"C1": 0.5})
        history.offer(HistoryEntry(result=result, bundle_version=1, has_foreground=False))
    history.stored([f"session-{number:06d}" for number in numbers])
    history.close()


def test_the_first_parts_count_although_a_damaged_history_begins_anew(box: Box) -> None:
    path = box.config.history_path
    record(path, *range(1, 9))
    baseline = box.latest()
    record(path, 9, 10)
    assert box.first_parts(baseline, 4)[0] == 2
    sha256 = simulated_result(1, AT, {"C1": 0.5}).bundle.sha256
    assert box.observed(sha256, baseline, 4, "").parts == 2
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    record(path, 11, 12, 13)
    assert box.latest().number < baseline.number
    assert box.first_parts(baseline, 4)[0] == 3
    assert box.observed(sha256, baseline, 4, "").parts == 3
    record(path, *range(14, 26))
    assert box.latest().number > baseline.number
    assert box.first_parts(baseline, 20)[0] == 15, (
        "a history that has passed the old number is another one, too"
    )
    assert box.observed(sha256, baseline, 20, "").parts == 15


def test_the_first_parts_count_although_an_older_copy_of_the_history_is_put_back(
    box: Box, tmp_path: Path
) -> None:
    path, copy = box.config.history_path, tmp_path / "copy.db"
    record(path, *range(1, 4))
    shutil.copy(path, copy)
    record(path, *range(4, 9))
    baseline = box.latest()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    shutil.copy(copy, path)
    record(path, 9, 10)
    assert box.latest().history == baseline.history
    assert box.first_parts(baseline, 10)[0] == 5


def test_a_position_of_an_earlier_version_knows_no_history(box: Box) -> None:
    path = box.config.history_path
    record(path, *range(1, 9))
    assert box.first_parts(Position(number=5), 10)[0] == 3
    assert box.first_parts(Position(number=50), 10)[0] == 8
    assert box.first_parts(Position(), 10)[0] == 8

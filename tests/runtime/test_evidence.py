"""Evidence is whole or absent, never in the line's way, and never fills the disk."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeflow.alarms import Alarms
from edgeflow.config import EvidenceConfig
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Alarm, Result, from_json
from edgeflow.errors import StorageError
from edgeflow.evidence import QUEUE_SIZE, Evidence, EvidenceJob, evidence_path, write_evidence
from edgeflow.evidence_store import EvidenceStore

SAMPLE = Path(__file__).parents[1] / "samples" / "result.json"


def job(folder: str | None, number: int = 1) -> EvidenceJob:
    result = from_json(Result, SAMPLE.read_bytes())
    image = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    return EvidenceJob(
        result=result.model_copy(update={"result_id": f"r-{number}", "evidence": folder}),
        originals={"top": image, "left": 255 - image},
        images={"top": image},
        maps={"top": np.full((6, 8), 3.0, np.float32)},
        scales={"top": Scale(centre=0.0, threshold=4.0)},
    )


def wait_until(condition: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waiter.wait(0.01)
    pytest.fail("did not happen within 10 s")


def test_a_part_is_one_folder_with_pictures_heat_and_record(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0))
    evidence.start()
    folder = evidence.reserve("r-1", "NG")
    assert folder is not None
    wanted = job(folder)
    assert evidence.offer(wanted)
    evidence.close()
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == ["left.png", "result.json", "top.png", "top_heat.png", "top_map.npy"]
    assert (read_image(Path(folder) / "top.png") == wanted.originals["top"]).all()
    assert (np.load(Path(folder) / "top_map.npy") == wanted.maps["top"]).all()
    assert read_image(Path(folder) / "top_heat.png").shape == (24, 32, 3)
    assert from_json(Result, (Path(folder) / "result.json").read_bytes()) == wanted.result
    assert evidence.lost == 0


def test_folders_are_by_utc_day_and_safe_as_names(tmp_path: Path) -> None:
    config = EvidenceConfig(dir=tmp_path)
    late_in_new_york = datetime(2026, 3, 4, 22, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert evidence_path(config, "r-1", late_in_new_york) == tmp_path / "2026-03-05" / "r-1"
    for hostile in ("../../etc", "/abs", "..", "a/b", "a\x00b"):
        folder = evidence_path(config, hostile, late_in_new_york)
        assert folder.parent == tmp_path / "2026-03-05"
        assert folder.resolve().parent == folder.parent


def test_only_the_verdicts_asked_for_are_kept(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, save=("UNDECIDED",), min_free_gb=0))
    assert evidence.reserve("r-1", "OK") is None
    assert evidence.reserve("r-1", "NG") is None
    assert evidence.reserve("r-1", "UNDECIDED") is not None
    assert not evidence.offer(job(None))


def test_a_full_queue_costs_evidence_not_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0))  # not started: nothing is taken out
    kept = [evidence.offer(job(str(tmp_path / f"r-{n}"), n)) for n in range(QUEUE_SIZE + 3)]
    assert kept == [True] * QUEUE_SIZE + [False] * 3
    assert evidence.lost == 3
    assert sum("too slow" in record.message for record in caplog.records) == 1
    evidence.start()
    evidence.close()
    assert len(list(tmp_path.iterdir())) == QUEUE_SIZE


def test_nothing_is_written_while_the_disk_is_nearly_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more_than_there_is_gb = shutil.disk_usage(tmp_path).total / 1e9 + 1
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=more_than_there_is_gb))
    with caplog.at_level(logging.WARNING):
        evidence.start()
        assert evidence.reserve("r-1", "NG") is None
        for number in (1, 2, 3):
            assert evidence.offer(job(str(tmp_path / f"r-{number}"), number))
        evidence.close()
    assert list(tmp_path.iterdir()) == []
    assert evidence.lost == 3
    assert sum("min_free_gb" in record.message for record in caplog.records) == 1


def test_a_failed_write_leaves_nothing_behind_and_the_next_part_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path / "evidence", min_free_gb=0))
    evidence.start()
    (tmp_path / "evidence" / "day").write_text("a file where a folder is needed")
    evidence.offer(job(str(tmp_path / "evidence" / "day" / "r-1")))
    odd = job(str(tmp_path / "evidence" / "odd"), 2)
    evidence.offer(dataclasses.replace(odd, scales={}))
    evidence.offer(job(str(tmp_path / "evidence" / "r-3"), 3))
    wait_until((tmp_path / "evidence" / "r-3").is_dir)
    evidence.close()
    assert evidence.lost == 2
    assert "cannot be written" in caplog.text


def test_a_folder_that_exists_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "r-1"
    write_evidence(folder, job(str(folder), 1))
    before = (folder / "top.png").read_bytes()
    with pytest.raises(StorageError, match="cannot be written"):
        write_evidence(folder, job(str(folder), 2))
    assert (folder / "top.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r-1"]


def test_a_folder_that_cannot_be_made_is_told_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"evidence\.dir"):
        Evidence(EvidenceConfig(dir=tmp_path / "file" / "evidence")).start()


def test_a_share_of_the_ok_parts_is_kept_evenly(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, ok_sample=0.25, min_free_gb=0))
    kept = [evidence.reserve(f"r-{n}", "OK") is not None for n in range(12)]
    assert kept == [False, False, False, True] * 3


def test_a_snapshot_keeps_the_next_part_and_only_that(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0))
    evidence.snapshot()
    assert [evidence.reserve(f"r-{n}", "OK") is not None for n in range(3)] == [True, False, False]


def filled(root: Path, days: dict[str, int]) -> None:
    """So many parts of 1000 bytes per day."""
    for day, count in days.items():
        for number in range(count):
            folder = root / day / f"r-{number}"
            folder.mkdir(parents=True)
            (folder / "top.png").write_bytes(b"x" * 1000)
            os.utime(folder, (1000 + number, 1000 + number))


def test_old_parts_and_those_beyond_the_size_go_oldest_first(tmp_path: Path) -> None:
    filled(tmp_path, {"2026-03-01": 2, "2026-03-09": 3, "2026-03-10": 3})
    (tmp_path / "2026-03-10" / ".r-9.abc.tmp").mkdir()
    (tmp_path / "notes").mkdir()
    store = EvidenceStore(tmp_path, max_bytes=4000, max_days=5)
    store.look()
    assert (len(store), store.size) == (8, 8000)
    assert store.tidy(datetime(2026, 3, 10, 12, tzinfo=timezone.utc)) == 4
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == ["2026-03-09/r-2", "2026-03-10/r-0", "2026-03-10/r-1", "2026-03-10/r-2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-03-09", "2026-03-10", "notes"]
    assert store.tidy(datetime(2026, 3, 10, 12, tzinfo=timezone.utc)) == 0


def test_the_size_holds_while_parts_are_written(tmp_path: Path) -> None:
    one = job(str(tmp_path / "probe"))
    write_evidence(tmp_path / "probe", one)
    size = sum(file.stat().st_size for file in (tmp_path / "probe").iterdir())
    evidence = Evidence(EvidenceConfig(dir=tmp_path / "kept", max_gb=3.5 * size / 1e9, min_free_gb=0))
    evidence.start()
    for number in range(10):
        folder = evidence.reserve(f"r-{number}", "NG")
        assert folder is not None
        while not evidence.offer(job(folder, number)):
            pass
    evidence.close()
    kept = sorted(path.name for path in (tmp_path / "kept").glob("*/*"))
    assert kept[-1] == "r-9"
    assert 3 <= len(kept) <= 4  # what was just written is counted at the next look


class Told:
    """What stands."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.standing.pop(name, None)
        else:
            self.standing[name] = alarm.text


def test_a_full_disk_is_an_alarm_and_oldest_parts_make_room_first(tmp_path: Path) -> None:
    more_than_there_is_gb = shutil.disk_usage(tmp_path).total / 1e9 + 1
    filled(tmp_path, {"2026-03-09": 3})
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=more_than_there_is_gb), Alarms("s", told))
    evidence.start()
    wait_until(lambda: "evidence_stopped" in told.standing)
    assert "without evidence" in told.standing["evidence_stopped"]
    assert list(tmp_path.iterdir()) == []
    evidence.close()

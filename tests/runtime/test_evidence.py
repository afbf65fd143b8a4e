"""Evidence is whole or absent, never in the line's way, and never fills the disk."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeflow.config import EvidenceConfig
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import StorageError
from edgeflow.evidence import QUEUE_SIZE, Evidence, EvidenceJob, evidence_path, write_evidence

SAMPLE = Path(__file__).parents[1] / "samples" / "result.json"


def job(folder: str | None, number: int = 1) -> EvidenceJob:
    result = from_json(Result, SAMPLE.read_bytes())
    image = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    return EvidenceJob(
        result=result.model_copy(update={"result_id": f"r-{number}", "evidence": folder}),
        images={"top": image, "left": 255 - image},
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
    assert names == ["left.png", "result.json", "top.png", "top_heat.png"]
    assert (read_image(Path(folder) / "top.png") == wanted.images["top"]).all()
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
    evidence.offer(EvidenceJob(result=odd.result, images=odd.images, maps=odd.maps, scales={}))
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

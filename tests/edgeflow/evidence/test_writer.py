"""Evidence is whole or absent, never in the line's way, and never fills the disk."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeflow.alarms import Alarms
from edgeflow.cameras.shared_frames import RingReader, RingWriter
from edgeflow.config.box import EvidenceConfig
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Alarm, Result, from_json
from edgeflow.errors import StorageError
from edgeflow.evidence.record import read_record
from edgeflow.evidence.writer import QUEUE_SIZE, Evidence, EvidenceJob, evidence_path, write_evidence
from edgeflow.right_of_way import RightOfWay
from edgeflow.run_time import Boot
from tests.support.waiting import wait_until

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"


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


class Told:
    """Collects the alarms that stand."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.standing.pop(name, None)
        else:
            self.standing[name] = alarm.text


def folder_for(evidence: Evidence, result_id: str) -> str:
    reserved = evidence.reserve(result_id, "NG")
    assert reserved is not None
    assert reserved.why == "verdict"
    return reserved.folder


def test_a_part_is_one_folder_with_pictures_heat_and_record(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0))
    evidence.start()
    folder = folder_for(evidence, "r-1")
    wanted = job(folder)
    assert evidence.offer(wanted)
    evidence.close()
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == ["evidence.json", "left.png", "result.json", "top.png", "top_heat.png", "top_map.npy"]
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
    disk = FrozenDisk(tmp_path)
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0))
    evidence.start()
    taken = 0
    for number in range(10 * QUEUE_SIZE):
        taken += evidence.offer(job(str(tmp_path / f"r-{number}"), number))
        threading.Event().wait(0.01)  # until it is copied
    assert taken == QUEUE_SIZE
    assert evidence.lost == 9 * QUEUE_SIZE
    assert sum("parts are not kept" in record.message for record in caplog.records) <= 2
    disk.thaw()
    evidence.close(20)
    assert len(list(tmp_path.glob("r-*"))) == QUEUE_SIZE


def test_images_wait_in_bounded_memory_but_one_part_always_may(tmp_path: Path) -> None:
    size = job("").size
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0, queue_mb=2.5 * size / 1e6))
    assert [evidence.offer(job(str(tmp_path / f"r-{n}"), n)) for n in range(4)] == [True, True, False, False]
    small = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0, queue_mb=0.5 * size / 1e6))
    assert [small.offer(job(str(tmp_path / f"s-{n}"), n)) for n in range(2)] == [True, False]
    evidence.start()
    wait_until((tmp_path / "r-1").is_dir)
    wait_until(lambda: evidence.offer(job(str(tmp_path / "r-9"), 9)))  # what is written takes no room
    evidence.close()


class FrozenDisk:
    """A folder in which the writer's next call does not return, as on a disk or file server that is gone."""

    def __init__(self, folder: Path) -> None:
        self._pipe = folder / ".edgeflow-run-time.json.tmp"
        os.mkfifo(self._pipe)

    def thaw(self) -> None:
        """The call returns; nothing hangs any more."""
        reader = os.open(self._pipe, os.O_RDONLY)
        wait_until(lambda: not self._pipe.exists())
        os.close(reader)


def test_every_picture_gives_way_to_the_line(tmp_path: Path) -> None:
    written: list[int] = []
    write_evidence(tmp_path / "r-1", job(""), lambda: written.append(len(list(tmp_path.rglob("*.png")))))
    assert written == [0, 1, 2]  # before each of three


class CountingWay(RightOfWay):
    """Counts who gives way."""

    count = 0

    def give_way(self, at_most_s: float) -> None:
        self.count += 1
        super().give_way(at_most_s)


def test_evidence_that_would_soon_be_lost_gives_way_no_more(tmp_path: Path) -> None:
    disk, way = FrozenDisk(tmp_path), CountingWay()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0), right_of_way=way)
    evidence.start()
    for number in range(QUEUE_SIZE):
        assert evidence.offer(job(str(tmp_path / f"r-{number}"), number))
        threading.Event().wait(0.01)  # until it is copied
    disk.thaw()
    evidence.close(20)
    assert evidence.lost == 0
    assert way.count == 3 * (
        QUEUE_SIZE // 2 - 1
    )  # three pictures of every part in the lower half of the queue


def test_a_line_that_never_rests_does_not_stop_evidence(tmp_path: Path) -> None:
    way = RightOfWay()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0), right_of_way=way)
    evidence.start()
    with way:
        assert evidence.offer(job(str(tmp_path / "r-1")))
        wait_until((tmp_path / "r-1").is_dir)
    evidence.close()


def test_a_disk_that_does_not_answer_keeps_no_image_of_a_camera_in_use(tmp_path: Path) -> None:
    slots = 8  # of which five may wait to be copied
    image = np.zeros((24, 32, 3), np.uint8)
    writer = RingWriter(slots=slots, image_bytes=image.nbytes)
    reader = RingReader(os.dup(writer.fd), slot_bytes=writer.slot_bytes)
    disk = FrozenDisk(tmp_path)
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0), Alarms("s", told))
    evidence.start()

    def capture(number: int) -> bool:
        slot = writer.place(image)
        assert slot is not None, f"frame {number}: all images are in use"
        frame = reader.take(slot, 24, 32)
        folder = str(tmp_path / f"r-{number}")
        part = dataclasses.replace(job(folder, number), originals={"top": frame}, images={"top": frame})
        return evidence.offer(part)

    kept = [capture(number) for number in range(3 * QUEUE_SIZE)]
    assert kept[0]
    assert not kept[-1]
    wait_until(lambda: not capture(99) and "does not answer" in told.standing["evidence_stopped"])
    assert str(tmp_path) in told.standing["evidence_stopped"]
    disk.thaw()
    wait_until(lambda: "evidence_stopped" not in told.standing)
    assert (tmp_path / "r-0").is_dir()
    evidence.close()
    writer.close()


def test_folders_that_go_while_they_are_written_do_not_end_the_writer(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0))
    evidence.start()
    ended = threading.Event()

    def tidy() -> None:
        while not ended.is_set():
            for found in (*tmp_path.glob("*/r-*"), *tmp_path.glob("*/.r-*")):
                shutil.rmtree(found, ignore_errors=True)

    tidier = threading.Thread(target=tidy)
    tidier.start()
    for number in range(100):
        folder = folder_for(evidence, f"r-{number}")
        wait_until(lambda number=number, folder=folder: evidence.offer(job(folder, number)))  # type: ignore[misc]
    ended.set()
    tidier.join()
    folder = folder_for(evidence, "r-last")
    wait_until(lambda: evidence.offer(job(folder, 4711)))
    wait_until(Path(folder).is_dir)
    evidence.close()


def test_a_folder_that_somebody_removed_comes_back(tmp_path: Path) -> None:
    told = Told()
    root = tmp_path / "evidence"
    evidence = Evidence(EvidenceConfig(dir=root, min_free_gb=0), Alarms("s", told))
    evidence.start()
    shutil.rmtree(root)
    wait_until(root.is_dir)
    folder = folder_for(evidence, "r-1")
    assert evidence.offer(job(folder))
    wait_until(Path(folder).is_dir)
    evidence.close()
    assert "evidence_stopped" not in told.standing


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
    assert list(tmp_path.glob("[!.]*")) == []
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


def test_evidence_says_why_a_part_is_kept(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, ok_sample=0.5, min_free_gb=0))
    evidence.snapshot()
    reserved = [evidence.reserve(f"r-{n}", "OK") for n in range(4)]
    assert [each and each.why for each in reserved] == ["request", "sample", None, "sample"]
    write_evidence(tmp_path / "r-7", dataclasses.replace(job(str(tmp_path / "r-7"), 7), kept="sample"))
    record = read_record(tmp_path / "r-7")
    assert record is not None
    assert record.kept == "sample"


def test_the_size_holds_while_parts_are_written(tmp_path: Path) -> None:
    one = job(str(tmp_path / "probe"))
    write_evidence(tmp_path / "probe", one)
    size = sum(file.stat().st_size for file in (tmp_path / "probe").iterdir())
    evidence = Evidence(EvidenceConfig(dir=tmp_path / "kept", max_gb=3.5 * size / 1e9, min_free_gb=0))
    evidence.start()
    for number in range(10):
        folder = folder_for(evidence, f"r-{number}")
        while not evidence.offer(job(folder, number)):
            pass
    evidence.close()
    kept = sorted(path.name for path in (tmp_path / "kept").glob("*/*"))
    assert kept[-1] == "r-9"
    assert 3 <= len(kept) <= 4  # what was just written is counted at the next look


def test_a_full_disk_is_an_alarm_and_oldest_parts_make_room_first(tmp_path: Path) -> None:
    more_than_there_is_gb = shutil.disk_usage(tmp_path).total / 1e9 + 1
    for number in range(3):
        folder = tmp_path / "2026-03-09" / f"r-{number}"
        write_evidence(folder, job(str(folder), number))
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=more_than_there_is_gb), Alarms("s", told))
    evidence.start()
    wait_until(lambda: "evidence_stopped" in told.standing)
    assert "without evidence" in told.standing["evidence_stopped"]
    wait_until(lambda: list(tmp_path.glob("[!.]*")) == [])
    evidence.close()


def test_the_folder_is_made_with_all_above_it(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path / "a" / "b" / "c", min_free_gb=0))
    evidence.start()
    evidence.close()
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_the_alarm_of_a_full_disk_says_how_much_must_be_free_and_where(tmp_path: Path) -> None:
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=1e6), Alarms("s", told))
    evidence.start()
    assert evidence.offer(job(str(tmp_path / "r-1")))
    wait_until(lambda: "evidence_stopped" in told.standing)
    assert told.standing["evidence_stopped"] == (
        f"parts are inspected without evidence: less than 1e+06 GB free in {tmp_path}; make room there"
    )
    evidence.close()


def test_a_disk_that_does_not_answer_at_the_start_is_an_alarm_and_not_a_wait(tmp_path: Path) -> None:
    disk = FrozenDisk(tmp_path)
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0), Alarms("s", told))
    evidence.start()
    assert f"the disk of evidence.dir {tmp_path} does not answer" in told.standing["evidence_stopped"]
    evidence.close(0.2)  # does not wait for it either
    disk.thaw()


def test_more_parts_than_the_disk_takes_are_an_alarm_that_names_the_settings(tmp_path: Path) -> None:
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0), Alarms("s", told))
    taken = [evidence.offer(job(str(tmp_path / f"r-{n}"), n)) for n in range(6)]
    assert taken == [True] * 4 + [False] * 2  # of a camera's 16 images, those of four parts at most
    assert evidence.lost == 2
    assert "parts come faster than they are written" in told.standing["evidence_stopped"]
    assert "evidence.ok_sample" in told.standing["evidence_stopped"]
    evidence.start()
    wait_until(lambda: "evidence_stopped" not in told.standing)
    evidence.close()
    assert len(list(tmp_path.glob("r-*"))) == 4


def test_waiting_parts_take_exactly_the_memory_that_is_allowed(tmp_path: Path) -> None:
    size = job("").size
    evidence = Evidence(EvidenceConfig(dir=tmp_path, min_free_gb=0, queue_mb=2 * size / 1e6))
    assert [evidence.offer(job(str(tmp_path / f"r-{n}"), n)) for n in range(3)] == [True, True, False]


def take_its_place(root: Path) -> None:
    """Put a file where evidence is kept; the writer may make the folder anew in between."""
    while not root.is_file():
        shutil.rmtree(root, ignore_errors=True)
        with contextlib.suppress(IsADirectoryError):
            root.write_text("in the way")


def test_a_place_that_is_taken_stops_evidence_until_it_is_back(tmp_path: Path) -> None:
    root = tmp_path / "evidence"
    told = Told()
    evidence = Evidence(EvidenceConfig(dir=root, min_free_gb=0), Alarms("s", told))
    evidence.start()
    take_its_place(root)
    # The first look may fall into the exchange, and name another cause.
    text = f"{root}: File exists; nothing is kept until it is back"
    wait_until(lambda: text in told.standing.get("evidence_stopped", ""))
    assert evidence.reserve("r-1", "NG") is None
    root.unlink()
    wait_until(lambda: evidence.reserve("r-2", "NG") is not None)
    folder = folder_for(evidence, "r-3")
    assert evidence.offer(job(folder, 3))
    wait_until(lambda: "evidence_stopped" not in told.standing)
    assert Path(folder).is_dir()
    evidence.close()


def test_the_writer_ends_though_its_last_note_cannot_be_written(tmp_path: Path) -> None:
    root = tmp_path / "evidence"
    others = {thread.ident for thread in threading.enumerate()}
    evidence = Evidence(EvidenceConfig(dir=root, min_free_gb=0))
    evidence.start()
    take_its_place(root)
    evidence.close(20)
    assert [each.name for each in threading.enumerate() if each.ident not in others] == []


def test_closing_what_was_never_started_does_nothing(tmp_path: Path) -> None:
    Evidence(EvidenceConfig(dir=tmp_path / "evidence")).close()
    assert not (tmp_path / "evidence").exists()


def test_many_parts_of_earlier_are_looked_through_between_parts_without_waiting(tmp_path: Path) -> None:
    for number in range(3000):
        folder = tmp_path / "2026-01-01" / f"r-{number}"
        folder.mkdir(parents=True)
        (folder / "evidence.json").write_text(
            f'{{"schema": "edgeflow/evidence/1", "result_id": "r-{number}", "run_s": 0, "files": {{"a": 9}}}}'
        )
    evidence = Evidence(EvidenceConfig(dir=tmp_path, max_gb=1e-9, min_free_gb=0))
    evidence.start()
    wait_until(lambda: not (tmp_path / "2026-01-01").exists())
    evidence.close()


def test_age_is_the_running_time_of_the_box(tmp_path: Path) -> None:
    moment = {"up_s": 50.0}
    boot = lambda: Boot(id="boot-1", up_s=moment["up_s"])  # noqa: E731
    evidence = Evidence(EvidenceConfig(dir=tmp_path, max_days=2, min_free_gb=0), boot=boot)
    evidence.start()
    moment["up_s"] = 150.0
    folders = []
    for number in range(2):
        folder = folder_for(evidence, f"r-{number}")
        assert evidence.offer(job(folder, number))
        wait_until(Path(folder).is_dir)
        folders.append(Path(folder))
        record = json.loads((Path(folder) / "evidence.json").read_text())
        assert record["run_s"] == moment["up_s"] - 50.0
        moment["up_s"] += 86_400.0
    moment["up_s"] += 86_400.0
    wait_until(lambda: not folders[0].exists())
    assert folders[1].exists()
    evidence.close()


def test_the_share_of_ok_parts_says_nothing_about_other_verdicts(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceConfig(dir=tmp_path, save=(), ok_sample=1.0, min_free_gb=0))
    assert evidence.reserve("r-1", "NG") is None
    assert evidence.reserve("r-2", "OK") is not None
    evidence.snapshot()
    assert evidence.reserve("r-3", "NG") is not None
    assert evidence.reserve("r-4", "UNDECIDED") is None

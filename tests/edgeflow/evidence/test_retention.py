"""Evidence goes by running time and size, oldest first; what is not its own stays, whatever its name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, from_json, to_json
from edgeflow.evidence.files import EvidenceJob, write_evidence
from edgeflow.evidence.retention import EvidenceStore, kept_parts
from edgeflow.run_time import Boot

SAMPLE = from_json(Result, (Path(__file__).parents[2] / "samples" / "result.json").read_bytes())
DAY_S = 86_400.0


class Computer:
    """Its time since it was started; the wall clock is nobody's business."""

    def __init__(self) -> None:
        self.up_s = 0.0
        self.starts = 1

    def __call__(self) -> Boot:
        return Boot(id=f"boot-{self.starts}", up_s=self.up_s)

    def restart(self) -> None:
        self.starts += 1
        self.up_s = 0.0


def job(result_id: str, run_s: float = 0.0) -> EvidenceJob:
    image = np.zeros((8, 8, 3), np.uint8)
    return EvidenceJob(
        result=SAMPLE.model_copy(update={"result_id": result_id, "site": "s", "line": "l", "box": "b"}),
        originals={"top": image},
        images={"top": image},
        maps={"top": np.zeros((2, 2), np.float32)},
        scales={"top": Scale(centre=0.0, threshold=4.0)},
        run_s=run_s,
    )


def store_of(
    root: Path, computer: Computer, *, max_bytes: int | None = None, max_days: float | None = None
) -> EvidenceStore:
    return EvidenceStore(root, max_bytes=max_bytes, max_days=max_days, boot=computer)


def keep(store: EvidenceStore, root: Path, name: str, day: str = "2026-03-10") -> Path:
    folder = root / day / name
    write_evidence(folder, job(name, store.run_s))
    store.add(folder)
    return folder


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("[!.]*/*"))


def earlier(root: Path, day: str, name: str, written_s: float) -> Path:
    """A folder as an earlier edgeflow wrote it."""
    folder = root / day / name
    write_evidence(folder, job(name))
    (folder / "evidence.json").unlink()
    os.utime(folder, (written_s, written_s))
    return folder


def test_parts_go_when_the_box_ran_for_longer_than_max_days_and_not_before(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer, max_days=5)
    store.look()
    keep(store, tmp_path, "r-1")
    computer.up_s = 1.0
    keep(store, tmp_path, "r-2")
    computer.up_s = 5 * DAY_S
    assert store.tidy() == 0
    computer.up_s += 0.5
    assert store.tidy() == 1
    assert names(tmp_path) == ["2026-03-10/r-2"]
    computer.up_s += 1.0
    assert store.tidy() == 1
    assert list(tmp_path.iterdir()) == []  # the empty day went, too


@pytest.mark.parametrize("day", ["1970-01-01", "2026-03-10", "2099-12-31"])
def test_the_date_in_a_folders_name_says_nothing_about_its_age(tmp_path: Path, day: str) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer, max_days=5)
    store.look()
    keep(store, tmp_path, "r-1", day)
    computer.up_s = 4.9 * DAY_S
    assert store.tidy() == 0
    computer.up_s = 5.1 * DAY_S
    assert store.tidy() == 1


def test_running_time_goes_on_over_restarts(tmp_path: Path) -> None:
    computer = Computer()
    for _ in range(3):
        store = store_of(tmp_path, computer, max_days=5)
        store.look()
        if not len(store):
            keep(store, tmp_path, "r-1")
        computer.up_s += 1.8 * DAY_S
        assert store.tidy() == (1 if computer.starts == 3 else 0)
        store.keep_clock(at_once=True)
        computer.restart()


def test_a_restart_of_the_program_alone_goes_on_counting(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer, max_days=5)
    store.look()
    keep(store, tmp_path, "r-1")
    store.keep_clock(at_once=True)
    computer.up_s = 5.1 * DAY_S  # the program did not run, the computer did
    again = store_of(tmp_path, computer, max_days=5)
    again.look()
    assert again.tidy() == 1


def test_the_running_time_is_not_begun_anew_before_the_earlier_one_was_read(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer)
    store.look()
    computer.up_s = 100.0
    store.keep_clock()
    computer.restart()
    again = store_of(tmp_path, computer)
    again.keep_clock(at_once=True)
    again.look()
    assert again.run_s == 100.0


def test_the_running_time_is_written_down_once_a_minute(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer)
    store.look()
    file = tmp_path / ".edgeflow-run-time.json"
    written = []
    for up_s in (0.0, 59.0, 60.0, 61.0, 121.0):
        computer.up_s = up_s
        store.keep_clock()
        written.append(json.loads(file.read_text())["run_s"])
    assert written == [0.0, 0.0, 60.0, 60.0, 121.0]


def test_without_the_clocks_file_nothing_is_older_than_the_newest_part(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer, max_days=5)
    store.look()
    keep(store, tmp_path, "r-1")
    computer.up_s = 3 * DAY_S
    keep(store, tmp_path, "r-2")
    computer.restart()
    again = store_of(tmp_path, computer, max_days=5)
    again.look()
    assert again.run_s == pytest.approx(3 * DAY_S)
    computer.up_s = 2.1 * DAY_S
    assert again.tidy() == 1
    assert names(tmp_path) == ["2026-03-10/r-2"]


def test_a_part_of_a_box_that_ran_for_longer_makes_no_part_of_this_one_old(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer, max_days=3)
    store.look()
    store.keep_clock(at_once=True)
    computer.up_s = DAY_S
    own = keep(store, tmp_path, "own")
    store.keep_clock(at_once=True)
    write_evidence(tmp_path / "2026-03-10" / "copied", job("copied", 400 * DAY_S))
    again = store_of(tmp_path, computer, max_days=3)
    again.look()
    again.tidy()
    assert own.is_dir()
    assert again.run_s < 2 * DAY_S


def test_the_oldest_go_until_the_size_holds(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer)
    store.look()
    for number, day in enumerate(("2027-01-01", "2026-01-01", "2026-06-01", "2025-01-01")):
        computer.up_s += 10.0
        keep(store, tmp_path, f"r-{number}", day)
    size = store.size // 4
    assert store.size == 4 * size
    limited = store_of(tmp_path, computer, max_bytes=2 * size)
    limited.look()
    assert (len(limited), limited.size) == (4, 4 * size)
    assert limited.tidy() == 2
    assert names(tmp_path) == ["2025-01-01/r-3", "2026-06-01/r-2"]
    assert limited.size == 2 * size
    assert limited.tidy() == 0
    exactly = store_of(tmp_path, computer, max_bytes=2 * size - 1)
    exactly.look()
    assert exactly.tidy() == 1


def test_what_an_earlier_edgeflow_left_is_known_and_goes_first(tmp_path: Path) -> None:
    computer = Computer()
    earlier(tmp_path, "2026-03-02", "old-2", 500.0)
    earlier(tmp_path, "2026-03-01", "old-1b", 2000.0)
    earlier(tmp_path, "2026-03-01", "old-1a", 1000.0)
    store = store_of(tmp_path, computer, max_days=5, max_bytes=10**9)
    store.look()
    assert (len(store), store.size > 0) == (3, True)
    computer.up_s = 10.0
    keep(store, tmp_path, "r-new", "2026-02-01")
    gone = []
    for _ in range(3):
        before = set(names(tmp_path))
        assert store.drop_oldest()
        gone += sorted(before - set(names(tmp_path)))
    assert gone == ["2026-03-01/old-1a", "2026-03-01/old-1b", "2026-03-02/old-2"]
    assert names(tmp_path) == ["2026-02-01/r-new"]


def test_the_age_of_earlier_parts_counts_from_the_update(tmp_path: Path) -> None:
    computer = Computer()
    earlier(tmp_path, "2020-03-02", "old", 500.0)
    store = store_of(tmp_path, computer, max_days=5)
    store.look()
    assert store.tidy() == 0
    computer.up_s = 5.1 * DAY_S
    assert store.tidy() == 1


def test_folders_of_others_stay_whatever_they_are_called(tmp_path: Path) -> None:
    computer = Computer()
    foreign = {
        "2026-01-01/wedding/a.jpg": b"x",
        "2026-01-01/tax papers/result.json": b"{}",
        "2026-01-02/other-tool/result.json": b'{"schema": "other/result/1", "result_id": "other-tool"}',
        "2026-01-02/moved-here/result.json": to_json(SAMPLE.model_copy(update={"result_id": "r-77"})),
        "2026-01-02/renamed/evidence.json": json.dumps(
            {"schema": "edgeflow/evidence/1", "result_id": "r-78", "run_s": 0, "files": {"a": 1}}
        ).encode(),
        "2026-01-03/broken/evidence.json": b"\xff",
        "2026-01-03/deep/evidence.json": b"[" * 100_000,
        "20260104/r-5/result.json": to_json(SAMPLE.model_copy(update={"result_id": "r-5"})),
        "2026-01-05/single.jpg": b"x",
        "2026-01-05/.r-9.0123abcd.tmp/a.png": b"x",
        "2026-01-05/.thumbnails.tmp/a.png": b"x",
        "notes/r-6/result.json": to_json(SAMPLE.model_copy(update={"result_id": "r-6"})),
    }
    for name, content in foreign.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    store = store_of(tmp_path, computer, max_days=1, max_bytes=1)
    store.look()
    assert len(store) == 0
    computer.up_s = 100 * DAY_S
    assert store.tidy() == 0
    assert not store.drop_oldest()
    assert {
        str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
    } == foreign


def test_no_link_is_followed(tmp_path: Path) -> None:
    computer = Computer()
    archive, root = tmp_path / "archive", tmp_path / "evidence"
    kept = store_of(archive, computer)
    for name in ("r-1", "r-2"):
        keep(kept, archive, name)
    root.mkdir()
    (root / "2026-01-01").symlink_to(archive / "2026-03-10")
    (root / "2026-01-02").mkdir()
    (root / "2026-01-02" / "r-1").symlink_to(archive / "2026-03-10" / "r-1")
    store = store_of(root, computer, max_bytes=1)
    store.look()
    assert len(store) == 0
    before = sorted(archive.rglob("*"))
    folder = keep(store, root, "r-3", "2026-01-03")
    (folder / "top.png").unlink()
    (folder / "top.png").symlink_to(archive / "2026-03-10" / "r-1" / "top.png")
    assert store.tidy() == 1
    assert sorted(archive.rglob("*")) == before
    assert not folder.exists()
    folder = keep(store, root, "r-4", "2026-01-04")
    (root / "2026-01-04").rename(tmp_path / "elsewhere")
    (root / "2026-01-04").symlink_to(tmp_path / "elsewhere")
    store.tidy()
    assert (tmp_path / "elsewhere" / "r-4" / "top.png").exists()


def test_a_record_that_is_a_link_or_too_large_is_none(tmp_path: Path) -> None:
    store = store_of(tmp_path / "evidence", Computer(), max_bytes=1)
    original = keep(store, tmp_path / "archive", "r-1")
    copy = tmp_path / "evidence" / "2026-01-01" / "r-1"
    copy.mkdir(parents=True)
    (copy / "evidence.json").symlink_to(original / "evidence.json")
    large = tmp_path / "evidence" / "2026-01-01" / "r-2"
    large.mkdir()
    record = {"schema": "edgeflow/evidence/1", "result_id": "r-2", "run_s": 0, "files": {}}
    (large / "evidence.json").write_text(json.dumps({**record, "note": "x" * 4_000_000}))
    assert kept_parts(tmp_path / "evidence") == []
    (large / "evidence.json").write_text(json.dumps(record))
    assert [kept.folder for kept in kept_parts(tmp_path / "evidence")] == [large]


def test_files_that_others_put_into_a_part_stay(tmp_path: Path) -> None:
    store = store_of(tmp_path, Computer(), max_bytes=1)
    store.look()
    folder = keep(store, tmp_path, "r-1")
    (folder / "review.txt").write_text("right")
    (folder / "mine").mkdir()
    (folder / "mine" / "top.png").write_bytes(b"x")
    assert store.tidy() == 1
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == [
        "mine",
        "mine/top.png",
        "review.txt",
    ]


def test_a_record_that_names_files_elsewhere_removes_none_of_them(tmp_path: Path) -> None:
    store = store_of(tmp_path / "evidence", Computer(), max_bytes=1)
    (tmp_path / "precious").write_text("x")
    folder = tmp_path / "evidence" / "2026-01-01" / "r-1"
    folder.mkdir(parents=True)
    files = {"../../../precious": 9, str(tmp_path / "precious"): 9, "..": 9, ".": 9, "": 9, "a.png": "many"}
    record = {"schema": "edgeflow/evidence/1", "result_id": "r-1", "run_s": 0, "files": files}
    (folder / "evidence.json").write_text(json.dumps(record))
    store.look()
    assert store.drop_oldest()
    assert (tmp_path / "precious").exists()


def test_what_a_crash_left_unfinished_goes_at_the_next_start(tmp_path: Path) -> None:
    computer = Computer()
    first = store_of(tmp_path, computer)
    first.look()
    writing = keep(first, tmp_path, "r-1").rename(tmp_path / "2026-03-10" / ".r-1.0123abcd.tmp")
    (writing / "result.json").unlink()
    removing = keep(first, tmp_path, "r-2").rename(tmp_path / "2026-03-10" / ".r-2.tmp")
    (removing / "top.png").unlink()
    whole = keep(first, tmp_path, "r-3")
    store = store_of(tmp_path, computer)
    store.look()
    assert sorted((tmp_path / "2026-03-10").iterdir()) == [whole]


def test_a_part_removed_by_hand_does_not_stop_the_others_from_going(tmp_path: Path) -> None:
    store = store_of(tmp_path, Computer(), max_bytes=1)
    store.look()
    for name in ("r-1", "r-2", "r-3"):
        keep(store, tmp_path, name)
    for file in (tmp_path / "2026-03-10" / "r-1").iterdir():
        file.unlink()
    (tmp_path / "2026-03-10" / "r-1").rmdir()
    (tmp_path / "2026-03-10" / "r-2" / "top.png").unlink()
    assert store.tidy() == 3
    assert names(tmp_path) == []


def test_nothing_goes_before_all_parts_are_known_and_what_is_written_meanwhile_is_newer(
    tmp_path: Path,
) -> None:
    computer = Computer()
    first = store_of(tmp_path, computer)
    first.look()
    for number in range(5):
        computer.up_s += 1.0
        keep(first, tmp_path, f"r-{number}", "2026-09-09")
    store = store_of(tmp_path, computer, max_bytes=1)
    assert not store.look_on(2)
    keep(store, tmp_path, "s-1", "2026-09-09")  # may still be found by the look
    assert (store.tidy(), store.drop_oldest()) == (0, False)
    assert not store.look_on(2)
    while not store.look_on(2):
        pass
    assert len(store) == 6
    for _ in range(5):
        assert store.drop_oldest()
    assert names(tmp_path) == ["2026-09-09/s-1"]


def test_a_list_of_parts_is_oldest_first_and_leaves_foreign_ones_out(tmp_path: Path) -> None:
    computer = Computer()
    store = store_of(tmp_path, computer)
    store.look()
    for name, day in (("r-1", "2027-01-01"), ("r-2", "2026-01-01")):
        computer.up_s += 1.0
        keep(store, tmp_path, name, day)
    (tmp_path / "2026-01-01" / "holiday").mkdir()
    assert [each.folder.name for each in kept_parts(tmp_path)] == ["r-1", "r-2"]
    assert kept_parts(tmp_path / "nothing") == []


def test_the_record_names_the_station_and_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "2026-03-10" / "r-1"
    write_evidence(folder, job("r-1", 12.5))
    record = json.loads((folder / "evidence.json").read_text())
    assert {key: record[key] for key in ("site", "line", "box", "run_s")} == {
        "site": "s", "line": "l", "box": "b", "run_s": 12.5,
    }  # fmt: skip
    on_disk = {file.name: file.stat().st_size for file in folder.iterdir() if file.name != "evidence.json"}
    assert record["files"] == on_disk
    store = store_of(tmp_path, Computer())
    store.look()
    assert store.size == sum(on_disk.values())


def test_what_an_earlier_edgeflow_left_is_measured_only_where_the_size_is_limited(tmp_path: Path) -> None:
    folder = earlier(tmp_path, "2026-03-02", "old", 500.0)
    unlimited = store_of(tmp_path, Computer())
    unlimited.look()
    assert (len(unlimited), unlimited.size) == (1, 0)
    limited = store_of(tmp_path, Computer(), max_bytes=10**9)
    limited.look()
    assert limited.size == sum(file.stat().st_size for file in folder.iterdir()) > 0
    assert kept_parts(tmp_path)[0].size == limited.size


def test_a_part_that_somebody_removed_before_it_was_counted_is_none(tmp_path: Path) -> None:
    store = store_of(tmp_path, Computer())
    store.look()
    store.add(tmp_path / "2026-03-10" / "r-1")
    assert (len(store), store.size, store.drop_oldest()) == (0, 0, False)


def test_a_part_that_cannot_be_removed_does_not_stop_the_others_from_going(tmp_path: Path) -> None:
    store = store_of(tmp_path, Computer(), max_bytes=0)
    store.look()
    stubborn = keep(store, tmp_path, "r-1")
    (stubborn / "top.png").unlink()
    (stubborn / "top.png").mkdir()
    keep(store, tmp_path, "r-2")
    assert store.tidy() == 2
    assert names(tmp_path) == ["2026-03-10/.r-1.tmp"]
    assert store.size == 0


def test_a_day_with_something_else_in_it_stays(tmp_path: Path) -> None:
    store = store_of(tmp_path, Computer(), max_bytes=0)
    store.look()
    keep(store, tmp_path, "r-1")
    (tmp_path / "2026-03-10" / "note.txt").write_text("mine")
    assert store.tidy() == 1
    assert names(tmp_path) == ["2026-03-10/note.txt"]


# Removes the only part in a process that ends just before its n-th step on the file system.
KILLED = """
import os, signal, sys
from pathlib import Path
from edgeflow.evidence.retention import EvidenceStore
from edgeflow.evidence.writer import write_evidence
store = EvidenceStore(Path(sys.argv[1]), max_bytes=0, max_days=None)
store.look()
left = int(sys.argv[2])
def step(event, _):
    global left
    if event in ("os.remove", "os.rename", "os.rmdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(step)
store.tidy()
os._exit(0)
"""


def test_killed_at_any_step_of_removing_the_next_start_removes_the_rest(tmp_path: Path) -> None:
    files = 5  # three of the view, record and result
    for left in range(1, files + 4):
        root = tmp_path / f"killed-{left}"
        first = store_of(root, Computer())
        first.look()
        keep(first, root, "r-1")
        done = subprocess.run([sys.executable, "-c", KILLED, root, str(left)], check=False)
        assert done.returncode == -signal.SIGKILL
        half = [path for path in root.glob("*/*") if len(list(path.iterdir())) not in (0, files)]
        assert all(path.name.startswith(".") for path in half), "a half part is not shown as a whole one"
        store = store_of(root, Computer(), max_bytes=0)
        store.look()
        store.tidy()
        assert [path for path in root.glob("*/*/*") if path.is_file()] == []

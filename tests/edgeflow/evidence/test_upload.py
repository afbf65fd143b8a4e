"""Each file goes once, the record last; nothing is deleted, and a store that takes nothing is tried again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import StorageError
from edgeflow.evidence.record import record_text
from edgeflow.evidence.upload import EvidenceUpload, Pace, UploadCount, UploadError
from edgeflow.evidence.upload_state import UploadState

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"


class Memory:
    """A store in memory, which may refuse."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.content: dict[str, bytes] = {}
        self.refuse_after: int | None = None

    def put(self, key: str, path: Path) -> None:
        if self.refuse_after is not None and len(self.keys) >= self.refuse_after:
            raise UploadError("the store is away")
        self.keys.append(key)
        self.content[key] = path.read_bytes()


def keep(root: Path, name: str) -> Path:
    """A part's folder, as the box writes it."""
    folder = root / "2026-11-29" / name
    folder.mkdir(parents=True)
    result = from_json(Result, SAMPLE.read_bytes()).model_copy(update={"result_id": name})
    files = {"top.png": b"p" * 100, "result.json": b"{}"}
    for file, content in files.items():
        (folder / file).write_bytes(content)
    sizes = {file: len(content) for file, content in files.items()}
    (folder / "evidence.json").write_text(record_text(result, sizes, 1.0))
    return folder


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., EvidenceUpload]:
    def make(store: Memory, wait: Callable[[float], bool] = lambda _: False) -> EvidenceUpload:
        state = UploadState(tmp_path / "uploads.db", "memory")
        return EvidenceUpload(tmp_path / "evidence", store, state, prefix="plant", pace=Pace(1e9), wait=wait)

    return make


Make = Callable[..., EvidenceUpload]


def test_a_part_is_uploaded_once_and_its_record_last(tmp_path: Path, upload: Make) -> None:
    keep(tmp_path / "evidence", "r-1")
    store = Memory()
    assert upload(store).once() == UploadCount(
        parts=1, files=3, bytes=102 + _record_size(tmp_path), present=0
    )
    assert store.keys == [
        f"plant/2026-11-29/r-1/{name}" for name in ("top.png", "result.json", "evidence.json")
    ]
    assert upload(store).once() == UploadCount(present=1)
    assert (tmp_path / "evidence" / "2026-11-29" / "r-1" / "top.png").is_file()


def _record_size(tmp_path: Path) -> int:
    return (tmp_path / "evidence" / "2026-11-29" / "r-1" / "evidence.json").stat().st_size


def test_an_upload_that_was_cut_off_goes_on_with_the_next_file(tmp_path: Path, upload: Make) -> None:
    keep(tmp_path / "evidence", "r-1")
    store = Memory()
    store.refuse_after = 1
    with pytest.raises(UploadError):
        upload(store).once()
    store.refuse_after = None
    upload(store).once()
    assert len(store.keys) == len(set(store.keys)) == 3


def test_a_label_goes_when_it_was_given(tmp_path: Path, upload: Make) -> None:
    folder = keep(tmp_path / "evidence", "r-1")
    store = Memory()
    upload(store).once()
    (folder / "label.json").write_text("{}")
    assert upload(store).once().files == 1
    (folder / "label.json").write_text('{"a": 1}')
    assert upload(store).once().files == 1
    assert store.content["plant/2026-11-29/r-1/label.json"] == b'{"a": 1}'


def test_files_of_others_links_and_unfinished_parts_stay(tmp_path: Path, upload: Make) -> None:
    folder = keep(tmp_path / "evidence", "r-1")
    (folder / "notes.txt").write_text("mine")
    (folder / "top.png").unlink()
    (folder / "top.png").symlink_to("/etc/hostname")
    (folder.parent / ".r-2.tmp").mkdir()
    (folder.parent / "other").mkdir()
    store = Memory()
    upload(store).once()
    assert [key.rpartition("/")[2] for key in store.keys] == ["result.json", "evidence.json"]


def test_a_store_that_takes_nothing_is_tried_again_and_told_once(
    tmp_path: Path, upload: Make, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path / "evidence", "r-1")
    store, pauses = Memory(), []
    store.refuse_after = 0

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 3:
            store.refuse_after = None
        return len(store.keys) == 3 and seconds == 10.0

    found: list[UploadCount] = []
    upload(store, wait).run(10.0, found.append)
    assert pauses[:3] == [1.0, 2.0, 5.0]
    assert [count.parts for count in found] == [1]
    assert caplog.text.count("the store is away") == 1


def test_another_target_gets_everything(tmp_path: Path) -> None:
    keep(tmp_path / "evidence", "r-1")
    counts = []
    for target in ("one", "two"):
        state = UploadState(tmp_path / "uploads.db", target)
        running = EvidenceUpload(
            tmp_path / "evidence", Memory(), state, prefix="p", pace=Pace(1e9), wait=lambda _: False
        )
        counts.append(running.once().files)
        state.close()
    assert counts == [3, 3]


def test_a_record_of_uploads_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "uploads.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError, match="everything is then uploaded again"):
        UploadState(tmp_path / "uploads.db", "x")


def test_the_mean_rate_is_kept_over_many_files() -> None:
    pace, now_s = Pace(1000.0), 0.0
    for _ in range(10):
        now_s += pace.pause_s(500, now_s, now_s + 0.01) + 0.01
    assert now_s == pytest.approx(5.0)


def test_a_slow_store_is_not_paused_for() -> None:
    assert Pace(1000.0).pause_s(500, 0.0, 2.0) == 0.0

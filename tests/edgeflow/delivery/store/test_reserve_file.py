"""The reserve holds real space on the disk until it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeflow.delivery.store.reserve_file import ReserveFile


def test_the_space_is_occupied_and_released(tmp_path: Path) -> None:
    reserve = ReserveFile(tmp_path / "outbox.db", size=100_000)
    assert not reserve.drop()
    assert reserve.take()
    file = tmp_path / "outbox.db.ballast"
    assert file.stat().st_size == 100_000
    assert file.stat().st_blocks * 512 >= 100_000, "real blocks, not a hole"
    assert reserve.take()
    assert reserve.drop()
    assert not file.exists()
    assert not reserve.drop()


def test_one_that_is_too_small_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db.ballast"
    for content, size in ((b"x" * 99, 100), (b"x" * 100, 100), (b"x" * 101, 101)):
        file.write_bytes(content)
        assert ReserveFile(tmp_path / "outbox.db", size=100).take()
        assert file.stat().st_size == size


def test_a_disk_without_twice_the_room_gives_none(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    large = ReserveFile(tmp_path / "outbox.db", size=free * 3 // 4)
    assert not large.room()
    assert not large.take()
    assert list(tmp_path.iterdir()) == []
    assert ReserveFile(tmp_path / "outbox.db", size=free // 4).room()


def test_a_place_where_nothing_can_be_written_gives_none(tmp_path: Path) -> None:
    (tmp_path / "outbox.db.ballast").mkdir()
    reserve = ReserveFile(tmp_path / "outbox.db", size=100_000_000)
    assert not reserve.take()
    assert not reserve.drop()

"""The record of commands survives, grows to its limit only, and is never taken for damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.commands.audit_log import Audit, read_audit
from edgeflow.errors import StorageError


def test_records_come_back_in_order_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "state" / "audit.jsonl", 10_000)
    for number in range(5):
        audit.write({"number": number, "text": "line\nbreak \x1b[2J"})
    with (tmp_path / "state" / "audit.jsonl").open("ab") as file:
        file.write(b'{"number": 5, "te')
    assert [record["number"] for record in read_audit(tmp_path / "state" / "audit.jsonl", 3)] == [2, 3, 4]
    assert b"\x1b" not in (tmp_path / "state" / "audit.jsonl").read_bytes()


def test_it_is_capped_and_the_newest_stay(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.jsonl", 1000)
    for number in range(200):
        audit.write({"number": number})
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    numbers = [record["number"] for record in read_audit(tmp_path / "audit.jsonl", 1000)]
    assert numbers == list(range(numbers[0], 200))
    assert len(numbers) > 50


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        Audit(tmp_path / "file" / "audit.jsonl", 1000).write({})

"""Labels in the history: all are kept, the last one counts, and people who disagree are seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.part_label import PartLabel
from edgeflow.contracts.messages import from_json, to_json
from edgeflow.errors import DataError
from edgeflow.history.database.schema import mapped, open_for_reading, open_for_writing
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot

__all__ = ["FoundPart", "add_label", "find_part", "import_result", "labels_of", "read_label_documents"]


@dataclass(frozen=True, kw_only=True)
class FoundPart:
    """The result that a label is for.

    Attributes:
        evidence: folder of its images when they were kept; it may be gone.
        results: how many results have this part id; the latest one is meant.
    """

    result_id: str
    part_id: str
    evidence: Path | None
    results: int


def find_part(path: Path, part: str) -> FoundPart | None:
    """Find the latest result of a part; None where the history knows no such part.

    Args:
        part: its result id, else its part id.

    Raises:
        StorageError: the history cannot be read.
    """
    with mapped(path, "read"), closing(open_for_reading(path)) as connection:
        for column in ("result_id", "part_id"):
            row = connection.execute(
                f"SELECT result_id, part_id, evidence FROM results WHERE {column} = ? "  # noqa: S608
                "ORDER BY id DESC LIMIT 1",
                (part,),
            ).fetchone()
            if row is not None:
                count = connection.execute("SELECT COUNT(*) FROM results WHERE part_id = ?", (row[1],))
                return FoundPart(
                    result_id=row[0],
                    part_id=row[1],
                    evidence=Path(row[2]) if row[2] else None,
                    results=int(count.fetchone()[0]),
                )
    return None


def add_label(path: Path, label: PartLabel) -> None:
    """Record a label, beside a running box or without one; it is on the disk when this returns.

    Raises:
        DataError: the history knows no such result.
        StorageError: it cannot be written.
    """
    with mapped(path, "written"), closing(open_for_writing(path)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            _require_known(connection, path, label.result_id)
            connection.execute(
                "INSERT INTO labels (result_id, document) VALUES (?, ?)",
                (label.result_id, to_json(label).decode()),
            )
            disputed = _is_disputed(labels_of(connection, label.result_id))
            connection.execute(
                "UPDATE results SET label = ?, kind = ?, disputed = ? WHERE result_id = ?",
                (label.label, label.kind, disputed, label.result_id),
            )
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def import_result(path: Path, entry: HistoryEntry) -> None:
    """Record a result that was kept as evidence before there was a history, so that it can be labelled.

    Raises:
        StorageError: the history cannot be written.
    """
    with mapped(path, "written"):
        boot = read_boot()
        store = HistoryStore(path, boot)
        try:
            store.write([entry], [], boot)
        finally:
            store.close()


def labels_of(connection: sqlite3.Connection, result_id: str) -> tuple[PartLabel, ...]:
    """Return all labels of a result, the first one first."""
    rows = connection.execute("SELECT document FROM labels WHERE result_id = ? ORDER BY id", (result_id,))
    labels = []
    for (document,) in rows:
        with suppress(DataError):  # one that a damaged file left half
            labels.append(from_json(PartLabel, document.encode()))
    return tuple(labels)


def read_label_documents(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the labels that a damaged file still gives, as result id and JSON."""
    found: list[tuple[str, str]] = []
    with suppress(sqlite3.Error):
        for result_id, document in connection.execute("SELECT result_id, document FROM labels ORDER BY id"):
            if isinstance(result_id, str) and isinstance(document, str):
                found.append((result_id, document))
    return found


def _require_known(connection: sqlite3.Connection, path: Path, result_id: str) -> None:
    if connection.execute("SELECT 1 FROM results WHERE result_id = ?", (result_id,)).fetchone() is None:
        raise DataError(f"history {path}: knows no result {result_id}")


def _is_disputed(labels: Sequence[PartLabel]) -> bool:
    """True if the last labels of two people differ."""
    return len({label.label for label in {label.by: label for label in labels}.values()}) > 1

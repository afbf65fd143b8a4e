"""Interface of a database that keeps results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Protocol

from edgeflow.collector.records import Received, Row
from edgeflow.errors import DataError, StorageError

__all__ = [
    "BoxSeen",
    "KeptAside",
    "NewerSchemaError",
    "Posting",
    "RowRefusedError",
    "Store",
    "StoreSummary",
    "StoreUnavailableError",
    "Written",
    "migrations",
]


class StoreUnavailableError(StorageError):
    """The database takes nothing now: it is away, full, read-only, too slow or locked; try again later."""


class NewerSchemaError(StoreUnavailableError):
    """The database's tables were made by a newer edgeflow."""


class RowRefusedError(DataError):
    """The database refuses the values of a row in this batch, whatever its state is."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Effect of one transaction.

    Attributes:
        new: results that were not there before.
        known: results that were there already.
        aside: messages that were set aside.
    """

    new: int
    known: int
    aside: int


@dataclass(frozen=True, kw_only=True)
class BoxSeen:
    """A box, as its latest results tell."""

    root: str
    session: str
    seen_at: datetime
    two_boxes: bool


@dataclass(frozen=True, kw_only=True)
class KeptAside:
    """A message that is set aside, and why."""

    number: int
    source: Received
    result_id: str
    reason: str
    set_aside_at: datetime


@dataclass(frozen=True, kw_only=True)
class Posting:
    """A result that is to be posted to the webhook."""

    result_id: str
    attempts: int
    made_at: datetime
    document: str


@dataclass(frozen=True, kw_only=True)
class StoreSummary:
    """Contents of a database, in numbers.

    Attributes:
        identity: of this database, among all.
        results: their number; estimated where there are many.
    """

    kind: str
    identity: str
    schema_version: int
    results: int
    set_aside: int
    dropped: int
    postings: int
    newest_at: datetime | None
    boxes: tuple[BoxSeen, ...]


class Store(Protocol):
    """Keeps results; one thread uses it at a time. A transaction that is not whole leaves nothing.

    Every method raises ``StoreUnavailableError`` where it is to be tried again; the next call connects anew.
    """

    def identity(self) -> str:
        """Connect, bring the tables up to date, and return the database's own id."""

    def write(self, rows: Sequence[Row], collected_at: datetime) -> Written:
        """Commit rows in one transaction; those that are there already stay as they are.

        Raises:
            RowRefusedError: a row's values cannot be kept; nothing of the batch is committed.
        """

    def note_boxes(self, boxes: Sequence[BoxSeen]) -> None:
        """Record when boxes were seen last, and by which session."""

    def maintain(self, now: datetime) -> None:
        """Prepare the time to come, and remove what is older than the retention."""

    def summary(self) -> StoreSummary:
        """Return what the database holds."""

    def aside(self, after: int, count: int) -> list[KeptAside]:
        """Return messages that are set aside, in the order of their numbers, after a number."""

    def take_back(self, number: int, row: Row, collected_at: datetime) -> None:
        """Commit the row of a message that was set aside, which then is no longer."""

    def postings(self, now: datetime, count: int) -> list[Posting]:
        """Return results whose posting is due, reserved for a minute."""

    def posted(self, result_ids: Sequence[str]) -> None:
        """Remove postings that were taken, or that are no longer tried."""

    def postpone(self, result_id: str, attempts: int, until: datetime) -> None:
        """Try a posting again later."""

    def close(self) -> None:
        """Disconnect."""


def migrations(kind: str) -> list[str]:
    """Return the numbered SQL files of a kind of database: the n-th makes schema version n."""
    folder = resources.files("edgeflow.collector.stores").joinpath(f"{kind}_schema")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [file.read_text("utf-8") for file in files]
